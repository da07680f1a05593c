package guides_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

func TestKeyOfAMountedSecret(t *testing.T) {
	server := newServer(t, helseidtest.Selvbetjening{})
	folder := t.TempDir()
	mounted := filepath.Join(folder, "client.json")
	content := server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope, "nhn:some-api/read"))
	require.NoError(t, os.WriteFile(mounted, content, 0o600))
	t.Setenv("HELSEID_CONFIG", mounted)
	onEvent := func(context.Context, helseid.Event) {}
	ctx := t.Context()

	// region mounted
	path := os.Getenv("HELSEID_CONFIG") // /etc/helseid/client.json
	config, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient() // hide
	config.KeySource, err = helseid.NewKeyFile(helseid.KeyFileConfig{Path: path, Logger: slog.Default(), OnEvent: onEvent})
	require.NoError(t, err)
	config.Logger, config.OnEvent = slog.Default(), onEvent
	client, err := helseid.New(config)
	// endregion
	require.NoError(t, err)
	defer client.Close()

	api := server.SelvbetjeningURL()
	// region expiry
	self, err := selvbetjening.New(selvbetjening.Config{
		Client:  client, // which has been granted selvbetjening.Scope
		BaseURL: api,    // hide
	})
	require.NoError(t, err)
	keys, err := self.ClientSecrets(ctx) // once a day: the client learns when its key expires
	// endregion
	require.NoError(t, err)
	require.Len(t, keys, 1)
	_, expiry := client.KeyExpiry(ctx)
	require.False(t, expiry.IsZero())
}

// region event

func onKeyEvent(_ context.Context, event helseid.Event) {
	switch event.Kind {
	case helseid.EventKeyExpiry: // 30, 14, 7 and 1 days before, and when it has expired
		alert(fmt.Sprintf("the key %s of %s expires in %.0f days", event.KeyID, event.ClientID, time.Until(event.Expiry).Hours()/24))
	case helseid.EventKeyFailed, helseid.EventKeyOrphan:
		alert(fmt.Sprintf("key %s: %s: %v", event.KeyID, event.Kind, event.Err))
	case helseid.EventKeyReplaced:
		slog.Info("new key", "kid", event.KeyID)
	}
}

// endregion

func alert(string) {}

func TestRotation(t *testing.T) {
	server := newServer(t, helseidtest.Selvbetjening{})
	clientFile(t, server, helseidtest.Scopes(selvbetjening.Scope, "nhn:some-api/read"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	own := selvbetjening.Config{BaseURL: server.SelvbetjeningURL()}
	// region rotation
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient() // hide
	config.Logger, config.OnEvent = slog.Default(), onKeyEvent
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client:        config,
		Store:         selvbetjening.FileStore{Path: "client.json"},
		Selvbetjening: own,                  // hide
		Kind:          clientassertion.P256, // hide
		Settle:        -1,                   // hide
	})
	require.NoError(t, err)
	defer rotation.Close()
	go rotation.Run(ctx) // replaces the key 30 days before it expires
	client := rotation.Client()
	// endregion
	_, err = client.Token(ctx, helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	require.NoError(t, err)
	// region now
	err = rotation.Rotate(ctx)
	// endregion
	require.NoError(t, err)
	stored, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	require.NotEqual(t, config.Key.ID(), stored.Key.ID())
}

// region store

// vaultStore keeps a client's keys in a vault.
type vaultStore struct{ vault vault }

// Load returns what was saved last.
func (s vaultStore) Load(ctx context.Context) (keys selvbetjening.StoredKeys, err error) {
	secret, err := s.vault.Read(ctx, "helseid-keys")
	if errors.Is(err, errNothing) {
		return keys, nil // the first time: the key of the configuration counts
	}
	if err != nil {
		return keys, err
	}
	keys.CurrentSince, keys.PendingSince = secret.CurrentSince, secret.PendingSince
	if keys.Current, err = clientassertion.ParseKey(secret.Current, clientassertion.KeyOptions{}); err != nil {
		return keys, err
	}
	if secret.Pending != nil {
		keys.Pending, err = clientassertion.ParseKey(secret.Pending, clientassertion.KeyOptions{})
	}
	return keys, err
}

// Save replaces all of it at once, and returns when it is durable.
func (s vaultStore) Save(ctx context.Context, keys selvbetjening.StoredKeys) error {
	secret := vaultSecret{CurrentSince: keys.CurrentSince, PendingSince: keys.PendingSince}
	var err error
	if secret.Current, err = keys.Current.MarshalPrivateJWK(); err != nil {
		return err
	}
	if keys.Pending != nil {
		if secret.Pending, err = keys.Pending.MarshalPrivateJWK(); err != nil {
			return err
		}
	}
	return s.vault.Write(ctx, "helseid-keys", secret)
}

// endregion

type vaultSecret struct {
	Current, Pending           []byte
	CurrentSince, PendingSince time.Time
}

var errNothing = errors.New("nothing there")

type vault map[string]vaultSecret

func (v vault) Read(_ context.Context, name string) (vaultSecret, error) {
	secret, found := v[name]
	if !found {
		return secret, errNothing
	}
	return secret, nil
}

func (v vault) Write(_ context.Context, name string, secret vaultSecret) error {
	v[name] = secret
	return nil
}

func TestRotationWithAStoreOfOnesOwn(t *testing.T) {
	server := newServer(t, helseidtest.Selvbetjening{})
	config := server.NewClient(helseidtest.Scopes(selvbetjening.Scope))
	kept := vault{}
	rotation, err := selvbetjening.NewRotation(t.Context(), selvbetjening.RotationConfig{
		Client: config, Store: vaultStore{kept}, Selvbetjening: selvbetjening.Config{BaseURL: server.SelvbetjeningURL()},
		Kind: clientassertion.P256, Settle: -1,
	})
	require.NoError(t, err)
	defer rotation.Close()
	require.NoError(t, rotation.Rotate(t.Context()))
	keys, err := vaultStore{kept}.Load(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, config.Key.ID(), keys.Current.ID())
	require.Nil(t, keys.Pending)
}

func TestKeyOfAnHSM(t *testing.T) {
	var signer crypto.Signer
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	server := newServer(t)
	// region hsm
	key, err := clientassertion.NewKey(signer, clientassertion.KeyOptions{}) // signer is a crypto.Signer of the HSM's library
	require.NoError(t, err)
	fmt.Println(string(key.PublicJWK())) // register this in HelseID Selvbetjening
	config := helseid.Config{Issuer: helseid.Test.Issuer(), ClientID: "the client's id", Key: key}
	// endregion
	config.Issuer, config.HTTPClient = server.Issuer(), server.HTTPClient()
	require.NoError(t, server.AddClient(helseidtest.Client{ID: config.ClientID, PublicJWKs: [][]byte{key.PublicJWK()}, ParentOrganization: "994598759", Scopes: []string{"nhn:some-api/read"}}))
	_, err = newClient(t, config).Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
}
