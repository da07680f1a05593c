package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Check reports what prevents the API from accepting requests, for a readiness probe:
// HelseID's keys are not available or belong to another issuer, this machine's clock is
// wrong, or the replay store cannot be used. The replay store is checked if it has a
// method Check(context.Context) error, as the stores of package redisstore have. Check
// fetches keys if there are none, so that the first requests need not wait for them.
// See [tokenvalidation.Validator.Check].
//
// The error joins everything that was found. Test it with [errors.Is] for
// [tokenvalidation.ErrUnavailable], [tokenvalidation.ErrClock], [ErrConfig] and the
// errors of the replay store. Give the context a deadline that is shorter than the
// probe's.
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
