package helseid

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

// tokenState is a phase in the life of a token.
type tokenState int

const (
	tokenDead  tokenState = iota // not used any more
	tokenStale                   // used, and renewed in the background
	tokenFresh
)

const (
	// A token is stale in the last tenth of its life, but at most in its last 30
	// seconds.
	staleShare, maxStaleMargin = 10, 30 * time.Second

	// It is dead in the last twentieth of its life, but at most in its last 5
	// seconds: it must still be valid when it arrives at the API.
	deadShare, maxDeadMargin = 20, 5 * time.Second
)

// maxTokenLifetime limits the lifetime that an answer may state. HelseID's tokens
// live for an hour at most.
const maxTokenLifetime = 24 * time.Hour

// setLifetime sets the times that decide the token's state, counted from the start of
// the request.
func (t *Token) setLifetime(start time.Time, lifetime time.Duration) {
	lifetime = min(lifetime, maxTokenLifetime)
	// HelseID writes exp in whole seconds: a token may end almost a second
	// before expires_in has passed.
	t.started, t.fetched = start, start.Round(0).Truncate(time.Second)
	t.Expiry = t.fetched.Add(lifetime)
	t.staleAge = lifetime - min(maxStaleMargin, lifetime/staleShare)
	t.deadAge = lifetime - min(maxDeadMargin, lifetime/deadShare)
}

// limit ends the token's use a given time after it was fetched, if it would live
// longer.
func (t *Token) limit(lifetime time.Duration) {
	if !t.Expiry.IsZero() && t.Expiry.Sub(t.fetched) > lifetime {
		t.setLifetime(t.started, lifetime)
	}
}

// age returns how long ago the token was fetched, by the wall clock or the monotonic
// clock, whichever says more: the machine may have slept, or its wall clock may have
// been set back.
func (t *Token) age(now time.Time) time.Duration {
	return clock.Moment{Wall: t.fetched, Own: t.started}.Age(now)
}

func (t *Token) state(now time.Time) tokenState {
	if t == nil {
		return tokenDead
	}
	switch age := t.age(now); {
	case age >= t.deadAge:
		return tokenDead
	case age >= t.staleAge:
		return tokenStale
	}
	return tokenFresh
}

// renewalRetry returns how long to wait after a failed renewal of a stale token.
func (t *Token) renewalRetry() time.Duration {
	return min(30*time.Second, (t.Expiry.Sub(t.fetched)-t.staleAge)/3)
}

// renew starts a flight without waiting for it, and returns it. If it fails, the old
// token stays and the next attempt is made later.
func (s *TokenSource) renew(caller context.Context) <-chan singleflight.Result {
	entry := s.entry()
	entry.mu.Lock()
	defer entry.mu.Unlock()
	now := time.Now()
	token := entry.token.Load()
	if now.Before(entry.renewAt) || token.state(now) != tokenStale {
		return nil
	}
	entry.renewAt = now.Add(token.renewalRetry())
	return s.depart(caller, &lifecycle.Flight{})
}

// maxFreshWait is how long a request that cannot be sent twice waits for a newer
// token if it has one that is still valid.
const maxFreshWait = 2 * time.Second

// freshToken returns a token that does not expire soon, for a request that cannot be
// sent twice. If none comes in time it returns the stale one. HelseID is asked no
// more often than for other requests.
func (s *TokenSource) freshToken(ctx context.Context) (*Token, error) {
	if s.err != nil {
		return nil, s.err
	}
	if entry := s.entry(); entry.token.Load().state(time.Now()) == tokenStale {
		if flight := s.renew(ctx); flight != nil {
			timer := time.NewTimer(maxFreshWait)
			defer timer.Stop()
			select {
			case <-flight:
			case <-timer.C:
			case <-ctx.Done():
				return nil, s.gaveUp(ctx)
			}
		}
	}
	return s.token(ctx)
}
