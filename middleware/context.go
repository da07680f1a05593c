package middleware

import (
	"context"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

type contextKey struct{}

// caller is what a handler can learn of a request that was let in.
type caller struct {
	claims *tokenvalidation.Claims
	token  AccessToken
}

// Claims returns what the request's access token says. It is nil where no
// middleware has let the request in.
func Claims(ctx context.Context) *tokenvalidation.Claims {
	if caller, ok := ctx.Value(contextKey{}).(*caller); ok {
		return caller.claims
	}
	return nil
}

// Token returns the request's access token, for a token exchange. It is empty
// where no middleware has let the request in.
func Token(ctx context.Context) AccessToken {
	if caller, ok := ctx.Value(contextKey{}).(*caller); ok {
		return caller.token
	}
	return AccessToken{}
}

// AccessToken is a caller's access token. Printed, logged or marshalled in any
// way it reads "[redacted]"; only Reveal gives the value.
type AccessToken struct {
	unprintable
	value redact.Hidden[string]
}

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable

// Reveal returns the token.
func (t AccessToken) Reveal() string { return t.value.Reveal() }
