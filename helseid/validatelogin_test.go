package helseid_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A login request can be checked before anybody logs in.
func TestValidateLogin(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	found, err := w.client.ValidateLogin(loginRequest())
	require.NoError(t, err)
	require.Equal(t, redirectURI, found)
	_, err = w.client.ValidateLogin(helseid.LoginRequest{RedirectURI: "http://ehr.example.no/", SecurityLevel: 5})
	requireError(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "RedirectURI")
	require.ErrorContains(t, err, "SecurityLevel")
	require.Empty(t, w.server.Requests(helseidtest.EndpointPAR))
	require.Empty(t, w.server.Requests(helseidtest.EndpointMetadata))
}

func TestSessionStoreIsTheConfigured(t *testing.T) {
	t.Parallel()
	store := &helseid.MemoryStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	require.Same(t, store, w.client.Sessions().Store())
	require.NotNil(t, newLoginWorld(t, worldOptions{}).client.Sessions().Store())
}
