package tokenvalidation

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// Claims are the claims of a valid access token. All handlers of a request share them:
// do not change them.
//
// A claim that is missing, null or of a wrong type leaves its field empty; Malformed
// names those of a wrong type. Times are in UTC.
type Claims struct {
	// Issuer is iss.
	Issuer string

	// Audience is aud: the short names of the APIs that the token is for.
	Audience []string

	// ID is jti.
	ID string

	// IssuedAt, NotBefore and Expiry are iat, nbf and exp.
	IssuedAt, NotBefore, Expiry time.Time

	// Scopes are the granted scopes.
	Scopes []string

	// ClientID is the client that got the token, and after a token exchange the
	// one that exchanged it.
	ClientID string

	// ClientName is for logs only, and never for access control.
	ClientName string

	// ClientAuthentication is client_amr: how the client authenticated, such as
	// "private_key_jwt".
	ClientAuthentication string

	// Tenancy is the client's tenancy.
	Tenancy identity.Tenancy

	// Organization is the organisation that the client acts for.
	Organization identity.Organization

	// User is the person who has logged in, or nil for the token of a system.
	User *identity.User

	// Subject is sub. The token of a system may lack it, or have the client id.
	Subject string

	// OriginalClientID is the first client of a token exchange, or "".
	OriginalClientID string

	// Actor is the newest actor of a token exchange, or nil.
	Actor *Actor

	// JournalID is the SFM journal of a multi-tenant client (nhn:sfm:journal-id),
	// and SFMID that of a single-tenant one.
	JournalID, SFMID string

	// Attest is the trust framework's attest (nhn:tillitsrammeverk:parameters),
	// or nil.
	Attest *Attest

	// Confirmation names the key that the token is bound to.
	Confirmation Confirmation

	// Malformed names the claims that were left out because they are of a wrong
	// type or a list of more than 256 elements, for the audit record. It has 16
	// names at most, followed by "others" if there are more.
	Malformed []string

	// object is behind a function so that no print verb reaches it.
	object func() jose.Object
}

// Actor is a client in a chain of token exchanges.
type Actor struct {
	Issuer       string
	ClientID     string
	Organization identity.Organization

	// Actor is the earlier client, or nil.
	Actor *Actor
}

// Confirmation is cnf (RFC 7800): the key that the sender of the token must prove to
// have.
type Confirmation struct {
	// Present reports whether the token has the claim, in any form.
	Present bool

	// Thumbprint is jkt, the thumbprint of the DPoP key.
	Thumbprint string

	// Unsupported reports that the claim requires something other than a DPoP key, or
	// is malformed: such a token must be refused everywhere.
	Unsupported bool
}

// HasScope reports whether the scope was granted.
func (c *Claims) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// IsSystem reports that the token is of a system, without a user.
func (c *Claims) IsSystem() bool { return c.User == nil }

// Raw returns a claim's JSON as it stood in the token, such as an API's own
// claim "nhn:some-api/client/claims/some-id". Claims that a test has written by hand have
// none.
func (c *Claims) Raw(name string) (json.RawMessage, bool) {
	if c.object == nil {
		return nil, false
	}
	value := c.object().Get(name)
	if value.Absent() {
		return nil, false
	}
	return json.RawMessage(value.Raw()), true
}

// ErrNoClaim means that a token lacks a claim.
var ErrNoClaim = words("the token has no such claim")

// Claim decodes a claim into a value of type T, by encoding/json. The error
// wraps [ErrNoClaim] if the token has no such claim; it never quotes the claim.
func Claim[T any](c *Claims, name string) (T, error) {
	var value T
	raw, ok := c.Raw(name)
	if !ok {
		return value, fmt.Errorf("%w: %s", ErrNoClaim, name)
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, fmt.Errorf("claim %s is not a %T", name, value)
	}
	return value, nil
}
