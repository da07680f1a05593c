package guides_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
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

// kubernetesStore keeps the keys in a Secret, within the client's configuration file.
type kubernetesStore struct {
	api  *http.Client            // trusts the cluster's authority
	url  string                  // https://kubernetes.default.svc/api/v1/namespaces/journal/secrets/helseid
	file selvbetjening.FileStore // a copy, in a folder that is in memory
	mu   sync.Mutex              // for the copy
}

type secret struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"` // another one after each change
	} `json:"metadata"`
	Data map[string][]byte `json:"data"` // in Base64, as encoding/json and Kubernetes have it
}

// Load fetches the file and reads it.
func (s *kubernetesStore) Load(ctx context.Context) (keys selvbetjening.StoredKeys, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.call(ctx, http.MethodGet, nil)
	if err != nil {
		return keys, err
	}
	if err := os.WriteFile(s.file.Path, found.Data["client.json"], 0o600); err != nil {
		return keys, err
	}
	keys, err = s.file.Load(ctx)
	keys.Version = found.Metadata.ResourceVersion
	return keys, err
}

// Save changes the copy and puts it into the Secret, if that still has the version in keys.
func (s *kubernetesStore) Save(ctx context.Context, keys selvbetjening.StoredKeys) (version string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changed secret
	changed.Metadata.ResourceVersion = keys.Version
	copied, err := s.file.Load(ctx)
	if err != nil {
		return "", err
	}
	keys.Version = copied.Version // the copy's own
	if _, err := s.file.Save(ctx, keys); err != nil {
		return "", err
	}
	content, err := os.ReadFile(s.file.Path)
	if err != nil {
		return "", err
	}
	changed.Data = map[string][]byte{"client.json": content}
	patch, err := json.Marshal(changed)
	if err != nil {
		return "", err
	}
	saved, err := s.call(ctx, http.MethodPatch, patch)
	return saved.Metadata.ResourceVersion, err
}

func (s *kubernetesStore) call(ctx context.Context, method string, body []byte) (found secret, err error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url, bytes.NewReader(body))
	if err != nil {
		return found, err
	}
	token, err := os.ReadFile(tokenFile) // for each request: Kubernetes replaces it
	if err != nil {
		return found, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("Content-Type", "application/merge-patch+json")
	response, err := s.api.Do(request)
	if err != nil {
		return found, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusConflict { // the Secret has another version by now
		return found, selvbetjening.ErrKeysChanged
	}
	if response.StatusCode != http.StatusOK {
		return found, fmt.Errorf("the Secret: %s", response.Status)
	}
	return found, json.NewDecoder(response.Body).Decode(&found)
}

// endregion

var tokenFile string // /var/run/secrets/kubernetes.io/serviceaccount/token

// A rotation in one pod changes the Secret, and a client in another one goes on with the
// new key.
func TestRotationInKubernetes(t *testing.T) {
	server := newServer(t, helseidtest.Selvbetjening{})
	folder := t.TempDir()
	tokenFile = filepath.Join(folder, "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte("a-token"), 0o600))
	mounted := filepath.Join(folder, "mounted.json")
	require.NoError(t, os.WriteFile(mounted, server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope, "nhn:some-api/read")), 0o600))
	var version atomic.Int64
	cluster := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var patch, found secret
		if r.Method == http.MethodPatch && json.NewDecoder(r.Body).Decode(&patch) == nil {
			if patch.Metadata.ResourceVersion != strconv.FormatInt(version.Load(), 10) {
				w.WriteHeader(http.StatusConflict)
				return
			}
			version.Add(1)
			_ = os.WriteFile(mounted, patch.Data["client.json"], 0o600)
		}
		content, _ := os.ReadFile(mounted)
		found.Data = map[string][]byte{"client.json": content}
		found.Metadata.ResourceVersion = strconv.FormatInt(version.Load(), 10)
		_ = json.NewEncoder(w).Encode(found)
	}))
	t.Cleanup(cluster.Close)

	config, err := helseid.LoadConfig(mounted)
	require.NoError(t, err)
	before := config.Key.ID()
	config.HTTPClient = server.HTTPClient()
	reader := config
	reader.KeySource, err = helseid.NewKeyFile(helseid.KeyFileConfig{Path: mounted, Interval: time.Nanosecond})
	require.NoError(t, err)
	client := newClient(t, reader)

	ctx := t.Context()
	api, secretURL, copied := cluster.Client(), cluster.URL, filepath.Join(folder, "client.json")
	own := selvbetjening.Config{BaseURL: server.SelvbetjeningURL()}
	// region rotate
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client:        config, // of the mounted file
		Store:         &kubernetesStore{api: api, url: secretURL, file: selvbetjening.FileStore{Path: copied}},
		Selvbetjening: own,                  // hide
		Kind:          clientassertion.P256, // hide
		Settle:        -1,                   // hide
	})
	require.NoError(t, err)
	defer rotation.Close()
	err = rotation.Rotate(ctx)
	// endregion
	require.NoError(t, err)
	after, err := helseid.LoadConfig(mounted)
	require.NoError(t, err)
	require.NotEqual(t, before, after.Key.ID())
	require.Equal(t, config.ClientID, after.ClientID)
	_, err = client.Token(ctx, helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	require.NoError(t, err)
	kid, _ := client.KeyExpiry(ctx)
	require.Equal(t, after.Key.ID(), kid)

	// Of two jobs that have read the same keys, one saves its own.
	store := &kubernetesStore{api: api, url: secretURL, file: selvbetjening.FileStore{Path: copied}}
	stored, err := store.Load(ctx)
	require.NoError(t, err)
	saved, err := store.Save(ctx, stored)
	require.NoError(t, err)
	require.NotEqual(t, stored.Version, saved)
	_, err = store.Save(ctx, stored)
	require.ErrorIs(t, err, selvbetjening.ErrKeysChanged)
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
