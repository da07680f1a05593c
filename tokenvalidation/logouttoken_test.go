package tokenvalidation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// The rules of OpenID Connect Back-Channel Logout 1.0 section 2.6, one fault at a
// time.
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	validator, err := tokenvalidation.NewIDToken(tokenvalidation.IDTokenConfig{Issuer: server.Issuer(), ClientID: loginClient})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	const event = "http://schemas.openid.net/event/backchannel-logout"
	claim, header := mint.Claim, mint.Header
	type options = []mint.TokenOption
	for name, test := range map[string]struct {
		options options
		reason  tokenvalidation.Reason // empty: accepted
	}{
		"genuine":               {nil, ""},
		"typ JWT":               {options{header("typ", "JWT")}, ""},
		"no typ":                {options{header("typ", nil)}, ""},
		"sid alone":             {options{claim("sub", nil)}, ""},
		"sub alone":             {options{claim("sid", nil)}, ""},
		"event with members":    {options{claim("events", map[string]any{event: map[string]any{"x": 1}, "other": 1})}, ""},
		"neither sid nor sub":   {options{claim("sub", nil), claim("sid", nil)}, tokenvalidation.ReasonLogout},
		"empty sid, no sub":     {options{claim("sub", nil), claim("sid", "")}, tokenvalidation.ReasonLogout},
		"sid of a wrong type":   {options{claim("sid", 7)}, tokenvalidation.ReasonLogout},
		"sub of a wrong type":   {options{claim("sub", true)}, tokenvalidation.ReasonLogout},
		"null sub":              {options{claim("sub", rawNull{})}, ""},
		"no events":             {options{claim("events", nil)}, tokenvalidation.ReasonLogout},
		"another event":         {options{claim("events", map[string]any{"x": map[string]any{}})}, tokenvalidation.ReasonLogout},
		"event of a wrong kind": {options{claim("events", map[string]any{event: true})}, tokenvalidation.ReasonLogout},
		"nonce":                 {options{claim("nonce", "x")}, tokenvalidation.ReasonLogout},
		"null nonce":            {options{claim("nonce", rawNull{})}, tokenvalidation.ReasonLogout},
		"no jti":                {options{claim("jti", nil)}, tokenvalidation.ReasonLogout},
		"empty jti":             {options{claim("jti", "")}, tokenvalidation.ReasonLogout},
		"no iat":                {options{claim("iat", nil)}, tokenvalidation.ReasonLogout},
		"no exp":                {options{claim("exp", nil)}, tokenvalidation.ReasonTime},
		"expired":               {options{mint.Expired()}, tokenvalidation.ReasonExpired},
		"not yet":               {options{claim("iat", time.Now().Unix()+600)}, tokenvalidation.ReasonNotYet},
		"another client":        {options{mint.Audience("another")}, tokenvalidation.ReasonAudience},
		"several clients":       {options{mint.Audience(loginClient, "another")}, tokenvalidation.ReasonAudience},
		"another issuer":        {options{claim("iss", "https://evil.example")}, tokenvalidation.ReasonIssuer},
		"an access token":       {options{header("typ", "at+jwt")}, tokenvalidation.ReasonType},
		"alg none":              {options{header("alg", "none")}, tokenvalidation.ReasonAlgorithm},
		"broken signature":      {options{mint.BrokenSignature()}, tokenvalidation.ReasonSignature},
		"an unknown key":        {options{mint.SignedWithUnknownKey()}, tokenvalidation.ReasonSignature},
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
	_, err = validator.ValidateLogout(t.Context(), idToken(server, claim("nonce", nil)))
	requireReason(t, err, tokenvalidation.ReasonLogout)
	logout := server.LogoutToken(mint.Audience(loginClient), header("typ", "JWT"))
	_, err = validator.Validate(t.Context(), logout, tokenvalidation.IDTokenExpectation{})
	requireReason(t, err, tokenvalidation.ReasonType)
}

// rawNull is a claim that is there and null.
type rawNull struct{}

func (rawNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }
