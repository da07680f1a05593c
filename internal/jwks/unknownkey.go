package jwks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// patience is how long a caller waits at most for the next permitted fetch to
	// start.
	patience = 3 * time.Second

	// longestWait bounds the whole wait of a caller, fetches included.
	longestWait = 10 * time.Second

	// maxWaiting bounds the callers that wait. A cold start has as many as there are
	// requests under way, and the API can do nothing for them before it has keys.
	maxWaiting = 1024
)

var (
	errNotAsked = redact.Words("the key is not among those that are known, and the issuer was asked a moment ago: it is asked again in some seconds")
	errCrowded  = redact.Words("too many callers wait for the issuer's keys")
	errSlow     = redact.Words("the issuer does not answer in time")
	errClosed   = fmt.Errorf("%w: %w", ErrUnavailable, redact.Words("closed"))
)

// ask returns the set with a key that was not known when the caller came.
func (s *KeySet) ask(ctx context.Context, kid string) (*version, error) {
	s.mu.Lock()
	if s.waiting >= maxWaiting {
		defer s.mu.Unlock()
		return nil, s.noTelling(kid, time.Now(), errCrowded)
	}
	s.waiting++
	before := s.flights
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	deadline := time.Now().Add(patience)
	limit, cancel := context.WithTimeoutCause(ctx, longestWait, errSlow)
	defer cancel()
	var last *flight
	for {
		if current := s.known(kid); current != nil {
			return current, nil
		}
		switch {
		case last == nil:
		case last.err != nil:
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, last.err)
		case last.complete && last.number > before:
			return nil, ErrUnknownKey
		}
		var err error
		if last, err = s.next(limit, kid, deadline); err != nil {
			return nil, err
		}
	}
}

// next waits for a fetch to end and returns it, or returns nil when a fetch is permitted
// or has brought the key.
func (s *KeySet) next(ctx context.Context, kid string, deadline time.Time) (*flight, error) {
	f, pause, err := s.demand(kid, deadline)
	switch {
	case err != nil:
		return nil, err
	case f == nil:
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.lifetime.Done():
			return nil, errClosed
		case <-ctx.Done():
			return nil, gaveUp(ctx)
		}
		return nil, nil
	}
	for _, event := range []<-chan struct{}{f.stored, f.done} {
		if s.known(kid) != nil {
			return nil, nil
		}
		select {
		case <-event:
		case <-ctx.Done():
			return nil, gaveUp(ctx)
		}
	}
	return f, nil
}

func gaveUp(ctx context.Context) error {
	err := context.Cause(ctx)
	if !errors.Is(err, errSlow) {
		err = ctx.Err() // the cause is the caller's own
	}
	return fmt.Errorf("%w: wait for the issuer's keys: %w", ErrUnavailable, err)
}

// demand joins the running fetch or starts one, if the pace permits. If it will
// permit one before the deadline, it returns the pause until then.
func (s *KeySet) demand(kid string, deadline time.Time) (*flight, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.lifetime.Err() != nil {
		return nil, 0, errClosed
	}
	if s.flight == nil {
		next := s.pace.next()
		if next.After(now) {
			if err := s.noTelling(kid, now, errNotAsked); next.After(deadline) || errors.Is(err, ErrUnknownKey) {
				return nil, 0, err
			}
			return nil, next.Sub(now), nil
		}
		s.start(now, kid)
	}
	return s.flight, 0, nil
}

// noTelling is the error for a key that the issuer was not asked about: it may have the
// key, unless it has withdrawn it. The lock is held.
func (s *KeySet) noTelling(kid string, now time.Time, why error) error {
	if current := s.usable(now); current != nil && current.hasWithdrawn(kid, now) {
		return ErrUnknownKey
	}
	if s.failure != nil {
		why = s.failure
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, why)
}
