package mint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable

// Minter mints the tokens and proofs of a HelseID for tests. A helseidtest.Server has
// one and uses it for helseidtest.Server.Token and similar methods, so tests need no Minter of
// their own. All fields are required. Printed, logged or marshalled it reads
// "[redacted]".
type Minter struct {
	unprintable

	// Issuer is the claim iss.
	Issuer string

	// Lifetime is the lifetime of access tokens.
	Lifetime time.Duration

	// Now returns the time at which tokens and proofs are made.
	Now func() time.Time

	// SigningKey returns the key that signs tokens at the moment.
	SigningKey func() *Key

	// ProofKey signs proofs. Access tokens are bound to it.
	ProofKey *Key

	// User returns the claims of a person who has just logged in, for [ForUser].
	User func(personalIdentityNumber string) (claims map[string]any, known bool)
}

const (
	idTokenLifetime     = 5 * time.Minute
	logoutTokenLifetime = 2 * time.Minute
	logoutEvent         = "http://schemas.openid.net/event/backchannel-logout"
)

// AccessToken mints an access token bound to ProofKey. Without options it is a system's
// token for [DefaultAudience].
func (m *Minter) AccessToken(opts ...TokenOption) (string, error) {
	now := m.Now().Unix()
	token := m.newToken("at+jwt", map[string]any{
		"iss":               m.Issuer,
		"aud":               DefaultAudience,
		"client_id":         DefaultClientID,
		"client_amr":        "private_key_jwt",
		"iat":               now,
		"nbf":               now,
		"exp":               now + int64(m.Lifetime/time.Second),
		"jti":               strings.ToUpper(jose.NewID()),
		"cnf":               map[string]string{"jkt": m.ProofKey.Thumbprint()},
		claim.ClientName:    "helseidtest client",
		claim.ClientTenancy: "single-tenant",
		claim.Parent:        DefaultParentOrganization,
	})
	return token.sign(append(slices.Clone(opts), func(t *tokenSpec) {
		if _, decided := t.claims["scope"]; !decided {
			t.claims["scope"] = []string{firstAudience(t.claims["aud"]) + "/read"}
		}
	}))
}

// IDToken mints an ID token for [DefaultClientID]. Options add the claims about a user.
func (m *Minter) IDToken(opts ...TokenOption) (string, error) {
	now := m.Now().Unix()
	return m.newToken("JWT", map[string]any{
		"iss": m.Issuer, "aud": DefaultClientID, "iat": now, "nbf": now, "exp": now + int64(idTokenLifetime/time.Second),
	}).sign(opts)
}

// LogoutToken mints a logout token (OpenID Connect Back-Channel Logout 1.0) for
// [DefaultClientID]. Options add the user or the session.
func (m *Minter) LogoutToken(opts ...TokenOption) (string, error) {
	now := m.Now().Unix()
	return m.newToken("logout+jwt", map[string]any{
		"iss": m.Issuer, "aud": DefaultClientID, "iat": now, "exp": now + int64(logoutTokenLifetime/time.Second), "jti": jose.NewID(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}).sign(opts)
}

// newToken makes an unsigned token of this type for the current signing key.
func (m *Minter) newToken(typ string, claims map[string]any) *tokenSpec {
	signing := m.SigningKey()
	return &tokenSpec{
		minter: m,
		header: map[string]any{"typ": typ, "alg": signing.algorithm(), "kid": signing.ID()},
		claims: claims,
		key:    signing,
	}
}

// sign applies the options and signs the result.
func (t *tokenSpec) sign(opts []TokenOption) (string, error) {
	for _, option := range opts {
		option(t)
	}
	for name, value := range t.claims {
		if pending, ok := value.(pendingClaim); ok {
			value, err := pending(t.claims)
			if err != nil {
				t.fail(err)
			}
			t.claims[name] = value
		}
	}
	if t.err != nil {
		return "", t.err
	}
	return signObjects(t.key, t.header, t.claims, t.mangle)
}

func firstAudience(aud any) string {
	switch aud := aud.(type) {
	case string:
		return aud
	case []string:
		if len(aud) > 0 {
			return aud[0]
		}
	}
	return DefaultAudience
}

// signObjects leaves out members whose value is nil.
func signObjects(key *Key, header, claims map[string]any, mangle func(string) string) (string, error) {
	isNil := func(_ string, value any) bool { return value == nil }
	maps.DeleteFunc(header, isNil)
	maps.DeleteFunc(claims, isNil)
	headerJSON, err := json.Marshal(marked(header))
	if err != nil {
		return "", fmt.Errorf("mint: header: %w", err)
	}
	claimsJSON, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("mint: claims: %w", err)
	}
	token, err := key.sign(headerJSON, claimsJSON)
	if err != nil {
		return "", fmt.Errorf("mint: %w", err)
	}
	if mangle != nil {
		token = mangle(token)
	}
	return token, nil
}
