package helseidtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// A client is the sum of its options.
func TestClientOptions(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	given := helseidtest.Client{ID: "mine", Name: "Mine", Scopes: make([]string, 0, 8), Actors: []string{"an-api"}}
	config := server.NewClient(given, helseidtest.Scopes("a:b", "c:d"), helseidtest.Scopes("e:f"),
		helseidtest.RedirectURI("https://app.example.no/callback"), helseidtest.Delegations("994598759"))
	require.Equal(t, "mine", config.ClientID)
	require.Equal(t, identity.MultiTenant, config.Tenancy)
	require.Empty(t, given.Scopes[:3][0], "the caller's list is not written to")

	registered := server.Clients()[0]
	require.Equal(t, []string{"a:b", "c:d", "e:f"}, registered.Scopes)
	require.Equal(t, []string{"an-api"}, registered.Actors)
	require.Equal(t, []string{"994598759"}, registered.Delegations)
	require.Equal(t, []string{"https://app.example.no/"}, registered.PostLogoutRedirectURIs)
	require.Equal(t, mint.DefaultSupplier, registered.ParentOrganization)
	require.Equal(t, []string{"client_credentials", "authorization_code", "refresh_token"}, registered.GrantTypes)
}

// A key of the caller's signs, and is what the file says.
func TestSigningKey(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	key := helseidtest.SigningKey(signer, clientassertion.KeyOptions{Algorithm: "RS512", KeyID: "my-key"})
	config, err := helseid.ParseConfig(server.ConfigFile(key, helseidtest.Scopes(testScope)))
	require.NoError(t, err)
	require.Equal(t, "my-key", config.Key.ID())
	require.Equal(t, "RS512", config.Key.Algorithm())
	config.HTTPClient = server.HTTPClient()
	for _, config := range []helseid.Config{config, server.NewClient(key, helseidtest.Scopes(testScope))} {
		client, err := helseid.New(config)
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
	}
}

func TestNonsenseOfClients(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	for name, option := range map[string]helseidtest.ClientOption{
		"a redirect URI": helseidtest.RedirectURI("/callback"),
		"a delegation":   helseidtest.Delegations("123"),
		"a key":          helseidtest.SigningKey(nil, clientassertion.KeyOptions{}),
		"a registration": helseidtest.Client{PublicJWKs: [][]byte{[]byte("{}")}},
	} {
		require.Panics(t, func() { server.NewClient(option) }, name)
		require.Panics(t, func() { server.ConfigFile(option) }, name)
	}
	require.Empty(t, server.Clients())
}
