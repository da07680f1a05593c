package guides_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// region expiry
	self, err := selvbetjening.New(selvbetjening.Config{
		Client:  client, // which has been granted selvbetjening.Scope
		BaseURL: api,    // hide
	})
	require.NoError(t, err)
	go watchExpiry(ctx, self)
	// endregion
	require.Eventually(t, func() bool {
		_, expiry := client.KeyExpiry(ctx)
		return !expiry.IsZero()
	}, 10*time.Second, time.Millisecond)
}

// region watch

// watchExpiry tells the client when its key expires, and when one expires that has replaced it.
func watchExpiry(ctx context.Context, self *selvbetjening.Client) {
	for ctx.Err() == nil {
		if _, err := self.ClientSecrets(ctx); err != nil {
			slog.Warn("it is not known when the key expires", "err", err)
		}
		select {
		case <-time.After(time.Hour):
		case <-ctx.Done():
		}
	}
}

// endregion

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

func TestRotationForManyOrganisations(t *testing.T) {
	const customer = "910000004"
	server := newServer(t, helseidtest.Selvbetjening{})
	clientFile(t, server, helseidtest.Scopes(selvbetjening.Scope), helseidtest.Delegations(customer))
	config, err := helseid.LoadConfig("client.json")
	require.NoError(t, err)
	config.HTTPClient = server.HTTPClient()
	ctx := t.Context()
	// region organization
	settings := selvbetjening.RotationConfig{Client: config, Store: selvbetjening.FileStore{Path: "client.json"}}
	settings.Selvbetjening.Organization.Parent = customer // has delegated to you
	// endregion
	settings.Selvbetjening.BaseURL = server.SelvbetjeningURL()
	settings.Kind, settings.Settle = clientassertion.P256, -1
	rotation, err := selvbetjening.NewRotation(ctx, settings)
	require.NoError(t, err)
	defer rotation.Close()
	require.NoError(t, rotation.Rotate(ctx))
}

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
	token, err := os.ReadFile(filepath.Join(account, "token")) // for each request: Kubernetes replaces it
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

// region rotate

var account = "/var/run/secrets/kubernetes.io/serviceaccount" // of each pod

// rotateKey replaces the key if that is due. It is all that main calls.
func rotateKey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // a new key waits 20 seconds, and is tried for up to 2 minutes
	defer cancel()
	authority, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return err
	}
	cluster := x509.NewCertPool()
	cluster.AppendCertsFromPEM(authority)
	config, err := helseid.LoadConfig(os.Getenv("HELSEID_CONFIG"))
	if err != nil {
		return err
	}
	config.HTTPClient = serverClient // hide
	config.Logger, config.OnEvent = slog.Default(), onKeyEvent
	rotation, err := selvbetjening.NewRotation(ctx, selvbetjening.RotationConfig{
		Client: config,
		Store: &kubernetesStore{
			api:  &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cluster}}},
			url:  os.Getenv("SECRET_URL"),
			file: selvbetjening.FileStore{Path: filepath.Join(os.TempDir(), "client.json")},
		},
		Selvbetjening: ownAPI,               // hide
		Kind:          clientassertion.P256, // hide
		Settle:        -1,                   // hide
		Before:        before,               // hide
	})
	if err != nil {
		return err
	}
	defer rotation.Close()
	return rotation.RotateIfDue(ctx)
}

// endregion

// How the test differs from production.
var (
	serverClient *http.Client
	ownAPI       selvbetjening.Config
	before       time.Duration
)

// A rotation in one pod changes the Secret, and a client in another one goes on with the
// new key.
func TestRotationInKubernetes(t *testing.T) {
	server := newServer(t, helseidtest.Selvbetjening{})
	folder := t.TempDir()
	account = folder
	require.NoError(t, os.WriteFile(filepath.Join(account, "token"), []byte("a-token"), 0o600))
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

	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(account, "ca.crt"), authority, 0o600))
	t.Setenv("HELSEID_CONFIG", mounted)
	t.Setenv("SECRET_URL", cluster.URL)
	t.Setenv("TMPDIR", folder)
	serverClient, ownAPI = server.HTTPClient(), selvbetjening.Config{BaseURL: server.SelvbetjeningURL()}

	config, err := helseid.LoadConfig(mounted)
	require.NoError(t, err)
	old := config.Key.ID()
	config.HTTPClient = server.HTTPClient()
	config.KeySource, err = helseid.NewKeyFile(helseid.KeyFileConfig{Path: mounted, Interval: time.Nanosecond})
	require.NoError(t, err)
	client := newClient(t, config)

	ctx := t.Context()
	require.NoError(t, rotateKey(ctx))
	early, err := helseid.LoadConfig(mounted)
	require.NoError(t, err)
	require.Equal(t, old, early.Key.ID(), "it is not due")
	before = 400 * 24 * time.Hour
	require.NoError(t, rotateKey(ctx))
	after, err := helseid.LoadConfig(mounted)
	require.NoError(t, err)
	require.NotEqual(t, old, after.Key.ID())
	require.Equal(t, config.ClientID, after.ClientID)
	_, err = client.Token(ctx, helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	require.NoError(t, err)
	kid, _ := client.KeyExpiry(ctx)
	require.Equal(t, after.Key.ID(), kid)

	// Of two jobs that have read the same keys, one saves its own.
	store := &kubernetesStore{api: cluster.Client(), url: cluster.URL, file: selvbetjening.FileStore{Path: filepath.Join(folder, "client.json")}}
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
