package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Check reports what keeps requests from being let in, for a readiness probe: HelseID's
// keys cannot be had or are another issuer's, this machine's clock is off, or the
// replay store cannot be used, if it has a method Check(context.Context) error as those
// of package redisstore have. It fetches keys if there are none, so that the first
// requests need not wait for them. See [tokenvalidation.Validator.Check].
//
// The error joins everything found: test it with errors.Is for
// tokenvalidation.ErrUnavailable, tokenvalidation.ErrClock, ErrConfig and those of the
// replay store. Give the context a deadline that is shorter than the probe's.
func (m *Middleware) Check(ctx context.Context) error {
	var errs []error
	if err := m.validator.Check(ctx); err != nil {
		if errors.Is(err, tokenvalidation.ErrConfig) {
			err = fmt.Errorf("%w: %w", ErrConfig, err)
		}
		errs = append(errs, err)
	}
	if store, ok := m.config.Proof.Replay.(interface{ Check(context.Context) error }); ok && !m.config.BearerOnly {
		if err := store.Check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("replay store: %w", redact.Foreign(err)))
		}
	}
	return errors.Join(errs...)
}
