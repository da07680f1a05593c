package middleware

import (
	"context"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

type contextKey struct{}

// caller is the sender of a request, as far as it is known.
type caller struct {
	claims *tokenvalidation.Claims // nil until the token is known to be genuine
	token  identity.Secret
	proof  *dpop.Proof
	proven bool // by a proof, or because no proof is required

	request *Request
	pass    pass
	nested  bool
	outer   *caller // accepted by an outer guard
}

func callerOf(ctx context.Context) *caller {
	found, _ := ctx.Value(contextKey{}).(*caller)
	return found
}

// Claims returns the claims of the request's access token. It returns nil if no
// middleware has accepted the request.
func Claims(ctx context.Context) *tokenvalidation.Claims {
	if caller := callerOf(ctx); caller != nil {
		return caller.claims
	}
	return nil
}

// Token returns the request's access token, for a token exchange. It is empty if no
// middleware has accepted the request.
func Token(ctx context.Context) identity.Secret {
	if caller := callerOf(ctx); caller != nil {
		return caller.token
	}
	return identity.Secret{}
}

// NewContext returns a context in which [Claims] and [Token] find these values, for
// tests of handlers without a guard. A guard ignores them.
func NewContext(ctx context.Context, claims *tokenvalidation.Claims, token string) context.Context {
	return context.WithValue(ctx, contextKey{}, &caller{
		claims: claims, token: identity.NewSecret(token), outer: callerOf(ctx),
	})
}

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable
