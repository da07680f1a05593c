package idtoken_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
)

// FuzzIDTokenClaims: whatever a genuine ID token or logout token says, it is
// refused with a reason or says no more than is in it.
func FuzzIDTokenClaims(f *testing.F) {
	server := helseidtest.NewServer(f, helseidtest.InMemory(), helseidtest.TokenLifetime(time.Hour))
	validator := newValidator(f, server)
	for _, seed := range []string{`null`, `1`, `"x"`, `""`, `[]`, `{}`, `{"http://schemas.openid.net/event/backchannel-logout":{}}`, `-1`, `1e300`, `9223372036854775807`, `true`, `"06828399789"`} {
		for _, name := range []string{"sub", "sid", "events", "nonce", "iat", "exp", "auth_time", "azp", "at_hash", "jti", "aud", "amr", "helseid://claims/identity/security_level"} {
			f.Add(name, seed)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		requireRefusal := func(err error) {
			var refused *idtoken.Error
			require.ErrorAs(t, err, &refused, err)
			require.ErrorIs(t, err, idtoken.ErrInvalid)
		}
		if token, ok := tryMint(func() string { return idToken(server, mint.Claim(name, json.RawMessage(value))) }); ok {
			claims, err := validator.Validate(t.Context(), token, idtoken.Expectation{Nonce: "the-nonce"})
			if err != nil {
				requireRefusal(err)
			} else {
				require.Equal(t, "the-nonce", claims.Nonce)
				require.NotEmpty(t, claims.User.Subject)
				require.True(t, claims.User.HPRNumber == "" || claims.User.HPRNumber.Valid())
				require.LessOrEqual(t, claims.User.SecurityLevel, identity.SecurityLevel4)
			}
			_, err = validator.ValidateLogout(t.Context(), token)
			if name != "events" {
				requireRefusal(err)
			}
		}
		if token, ok := tryMint(func() string {
			return server.LogoutToken(mint.Audience(loginClient), mint.Claim(name, json.RawMessage(value)))
		}); ok {
			claims, err := validator.ValidateLogout(t.Context(), token)
			if err != nil {
				requireRefusal(err)
				return
			}
			require.True(t, claims.Subject != "" || claims.SessionID != "")
			require.NotEmpty(t, claims.ID)
		}
	})
}

// tryMint mints a token with a claim that need not be JSON.
func tryMint(mint func() string) (token string, ok bool) {
	defer func() { ok = recover() == nil }()
	return mint(), true
}
