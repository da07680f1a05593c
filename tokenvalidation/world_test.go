package tokenvalidation_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// TestMain fails if a token or a national identity number is in the process's log.
func TestMain(m *testing.M) { testkit.RunLogged(m, testkit.FindCredential) }

func newServer(t testing.TB) *helseidtest.Server {
	t.Helper()
	return helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TokenLifetime(time.Hour))
}

func newValidator(t testing.TB, server *helseidtest.Server, change func(*tokenvalidation.Config)) *tokenvalidation.Validator {
	t.Helper()
	config := tokenvalidation.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience, HTTPClient: server.HTTPClient()}
	if change != nil {
		change(&config)
	}
	validator, err := tokenvalidation.New(config)
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	return validator
}

// validated are the claims of a token with these options.
func validated(t testing.TB, options ...mint.TokenOption) *tokenvalidation.Claims {
	t.Helper()
	server := newServer(t)
	claims, err := newValidator(t, server, nil).Validate(t.Context(), server.Token(options...))
	require.NoError(t, err)
	return claims
}

func requireReason(t testing.TB, err error, reason tokenvalidation.Reason) {
	t.Helper()
	require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken)
	require.NotErrorIs(t, err, tokenvalidation.ErrUnavailable)
	var refused *tokenvalidation.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason)
	require.NotEmpty(t, err.Error())
	require.Empty(t, testkit.FindCredential(err.Error()))
}

// transport is a round tripper that is a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wait moves a synctest bubble's clock.
func wait(d time.Duration) { <-time.After(d) }
