package helseid

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/jose"
)

// The members of the metadata that name endpoints.
const (
	tokenEndpoint      = "token_endpoint"
	parEndpoint        = "pushed_authorization_request_endpoint"
	authorizeEndpoint  = "authorization_endpoint"
	userInfoEndpoint   = "userinfo_endpoint"
	revocationEndpoint = "revocation_endpoint"
	endSessionEndpoint = "end_session_endpoint"
)

const (
	grantClientCredentials = "client_credentials"
	grantCode              = "authorization_code"
	grantRefreshToken      = "refresh_token"

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

// fetchToken fetches a token when it is its turn.
func (e *exchanger) fetchToken(ctx context.Context, grant tokenGrant) (token *Token, err error) {
	err = e.inTurn(ctx, e.budgets.tokens, func(turn *turn) error {
		token, err = e.requestToken(ctx, turn, grant)
		return err
	})
	return token, err
}

// inTurn calls ask when a request of this kind may go out. The metadata is there
// by then, so that nothing but the request itself is left to wait for.
func (e *exchanger) inTurn(ctx context.Context, kind *bulkhead, ask func(turn *turn) error) error {
	turn, err := kind.join()
	if err != nil {
		return err
	}
	defer turn.leave()
	if _, err := e.endpoint(ctx, tokenEndpoint); err != nil {
		return err
	}
	if err := turn.await(ctx); err != nil {
		return err
	}
	return ask(turn)
}

// requestToken sends a request to the token endpoint.
func (e *exchanger) requestToken(ctx context.Context, turn *turn, grant tokenGrant) (*Token, error) {
	result, object, err := e.askToken(ctx, turn, grant)
	if err != nil {
		return nil, err
	}
	return result.token(object, grant, e.prover.Thumbprint())
}

// askToken sends a request to the token endpoint and reads its answer as far as
// all grants have it in common. An answer comes back with the error if there was
// one that says yes, but not in a way that can be understood.
func (e *exchanger) askToken(ctx context.Context, turn *turn, grant tokenGrant) (answer, jose.Object, error) {
	result, err := e.do(ctx, turn, backChannelRequest{
		endpoint:   tokenEndpoint,
		parameters: grant.parameters,
		details:    grant.details,
		prove:      grant.tokenType == tokenTypeDPoP,
		once:       grant.once,
	})
	if err != nil {
		return answer{}, jose.Object{}, err
	}
	if result.status != http.StatusOK {
		return result, jose.Object{}, fmt.Errorf("%w: the token endpoint answered status %d", ErrInvalidResponse, result.status)
	}
	object, err := result.object(tokenEndpoint, tokenMembers...)
	return result, object, err
}
