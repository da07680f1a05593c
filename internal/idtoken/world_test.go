package idtoken_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/internal/verification"
)

// TestMain fails if a token or a national identity number is in the process's log.
func TestMain(m *testing.M) { testkit.RunLogged(m, testkit.FindCredential) }

const loginClient = "the-login-client"

// idToken mints an ID token as HelseID writes them: type JWT, the client as
// audience, the nonce of the login.
func idToken(server *helseidtest.Server, opts ...mint.TokenOption) string {
	standard := []mint.TokenOption{
		mint.Clinician(),
		mint.Audience(loginClient),
		mint.Header("typ", "JWT"),
		mint.Claim("nonce", "the-nonce"),
		mint.Claim("client_id", nil),
		mint.Claim("scope", nil),
		mint.Unbound(),
	}
	return server.Token(append(standard, opts...)...)
}

func newValidator(t testing.TB, server *helseidtest.Server) *idtoken.Validator {
	t.Helper()
	validator := idtoken.New(metadata.NewSource(server.Issuer(), server.HTTPClient(), "jwks_uri"), loginClient, server.HTTPClient())
	t.Cleanup(validator.Close)
	return validator
}

func requireReason(t testing.TB, err error, reason verification.Reason) {
	t.Helper()
	require.ErrorIs(t, err, idtoken.ErrInvalid)
	require.NotErrorIs(t, err, jwks.ErrUnavailable)
	var refused *idtoken.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason)
	require.NotEmpty(t, err.Error())
	require.Empty(t, testkit.FindCredential(err.Error()))
}
