package middleware

import (
	"context"
	"fmt"
	"io"
	"log/slog"

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
	value redact.Hidden
}

// Reveal returns the token.
func (t AccessToken) Reveal() string { return t.value.Reveal() }

// String returns "[redacted]".
func (t AccessToken) String() string { return redact.Placeholder }

// GoString returns "[redacted]".
func (t AccessToken) GoString() string { return redact.Placeholder }

// Format prints "[redacted]" for every verb.
func (t AccessToken) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, redact.Placeholder)
}

// MarshalText returns "[redacted]".
func (t AccessToken) MarshalText() ([]byte, error) { return []byte(redact.Placeholder), nil }

// LogValue returns "[redacted]".
func (t AccessToken) LogValue() slog.Value { return slog.StringValue(redact.Placeholder) }
