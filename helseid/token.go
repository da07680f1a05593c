package helseid

import (
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
)

// The token types, which are also the schemes of the Authorization header.
const (
	tokenTypeDPoP   = "DPoP"
	tokenTypeBearer = "Bearer"
)

// Token is an access token, bound to the client's DPoP key unless the request asked
// for an unbound one. It is shared between callers: do not change it.
type Token struct {
	// Access is the token itself.
	Access identity.Secret

	// Type is its token_type: "DPoP", or "Bearer" if the request asked for that.
	Type string

	// Expiry is when the token ends, counted from the start of the request that
	// fetched it. It is zero if HelseID did not say; such a token is not cached.
	Expiry time.Time

	// Scopes are the granted scopes, in HelseID's order: those of the answer,
	// otherwise those in the token itself, otherwise those asked for.
	Scopes []string

	// RejectedScopes are scopes that HelseID left out because the organisation
	// has not accepted the API's terms (HelseID's rejected_scope).
	RejectedScopes []string

	fetched time.Time // the start of the request that fetched it
	started time.Time // the same, with a monotonic clock reading
	checked bool      // has every scope that was asked for

	// The ages from which on the token is renewed, and not used any more.
	staleAge, deadAge time.Duration

	audiences int    // number of APIs in the token's audience, if that is an array
	audience  string // the only API, or ""
}

// header returns the token as the value of the header Authorization.
func (t *Token) header() string { return t.Type + " " + t.Access.Reveal() }

// isIn reports whether this is the token in a value of the header Authorization.
func (t *Token) isIn(authorization string) bool { return t != nil && t.header() == authorization }
