package helseidtest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func TestRemove(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := server.ClientConfig(t, "nhn:test-api/read")
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	require.Len(t, server.Clients(), 1)
	require.Equal(t, config.ClientID, server.Clients()[0].ID)
	server.RemoveClient(config.ClientID)
	require.Empty(t, server.Clients())
	_, err = client.Token(t.Context(), helseid.TokenRequest{})
	var refusal *helseid.TokenError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "invalid_client", refusal.Code)

	server.RemoveUser(helseidtest.DefaultPersonalIdentityNumber)
	require.Len(t, server.Users(), 2)
	server.RemoveUser(helseidtest.ClinicianAtLevel3)
	server.RemoveUser(helseidtest.PersonWithoutHPRNumber)
	require.Len(t, server.Users(), 1, "somebody must be able to log in")
}

func TestStartPage(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "start at "+r.URL.Path) })
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Path("/sts"), helseidtest.StartPage(page))
	for path, want := range map[string]string{"/": "start at /sts/", "/x": "start at /sts/x", "/connect/token": `"error"`} {
		response, err := server.HTTPClient().Get(server.Issuer() + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Contains(t, string(body), want)
	}
}
