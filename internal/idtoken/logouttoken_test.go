package idtoken_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/verification"
)

// The rules of OpenID Connect Back-Channel Logout 1.0 section 2.6, one fault at a
// time.
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator := newValidator(t, server)
	const event = "http://schemas.openid.net/event/backchannel-logout"
	claim, header := mint.Claim, mint.Header
	type options = []mint.TokenOption
	for name, test := range map[string]struct {
		options options
		reason  verification.Reason // empty: accepted
	}{
		"genuine":               {nil, ""},
		"typ JWT":               {options{header("typ", "JWT")}, ""},
		"no typ":                {options{header("typ", nil)}, ""},
		"sid alone":             {options{claim("sub", nil)}, ""},
		"sub alone":             {options{claim("sid", nil)}, ""},
		"event with members":    {options{claim("events", map[string]any{event: map[string]any{"x": 1}, "other": 1})}, ""},
		"neither sid nor sub":   {options{claim("sub", nil), claim("sid", nil)}, idtoken.ReasonLogout},
		"empty sid, no sub":     {options{claim("sub", nil), claim("sid", "")}, idtoken.ReasonLogout},
		"sid of a wrong type":   {options{claim("sid", 7)}, idtoken.ReasonLogout},
		"sub of a wrong type":   {options{claim("sub", true)}, idtoken.ReasonLogout},
		"null sub":              {options{claim("sub", rawNull{})}, ""},
		"no events":             {options{claim("events", nil)}, idtoken.ReasonLogout},
		"another event":         {options{claim("events", map[string]any{"x": map[string]any{}})}, idtoken.ReasonLogout},
		"event of a wrong kind": {options{claim("events", map[string]any{event: true})}, idtoken.ReasonLogout},
		"nonce":                 {options{claim("nonce", "x")}, idtoken.ReasonLogout},
		"null nonce":            {options{claim("nonce", rawNull{})}, idtoken.ReasonLogout},
		"no jti":                {options{claim("jti", nil)}, idtoken.ReasonLogout},
		"empty jti":             {options{claim("jti", "")}, idtoken.ReasonLogout},
		"no iat":                {options{claim("iat", nil)}, idtoken.ReasonLogout},
		"no exp":                {options{claim("exp", nil)}, verification.ReasonTime},
		"expired":               {options{mint.Expired()}, verification.ReasonExpired},
		"not yet":               {options{claim("iat", time.Now().Unix()+600)}, verification.ReasonNotYet},
		"another client":        {options{mint.Audience("another")}, verification.ReasonAudience},
		"several clients":       {options{mint.Audience(loginClient, "another")}, verification.ReasonAudience},
		"another issuer":        {options{claim("iss", "https://evil.example")}, verification.ReasonIssuer},
		"an access token":       {options{header("typ", "at+jwt")}, verification.ReasonType},
		"alg none":              {options{header("alg", "none")}, verification.ReasonAlgorithm},
		"broken signature":      {options{mint.BrokenSignature()}, verification.ReasonSignature},
		"an unknown key":        {options{mint.SignedWithUnknownKey()}, verification.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := server.LogoutToken(append(options{mint.Audience(loginClient)}, test.options...)...)
			claims, err := validator.ValidateLogout(t.Context(), token)
			if test.reason != "" {
				requireReason(t, err, test.reason)
				require.Nil(t, claims)
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, claims.ID)
			require.NotEmpty(t, claims.Subject+claims.SessionID)
		})
	}

	// An ID token is no logout token, and the other way round.
	_, err := validator.ValidateLogout(t.Context(), idToken(server, claim("nonce", nil)))
	requireReason(t, err, idtoken.ReasonLogout)
	logout := server.LogoutToken(mint.Audience(loginClient), header("typ", "JWT"))
	_, err = validator.Validate(t.Context(), logout, idtoken.Expectation{})
	requireReason(t, err, verification.ReasonType)
}

// rawNull is a claim that is there and null.
type rawNull struct{}

func (rawNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }
