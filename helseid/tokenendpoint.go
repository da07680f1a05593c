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
	once       bool     // the grant carries a code or a refresh token
}

// requestToken fetches a token.
func (c *Client) requestToken(ctx context.Context, grant tokenGrant) (*Token, error) {
	result, err := c.requestTokenAnswer(ctx, grant)
	if err != nil {
		return nil, err
	}
	return result.token(result.sent, grant.scopes, c.prover.Thumbprint())
}

// requestTokenAnswer sends a request to the token endpoint, when it is its
// turn.
func (c *Client) requestTokenAnswer(ctx context.Context, grant tokenGrant) (answer, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%w: too many token requests are under way", ErrUnavailable)
	}
	result, err := c.exchange(ctx, backChannelRequest{
		endpoint:   "token_endpoint",
		parameters: grant.parameters,
		details:    grant.details,
		prove:      true,
		once:       grant.once,
	})
	if err == nil && result.status != http.StatusOK {
		err = fmt.Errorf("%w: the token endpoint answered status %d", ErrInvalidResponse, result.status)
	}
	return result, err
}
