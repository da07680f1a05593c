package helseid

import (
	"context"
	"errors"
	"time"
)

// signing asks keys for signatures: the client's for its assertions, and the DPoP key
// for its proofs.
type signing struct {
	timeout time.Duration // for all tries together
	retries int
	work    *lifecycle
	report  *reporter
}

// sign calls do, which signs, until it succeeds: a KMS may throttle. A repetition
// costs no credential, since nothing has been sent with the signature that failed.
// The tries end with the context, and together they take no longer than one request
// to HelseID may.
func (s *signing) sign(ctx context.Context, event Event, do func(ctx context.Context) error) error {
	if waits := flightOf(ctx); waits != nil {
		waits.signing.Add(1)
		defer waits.signing.Add(-1)
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for try := 0; ; try++ {
		err := do(limited)
		if !errors.Is(err, ErrKey) {
			return err
		}
		wait := backoff(try, 0)
		if try >= s.retries || limited.Err() != nil || s.work.lifetime.Err() != nil || !sleep(limited, wait) {
			s.report.logKey(ctx, err)
			return err
		}
		s.report.logKeyRetry(ctx, err, wait)
		event.Kind = EventRetry
		s.report.emit(ctx, event)
	}
}
