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

// Signing asks keys for signatures: the client's for its assertions, and the DPoP key
// for its proofs.
type Signing struct {
	Timeout time.Duration // for all tries together
	Retries int
	Work    *lifecycle.Lifecycle

	// Failed is told of each failure. The wait until the next try is zero if there
	// is none.
	Failed func(ctx context.Context, err error, wait time.Duration)
}

// Sign calls do, which signs, until it succeeds: a KMS may throttle. A repetition
// costs no credential, since nothing has been sent with the signature that failed.
// The tries end with the context, and together they take no longer than one request
// to HelseID may. Retrying is called before each repetition.
func (s *Signing) Sign(ctx context.Context, retrying func(), do func(ctx context.Context) error) error {
	defer lifecycle.FlightOf(ctx).Sign()()
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
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
