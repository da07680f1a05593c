package exchange

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

// Signing has keys make signatures: the client's key for assertions, and the DPoP key
// for proofs.
type Signing struct {
	Timeout time.Duration // for all attempts together
	Retries int
	Work    *lifecycle.Lifecycle

	// Failed is called for each failure. The wait until the next attempt is zero if
	// there is none.
	Failed func(ctx context.Context, err error, wait time.Duration)
}

// KeyError is an error of a request with the client's key: the key did not sign, or
// HelseID has refused what it had signed. It reads as what it wraps.
type KeyError struct {
	KeyID string // the kid
	Err   error
}

// Error is the text of the error.
func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *KeyError) Unwrap() error { return e.Err }

// Sign calls do, which signs, until it succeeds, since a KMS may throttle. A retry is
// safe: nothing has been sent with the signature that failed. The attempts end with
// the context, and take no longer together than Timeout. For detached work they also end
// with its caller, until it is committed. retrying is called before each retry.
func (s *Signing) Sign(ctx context.Context, retrying func(), do func(ctx context.Context) error) error {
	defer lifecycle.FlightOf(ctx).Sign()()
	attended, leave := lifecycle.Attended(ctx)
	defer leave()
	limited, cancel := context.WithTimeout(attended, s.Timeout)
	defer cancel()
	for try := 0; ; try++ {
		err := do(limited)
		if !errors.Is(err, clientassertion.ErrKey) {
			return err
		}
		wait := bulkhead.Backoff(try, 0)
		if try >= s.Retries || limited.Err() != nil || s.Work.Closed() || !clock.Sleep(limited, wait) {
			s.Failed(ctx, err, 0)
			return err
		}
		s.Failed(ctx, err, wait)
		retrying()
	}
}
