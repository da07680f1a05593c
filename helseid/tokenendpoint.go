package helseid

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
)

const (
	grantClientCredentials = "client_credentials"

	// tokenRequestTimeout bounds one token request with all its attempts.
	tokenRequestTimeout = 45 * time.Second
)

// tokenGrant is a grant with its parameters.
type tokenGrant struct {
	parameters url.Values
	details    []clientassertion.Detail
	scopes     []string // asked for
	tokenType  string
	once       bool // the grant carries a code or a refresh token
}

// fetchToken fetches a token when it is its turn, and in an outage does not add
// to the trouble.
func (c *Client) fetchToken(ctx context.Context, grant tokenGrant) (*Token, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many token requests are under way", ErrUnavailable)
	}
	return c.outage.run(ctx, func() (*Token, error) { return c.requestToken(ctx, grant) })
}

// requestToken sends a request to the token endpoint.
func (c *Client) requestToken(ctx context.Context, grant tokenGrant) (*Token, error) {
	result, err := c.exchange(ctx, backChannelRequest{
		endpoint:   "token_endpoint",
		parameters: grant.parameters,
		details:    grant.details,
		prove:      grant.tokenType == tokenTypeDPoP,
		once:       grant.once,
	})
	if err != nil {
		return nil, err
	}
	if result.status != http.StatusOK {
		return nil, fmt.Errorf("%w: the token endpoint answered status %d", ErrInvalidResponse, result.status)
	}
	return result.token(result.sent, grant.tokenType, grant.scopes, c.prover.Thumbprint())
}
