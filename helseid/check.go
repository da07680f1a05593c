package helseid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/metadata"
)

// ErrClock means that this machine's clock differs from HelseID's by more than five
// seconds. It is also tokenvalidation.ErrClock.
var ErrClock = errClock

// errClock keeps the name of an internal package out of the documentation of ErrClock.
var errClock = metadata.ErrClock

// Check finds out at start-up what would go wrong later: HelseID cannot be reached,
// the metadata names another issuer, the key is not known, a scope is not granted,
// the clock is wrong. It fetches the metadata and a token for each request, and keeps
// all of them for later use. Without requests it fetches no token, so the key is not
// checked. A multi-tenant client names an organisation that has delegated to it, in the
// request or in the context ([ForOrganization]).
//
// A key that expires within 30 days is an error that wraps [ErrKeyExpiry], if its expiry
// is known (see [Client.SetKeyExpiry]).
//
// The error joins everything that was found: test it with [errors.Is] and
// [errors.As]. An error that wraps only [ErrUnavailable] is no reason not to start:
// the client gets its tokens when HelseID is back. Nor is one that wraps only
// ErrKeyExpiry.
func (c *Client) Check(ctx context.Context, requests ...TokenRequest) error {
	var errs []error
	if _, err := c.exchange.Endpoint(ctx, exchange.TokenEndpoint); err != nil {
		return err // nothing else can succeed
	}
	if difference := c.exchange.Metadata.ClockDifference(); difference.Abs() > exchange.MaxClockDifference {
		errs = append(errs, fmt.Errorf("%w: it differs from HelseID's by %v: synchronise it", ErrClock, difference.Abs().Round(time.Second)))
	}
	for i, request := range requests {
		if _, err := c.Token(ctx, request); err != nil {
			errs = append(errs, fmt.Errorf("token request %d %v: %w", i+1, request.Scopes, err))
		}
	}
	if err := c.checkKeyExpiry(ctx); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
