package middleware

import (
	"context"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

type contextKey struct{}

// caller is who has sent a request, as far as that is known.
type caller struct {
	claims *tokenvalidation.Claims // nil until the token is known to be genuine
	token  identity.Secret
	proof  *dpop.Proof
	proven bool // by a proof, or no proof is asked for

	request *Request
	pass    pass
	nested  bool
	outer   *caller // whom another guard around this one has let in
}

func callerOf(ctx context.Context) *caller {
	found, _ := ctx.Value(contextKey{}).(*caller)
	return found
}

// Claims returns what the request's access token says. It is nil where no
// middleware has let the request in.
func Claims(ctx context.Context) *tokenvalidation.Claims {
	if caller := callerOf(ctx); caller != nil {
		return caller.claims
	}
	return nil
}

// Token returns the request's access token, for a token exchange. It is empty
// where no middleware has let the request in.
func Token(ctx context.Context) identity.Secret {
	if caller := callerOf(ctx); caller != nil {
		return caller.token
	}
	return identity.Secret{}
}

// NewContext returns a context in which [Claims] and [Token] find these, for tests of
// handlers that have no guard before them. A guard does not go by it.
func NewContext(ctx context.Context, claims *tokenvalidation.Claims, token string) context.Context {
	return context.WithValue(ctx, contextKey{}, &caller{
		claims: claims, token: identity.NewSecret(token), outer: callerOf(ctx),
	})
}

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable
