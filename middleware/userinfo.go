package middleware

import (
	"context"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// errNotGuarded means that no middleware has accepted the request.
var errNotGuarded = redact.Words("middleware: UserInfo: the context does not belong to a request that the middleware has accepted")

// UserInfo asks HelseID about the user of the current request: the user's claims, and
// the details of the register of health personnel. Each call sends a request to
// HelseID. The client must have requested its token with the scope openid. For the
// errors see [tokenvalidation.Validator.UserInfo].
//
// HelseID's documentation shows the access token sent as a bearer token. The HelseID of
// package helseidtest requires a proof for a bound token unless the option
// helseidtest.Relaxed(rule.UserInfoProof) is used.
func (m *Middleware) UserInfo(ctx context.Context) (*identity.UserInfo, error) {
	token := Token(ctx).Reveal()
	if token == "" {
		return nil, errNotGuarded
	}
	return m.validator.UserInfo(ctx, token)
}
