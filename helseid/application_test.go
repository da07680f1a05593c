package helseid_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A session knows which application its login was for, wherever it is found, and
// HelseID is not told.
func TestApplication(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	request := loginRequest()
	request.Application = "https://ehr.example.no/ journal"
	session := w.logInWith(t, request)
	require.Equal(t, request.Application, session.Application())
	_, err := userToken(t, session, journalResource) // writes the record again
	require.NoError(t, err)
	again, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
	require.NoError(t, err)
	require.Equal(t, request.Application, again.Application())
	for _, endpoint := range []helseidtest.Endpoint{helseidtest.EndpointPAR, helseidtest.EndpointToken} {
		for _, sent := range w.server.Requests(endpoint) {
			require.NotContains(t, sent.Form.Encode(), "journal+")
			require.NotContains(t, sent.Form.Encode(), "application")
		}
	}
	require.Empty(t, w.logIn(t).Application())

	for _, bad := range []string{strings.Repeat("x", 513), "a\nb", "æ", "\x7f"} {
		request.Application = bad
		_, err := w.client.ValidateLogin(request)
		require.ErrorIs(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "field Application")
	}
	request.Application = strings.Repeat("x", 512)
	_, err = w.client.ValidateLogin(request)
	require.NoError(t, err)
}

func TestNamesOfTheClient(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	require.Equal(t, w.config.Issuer, w.client.Issuer())
	require.Equal(t, w.config.ClientID, w.client.ID())
}
