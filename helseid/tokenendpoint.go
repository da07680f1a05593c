package helseid

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/jose"
)

const (
	grantClientCredentials = "client_credentials"
	grantCode              = "authorization_code"
	grantRefreshToken      = "refresh_token"

	// tokenRequestTimeout limits one token request with all its attempts.
	tokenRequestTimeout = exchange.Timeout
)

// tokenRequester asks HelseID for tokens.
type tokenRequester struct{ *exchange.Exchange }

// tokenGrant is a grant with its parameters.
type tokenGrant struct {
	parameters url.Values
	details    []clientassertion.Detail
	scopes     []string // asked for
	tokenType  string
	once       bool // the grant carries a code or a refresh token
}

// fetchToken waits for its turn and fetches a token.
func (e tokenRequester) fetchToken(ctx context.Context, grant tokenGrant) (token *Token, err error) {
	err = e.InTurn(ctx, e.Budgets.Tokens, func(turn *bulkhead.Turn) error {
		token, err = e.requestToken(ctx, turn, grant)
		return err
	})
	return token, err
}

// requestToken sends a request to the token endpoint.
func (e tokenRequester) requestToken(ctx context.Context, turn *bulkhead.Turn, grant tokenGrant) (*Token, error) {
	result, object, err := e.askToken(ctx, turn, grant)
	if err != nil {
		return nil, err
	}
	return readToken(result, object, grant, e.Prover.Thumbprint())
}

// askToken sends a request to the token endpoint and reads the part of the answer
// that all grants have in common. If there was a successful answer that cannot be
// understood, it returns that answer together with the error.
func (e tokenRequester) askToken(ctx context.Context, turn *bulkhead.Turn, grant tokenGrant) (exchange.Answer, jose.Object, error) {
	result, err := e.Do(ctx, turn, exchange.Request{
		Endpoint:   exchange.TokenEndpoint,
		Parameters: grant.parameters,
		Details:    grant.details,
		Prove:      grant.tokenType == tokenTypeDPoP,
		Once:       grant.once,
	})
	if err != nil {
		return exchange.Answer{}, jose.Object{}, err
	}
	if result.Status != http.StatusOK {
		return result, jose.Object{}, fmt.Errorf("%w: the token endpoint answered status %d", ErrInvalidResponse, result.Status)
	}
	object, err := result.Object(tokenMembers...)
	return result, object, err
}
