package helseid

import (
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
)

// The token types, which are the schemes of the Authorization header too.
const (
	tokenTypeDPoP   = "DPoP"
	tokenTypeBearer = "Bearer"
)

// Token is an access token, bound to the client's DPoP key unless the request
// was for an unbound one. It is shared between callers: do not change it.
type Token struct {
	// Access is the token itself.
	Access identity.Secret

	// Type is its token_type: "DPoP", or "Bearer" if that was asked for.
	Type string

	// Expiry is when the token ends, counted from the start of the request that
	// fetched it. It is zero if HelseID did not say; such a token is not kept.
	Expiry time.Time

	// Scopes are the granted scopes, in HelseID's order: those of the answer,
	// else those that the token itself carries, else those asked for.
	Scopes []string

	// RejectedScopes are scopes that HelseID left out because the organisation
	// has not accepted the API's terms (HelseID's rejected_scope).
	RejectedScopes []string

	fetched time.Time // the start of the request that fetched it
	started time.Time // the same by this process's own clock
	checked bool      // has every scope that was asked for

	// The ages at which it is stale, and not handed out any more.
	staleAge, deadAge time.Duration

	audiences int    // how many APIs the token says it is for, if they are an array
	audience  string // the only one
}
