package helseidtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

func TestRemove(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := server.NewClient(helseidtest.Scopes("nhn:test-api/read"))
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

	server.RemoveUser(mint.DefaultPersonalIdentityNumber)
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

// A client's key may be registered as its tool writes it, with members that
// nobody set.
func TestRegisteredKeyWithUnsetMembers(t *testing.T) {
	t.Parallel()
	for name, unset := range map[string]string{"null": "null", "an empty list": "[]", "an empty text": `""`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := helseidtest.NewServer(t)
			key, jwk := newClientKey(t)
			var members map[string]any
			require.NoError(t, json.Unmarshal([]byte(jwk), &members))
			for _, member := range []string{"kid", "use", "key_ops", "x5c", "x5t", "x5u"} {
				members[member] = json.RawMessage(unset)
			}
			members["oth"], members["d"], members["k"] = []int{}, nil, nil
			data, err := json.Marshal(members)
			require.NoError(t, err)
			require.NoError(t, server.AddClient(helseidtest.Client{ID: "client", PublicJWKs: [][]byte{data}, Scopes: []string{"a:b"}}))
			client, err := helseid.New(helseid.Config{Issuer: server.Issuer(), ClientID: "client", Key: key, HTTPClient: server.HTTPClient()})
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{"a:b"}})
			require.NoError(t, err)
		})
	}
	server := helseidtest.NewServer(t)
	_, jwk := newClientKey(t)
	for name, bad := range map[string]string{
		"d empty":        strings.Replace(jwk, "{", `{"d":"",`, 1),
		"other primes":   strings.Replace(jwk, "{", `{"oth":[1],`, 1),
		"a member twice": strings.Replace(jwk, "{", `{"kty":"EC",`, 1),
	} {
		require.Error(t, server.AddClient(helseidtest.Client{ID: "client", PublicJWKs: [][]byte{[]byte(bad)}}), name)
	}
}
