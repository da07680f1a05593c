package selvbetjening

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/clock"
)

const (
	firstRetry = time.Minute
	maxRetry   = time.Hour
	minRetry   = 10 * time.Second

	// maxSleep is how long the list of keys and the store go unread at most.
	maxSleep = time.Hour
)

// Run replaces the key whenever it is due, until ctx ends or [Rotation.Close] is called.
// It also finishes a replacement that an earlier process has begun, and switches to a key
// that another instance with the same store has made.
//
// After a failure it tries again: first after a minute, then less often, down to once an
// hour, but at shorter intervals when the expiry is near. It waits longer if HelseID asks
// for that (Retry-After), up to an hour or half of the time until the expiry. Failures are
// logged and reported as events ([helseid.EventKeyFailed], [helseid.EventKeyOrphan]).
func (r *Rotation) Run(ctx context.Context) {
	ctx, done, err := r.runs.Foreground(ctx)
	if err != nil {
		return
	}
	defer done()
	for failures := 0; ctx.Err() == nil; {
		wait, err := r.work(ctx, false)
		if err == nil {
			failures = 0
		} else {
			if ctx.Err() != nil {
				return
			}
			r.failed(ctx, err)
			wait = r.retryIn(failures, err)
			failures++
		}
		if !clock.Sleep(ctx, wait) {
			return
		}
	}
}

// retryIn is how long to wait after so many failures before this one.
func (r *Rotation) retryIn(failures int, err error) time.Duration {
	wait, pause := min(firstRetry<<min(failures, 10), maxRetry), min(pauseIn(err), maxRetry)
	if expiry := r.knownExpiry(); !expiry.IsZero() {
		left := time.Until(expiry)
		wait, pause = max(min(wait, left/10), minRetry), min(pause, max(left/2, 0))
	}
	return max(wait, pause)
}

// pauseIn is the pause that HelseID has asked for, or zero.
func pauseIn(err error) (pause time.Duration) {
	if answer, ok := errors.AsType[*Error](err); ok {
		pause = answer.RetryAfter
	}
	if refused, ok := errors.AsType[*helseid.TokenError](err); ok {
		pause = max(pause, refused.RetryAfter)
	}
	return pause
}

// isDue reports whether it is time for another key.
func (r *Rotation) isDue() bool {
	used := r.key.used.Load()
	return !used.expiry.IsZero() && !time.Now().Before(r.dueAt(used))
}

func (r *Rotation) dueAt(used *usedKey) time.Time {
	before := r.config.Before
	if lifetime := used.expiry.Sub(used.since); !used.since.IsZero() && lifetime > 0 {
		before = min(before, lifetime/3)
	}
	return used.expiry.Add(-before - time.Duration(used.jitter*float64(before)/10))
}

func (r *Rotation) untilDue() time.Duration {
	used := r.key.used.Load()
	if used.expiry.IsZero() {
		return maxSleep
	}
	return max(min(time.Until(r.dueAt(used)), maxSleep), time.Second)
}

// knownExpiry is the current key's expiry as the client knows it.
func (r *Rotation) knownExpiry() time.Time {
	_, expiry := r.client.KeyExpiry(context.Background())
	return expiry
}
