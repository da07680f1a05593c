package redisstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/redisstore"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/middleware"
)

// The code of the guide to several processes.
func TestGuide(t *testing.T) {
	url, cleanup := exampleRedis()
	t.Cleanup(cleanup)
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	jwk, err := key.MarshalPrivateJWK()
	require.NoError(t, err)
	t.Setenv("REDIS_URL", url)
	t.Setenv("STORE_KEY", exampleKey().Reveal())
	t.Setenv("DPOP_KEY", string(jwk))
	server := helseidtest.NewServer(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("client.json", server.ConfigFile(helseidtest.Scopes("nhn:some-api/read")), 0o600))
	ctx := t.Context()

	// region client
	store, err := redisstore.New(redisstore.Config{
		URL:            identity.NewSecret(os.Getenv("REDIS_URL")), // rediss://user:password@redis.example.no:6379
		EncryptionKeys: []identity.Secret{identity.NewSecret(os.Getenv("STORE_KEY"))},
	})
	require.NoError(t, err)
	defer func() { _ = store.Close() }() // hide
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.TokenCache = store.TokenCache() // one token for all processes
	config.Store = store.Rows()            // sessions and logins, if users log in
	config.DPoPKey, err = dpop.ParseKey([]byte(os.Getenv("DPOP_KEY")), dpop.KeyOptions{})
	require.NoError(t, err)
	client, err := helseid.New(config)
	// endregion
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Token(ctx, helseid.TokenRequest{})
	require.NoError(t, err)

	// region api
	replays, err := redisstore.NewReplays(redisstore.Config{URL: identity.NewSecret(os.Getenv("REDIS_URL"))})
	require.NoError(t, err)
	protection := middleware.Config{
		Issuer:    helseid.Production.Issuer(),
		Audience:  "nhn:some-api",
		PublicURL: "https://api.example.no",
		Proof:     dpop.VerifierConfig{Replay: replays},
	}
	protection.Issuer = server.Issuer() // hide
	auth, err := middleware.New(protection)
	// endregion
	require.NoError(t, err)
	defer func() { auth.Close(); _ = replays.Close() }()

	// region check
	err = store.Check(ctx) // and auth.Check(ctx), which asks the replay store, too
	// endregion
	require.NoError(t, err)
	require.NoError(t, auth.Check(ctx))
}

// The code of the guide to keys.
func TestKeysGuide(t *testing.T) {
	url, cleanup := exampleRedis()
	t.Cleanup(cleanup)
	server := helseidtest.NewServer(t, helseidtest.Selvbetjening{})
	file := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(file, server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope)), 0o600))
	config, err := helseid.LoadConfig(file)
	require.NoError(t, err)
	ctx, own := t.Context(), selvbetjening.Config{BaseURL: server.SelvbetjeningURL()}

	// region rotation
	settings := redisstore.Config{
		URL:              identity.NewSecret(os.Getenv("REDIS_URL")),
		EncryptionKeys:   []identity.Secret{identity.NewSecret(os.Getenv("STORE_KEY"))},
		KeepClientKeys:   true, // private keys in Redis, encrypted
		TrustPersistence: true, // this Redis forgets nothing: appendonly yes, appendfsync always
	}
	settings.URL, settings.EncryptionKeys = identity.NewSecret(url), []identity.Secret{exampleKey()} // hide
	store, err := redisstore.New(settings)
	require.NoError(t, err)
	defer func() { _ = store.Close() }() // hide
	keys, err := store.ClientKeys(config.ClientID)
	require.NoError(t, err)
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client:        config,
		Store:         keys, // or a FileStore on a disk that all instances have
		Lock:          store.KeyLock(config.ClientID),
		Selvbetjening: own,                  // hide
		Kind:          clientassertion.P256, // hide
		Settle:        -1,                   // hide
	})
	// endregion
	require.NoError(t, err)
	defer rotation.Close()
	require.NoError(t, rotation.Rotate(ctx))
	stored, err := keys.Load(ctx)
	require.NoError(t, err)
	require.NotEqual(t, config.Key.ID(), stored.Current.ID())
}
