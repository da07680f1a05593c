package middleware

import (
	"context"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// errNotGuarded is for handlers that no middleware has let the request in to.
var errNotGuarded = redact.Words("middleware: UserInfo: the context is not that of a request that the middleware has let in")

// UserInfo asks HelseID about the user of the request that is being served: the
// token's claims, and the details of the register of health personnel. Each call is
// a request to HelseID: see tokenvalidation.Validator.UserInfo, also for the errors.
// The client must have got its token with the scope openid.
//
// HelseID's page shows the token sent as a bearer token. The HelseID of package
// helseidtest demands a proof of a bound token unless it is told otherwise
// (helseidtest.Relaxed(rule.UserInfoProof)).
func (m *Middleware) UserInfo(ctx context.Context) (*identity.UserInfo, error) {
	token := Token(ctx).Reveal()
	if token == "" {
		return nil, errNotGuarded
	}
	return m.validator.UserInfo(ctx, token)
}
