package helseid

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/internal/clock"
)

// tokenState is where a token is in its life.
type tokenState int

const (
	tokenDead  tokenState = iota // it is not handed out
	tokenStale                   // it is handed out, and renewed in the background
	tokenFresh
)

const (
	// A token is stale in the last tenth of its life, but not before its last 30
	// seconds.
	staleShare, maxStaleMargin = 10, 30 * time.Second

	// It is dead in the last twentieth, but not before its last 5 seconds: it must
	// still be good when it arrives at the API.
	deadShare, maxDeadMargin = 20, 5 * time.Second
)

// maxTokenLifetime bounds what an answer may claim. HelseID's tokens live an
// hour at most.
const maxTokenLifetime = 24 * time.Hour

// setLifetime computes the three states from the start of the request.
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

// age is how long ago the token was fetched, by whichever clock says more: a
// machine that slept must not take its token for good, nor one whose clock has been set
// back.
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

// renewalRetry is how long to wait after a failed renewal of a stale token.
func (t *Token) renewalRetry() time.Duration {
	return min(30*time.Second, (t.Expiry.Sub(t.fetched)-t.staleAge)/3)
}

// renew starts a flight without waiting for it, and returns it. A failure leaves
// the old token in place and the next attempt for later.
func (s *TokenSource) renew() <-chan singleflight.Result {
	entry := s.entry()
	entry.mu.Lock()
	defer entry.mu.Unlock()
	now := time.Now()
	token := entry.token.Load()
	if now.Before(entry.renewAt) || token.state(now) != tokenStale {
		return nil
	}
	entry.renewAt = now.Add(token.renewalRetry())
	return s.tokens.memory.flights.DoChan(string(s.request.key[:]), s.fly)
}

// maxFreshWait is how long a request that cannot be sent twice waits for a newer
// token when it has one that is still good.
const maxFreshWait = 2 * time.Second

// freshToken returns a token that is not near its end, for a request that
// cannot be sent twice. A stale one is better than none, and HelseID is asked no
// more often than for other requests.
func (s *TokenSource) freshToken(ctx context.Context) (*Token, error) {
	if s.err != nil {
		return nil, s.err
	}
	if entry := s.entry(); entry.token.Load().state(time.Now()) == tokenStale {
		if flight := s.renew(); flight != nil {
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
