package selvbetjening_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/testkit"
)

// rotationWorld is a HelseID and a client's configuration file.
type rotationWorld struct {
	server *helseidtest.Server
	store  selvbetjening.FileStore
	log    *syncLog

	mu      sync.Mutex
	events  []helseid.Event
	refused map[string]int // assertions that were answered with invalid_client, by kid
	fault   *fault         // or nil
}

// RoundTrip implements http.RoundTripper, between all clients of the world and its server.
func (w *rotationWorld) RoundTrip(request *http.Request) (*http.Response, error) {
	w.mu.Lock()
	fault := w.fault
	w.mu.Unlock()
	var kid string
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
		kid = assertionKid(body)
	}
	response, err := fault.roundTrip(w.server.HTTPClient().Transport, request)
	if err != nil || response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusBadRequest || kid == "" {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte("invalid_client")) {
		w.mu.Lock()
		w.refused[kid]++
		w.mu.Unlock()
	}
	return response, err
}

// assertionKid is the kid of the client assertion in a form, or "".
func assertionKid(form []byte) string {
	values, _ := url.ParseQuery(string(form))
	header, _, _ := strings.Cut(values.Get("client_assertion"), ".")
	decoded, _ := base64.RawURLEncoding.DecodeString(header)
	var members struct {
		ID string `json:"kid"`
	}
	_ = json.Unmarshal(decoded, &members)
	return members.ID
}

func (w *rotationWorld) refusals() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.refused)
}

type syncLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRotationWorld(t *testing.T, options helseidtest.Selvbetjening) *rotationWorld {
	t.Helper()
	w := &rotationWorld{log: &syncLog{}, refused: make(map[string]int)}
	w.server = helseidtest.NewServer(t, options, helseidtest.InMemory())
	w.store = selvbetjening.FileStore{Path: filepath.Join(t.TempDir(), "client.json")}
	require.NoError(t, os.WriteFile(w.store.Path, w.server.ConfigFile(helseidtest.Scopes(selvbetjening.Scope, otherScope)), 0o600))
	return w
}

// rotation is what a process makes when it starts.
func (w *rotationWorld) rotation(t *testing.T, changes ...func(*selvbetjening.RotationConfig)) *selvbetjening.Rotation {
	t.Helper()
	client, err := helseid.LoadConfig(w.store.Path)
	require.NoError(t, err)
	client.HTTPClient = &http.Client{Transport: w}
	client.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	client.OnEvent = func(_ context.Context, event helseid.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, event)
	}
	config := selvbetjening.RotationConfig{
		Client: client, Store: w.store, Kind: clientassertion.P256, Before: time.Hour,
		Selvbetjening: selvbetjening.Config{BaseURL: w.server.SelvbetjeningURL(), Retries: -1},
	}
	for _, change := range changes {
		change(&config)
	}
	r, err := selvbetjening.NewRotation(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func (w *rotationWorld) count(kind helseid.EventKind) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, event := range w.events {
		if event.Kind == kind {
			n++
		}
	}
	return n
}

func (w *rotationWorld) stored(t *testing.T) selvbetjening.StoredKeys {
	t.Helper()
	keys, err := w.store.Load(t.Context())
	require.NoError(t, err)
	return keys
}

// registered is how many keys HelseID knows of the client.
func (w *rotationWorld) registered() int { return len(w.server.Clients()[0].PublicJWKs) }

// kidInUse fetches a token, and tells which key has signed for it.
func kidInUse(t *testing.T, client *helseid.Client) string {
	t.Helper()
	source := client.TokenSource(helseid.TokenRequest{Scopes: []string{otherScope}})
	source.Forget(t.Context())
	_, err := source.Token(t.Context())
	require.NoError(t, err)
	kid, _ := client.KeyExpiry(t.Context())
	return kid
}

// Key after key is replaced in time, with both behaviours that HelseID may have.
func TestRotationSchedule(t *testing.T) {
	t.Parallel()
	for name, options := range modes(time.Hour) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, options)
				r := w.rotation(t, func(config *selvbetjening.RotationConfig) { config.Client.TokenRetries = -1 })
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { r.Run(ctx) })
				group.Go(func() {
					for ctx.Err() == nil {
						kidInUse(t, r.Client())
						testkit.Sleep(20 * time.Second)
					}
				})
				const rotations = 3
				testkit.Sleep(rotations * 48 * time.Minute)
				cancel()
				group.Wait()
				require.GreaterOrEqual(t, w.count(helseid.EventKeyReplaced), rotations)
				require.Zero(t, w.count(helseid.EventKeyFailed), w.log.String())
				require.Zero(t, w.count(helseid.EventKeyOrphan))
			})
		})
	}
}

// The kinds of keys change from one rotation to the next.
func TestRotationOfEachKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{})
		for i, kind := range []clientassertion.KeyKind{clientassertion.RSA3072, clientassertion.P384, clientassertion.P521, clientassertion.P256, clientassertion.RSA4096} {
			r := w.rotation(t, func(config *selvbetjening.RotationConfig) { config.Kind = kind })
			old := kidInUse(t, r.Client())
			require.NoError(t, r.Rotate(t.Context()))
			kid := kidInUse(t, r.Client())
			require.NotEqual(t, old, kid)
			require.Equal(t, kid, w.stored(t).Current.ID())
			require.Nil(t, w.stored(t).Pending)
			require.Equal(t, i+2, w.registered())
		}
	})
}

// errKilled stands for the end of a process.
var errKilled = errors.New("killed")

// failingStore fails at one of its saves, as if the process ended there.
type failingStore struct {
	selvbetjening.FileStore
	saves, failAt int
	after         bool // the save is made, and fails nevertheless
}

func (s *failingStore) Save(ctx context.Context, keys selvbetjening.StoredKeys) (string, error) {
	s.saves++
	if s.saves == s.failAt {
		if s.after {
			if _, err := s.FileStore.Save(ctx, keys); err != nil {
				return "", err
			}
		}
		return "", errKilled
	}
	return s.FileStore.Save(ctx, keys)
}

// A process that ends between any two steps loses nothing: the next one goes on.
func TestRotationAfterAnEnd(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		for name, c := range map[string]struct {
			kill       func(t *testing.T, w *rotationWorld, config *selvbetjening.RotationConfig)
			registered int
		}{
			"before the key is saved": {func(_ *testing.T, w *rotationWorld, config *selvbetjening.RotationConfig) {
				config.Store = &failingStore{FileStore: w.store, failAt: 1}
			}, 2},
			"after the key is saved": {func(_ *testing.T, w *rotationWorld, config *selvbetjening.RotationConfig) {
				config.Store = &failingStore{FileStore: w.store, failAt: 1, after: true}
			}, 2},
			"after the key is registered": {func(_ *testing.T, _ *rotationWorld, config *selvbetjening.RotationConfig) {
				config.VerifyTimeout, config.Settle = time.Second, -1
			}, 2},
			"before the new key is saved as the current one": {func(_ *testing.T, w *rotationWorld, config *selvbetjening.RotationConfig) {
				config.Store = &failingStore{FileStore: w.store, failAt: 2}
			}, 2},
			"after that": {func(_ *testing.T, w *rotationWorld, config *selvbetjening.RotationConfig) {
				config.Store = &failingStore{FileStore: w.store, failAt: 2, after: true}
			}, 3},
		} {
			t.Run(fmt.Sprintf("%s, old keys die: %v", name, dies), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: dies, KeyDelay: 10 * time.Second})
					first := w.rotation(t, func(config *selvbetjening.RotationConfig) { c.kill(t, w, config) })
					require.Error(t, first.Rotate(t.Context()))
					first.Close()

					second := w.rotation(t)
					require.NoError(t, second.Rotate(t.Context()))
					require.Equal(t, kidInUse(t, second.Client()), w.stored(t).Current.ID())
					require.Nil(t, w.stored(t).Pending)
					if !dies {
						require.Equal(t, c.registered, w.registered())
					}
					require.Zero(t, w.count(helseid.EventKeyOrphan))
				})
			})
		}
	}
}

// Of several instances with one store and one lock, one makes a key, and the others take
// it over.
func TestInstancesRotateOnce(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("old keys die: %v", dies), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, helseidtest.Selvbetjening{KeyLifetime: 2 * time.Hour, OldKeysDie: dies})
				lock := make(chan struct{}, 1)
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				var instances []*selvbetjening.Rotation
				for range 3 {
					r := w.rotation(t, func(config *selvbetjening.RotationConfig) {
						config.Lock = func(ctx context.Context) (func(), error) {
							select {
							case lock <- struct{}{}:
								return func() { <-lock }, nil
							case <-ctx.Done():
								return nil, ctx.Err()
							}
						}
					})
					instances = append(instances, r)
					group.Go(func() { r.Run(ctx) })
				}
				testkit.Sleep(90 * time.Minute)
				for _, r := range instances {
					require.Equal(t, w.stored(t).Current.ID(), kidInUse(t, r.Client()))
				}
				cancel()
				group.Wait()
				require.Equal(t, map[bool]int{false: 2, true: 1}[dies], w.registered(), w.log.String())
				require.Equal(t, 3, w.count(helseid.EventKeyReplaced))
			})
		})
	}
}

// The expiry that Selvbetjening tells is told on, in good time and once.
func TestExpiryIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var events []helseid.Event
		log := &syncLog{}
		const day = 24 * time.Hour
		server := helseidtest.NewServer(t, helseidtest.Selvbetjening{KeyLifetime: 40 * day}, helseidtest.InMemory())
		config := server.NewClient(helseidtest.Scopes(selvbetjening.Scope, otherScope))
		config.Logger = slog.New(slog.NewTextHandler(log, nil))
		config.OnEvent = func(_ context.Context, event helseid.Event) {
			if event.Kind == helseid.EventKeyExpiry {
				events = append(events, event)
			}
		}
		w := startWorld(t, server, config)
		registered := time.Now()
		_, err := w.self().ClientSecrets(t.Context())
		require.NoError(t, err)
		require.NoError(t, w.client.Check(t.Context()))
		told := []int{}
		for hours := 1; hours < 40*24; hours++ {
			testkit.Sleep(time.Hour)
			before := len(events)
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{otherScope}})
			require.NoError(t, err)
			if len(events) > before {
				told = append(told, 40-hours/24)
				require.Equal(t, config.Key.ID(), events[before].KeyID)
				require.Equal(t, registered.Add(40*day).Unix(), events[before].Expiry.Unix())
				require.ErrorIs(t, w.client.Check(t.Context()), helseid.ErrKeyExpiry)
			}
		}
		require.Equal(t, []int{30, 14, 7, 1}, told)
		require.Equal(t, 4, strings.Count(log.String(), "expires soon"))
		require.Contains(t, log.String(), config.Key.ID())
	})
}

func TestFileStore(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	dir := t.TempDir()
	path, link := filepath.Join(dir, "client.json"), filepath.Join(dir, "link.json")
	content := strings.Replace(string(server.ConfigFile()), "{", `{"rsaPrivateKey":"the old key","own":{"b":[1, 2.50]},`, 1)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	require.NoError(t, os.Symlink("client.json", link))
	before, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	store := selvbetjening.FileStore{Path: link}
	first, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Key.ID(), first.Current.ID())
	keys := selvbetjening.StoredKeys{
		Current: newKey(t), CurrentSince: time.Unix(1e9, 0), Pending: newKey(t), PendingSince: time.Unix(2e9, 0),
		Replaced: []string{"a", "b"}, Version: first.Version,
	}
	version, err := store.Save(t.Context(), keys)
	require.NoError(t, err)

	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	info, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	after, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	require.Equal(t, keys.Current.ID(), after.Key.ID())
	require.Equal(t, before.ClientID, after.ClientID)
	require.Equal(t, before.Registered, after.Registered)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "rsaPrivateKey")
	require.Contains(t, string(text), `{"b":[1, 2.50]}`)
	loaded, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, keys.Pending.ID(), loaded.Pending.ID())
	require.True(t, loaded.PendingSince.Equal(keys.PendingSince))
	require.True(t, loaded.CurrentSince.Equal(keys.CurrentSince))
	require.Equal(t, keys.Replaced, loaded.Replaced)
	require.Equal(t, version, loaded.Version)
	for _, version := range []string{"", first.Version} {
		_, err = store.Save(t.Context(), selvbetjening.StoredKeys{Current: keys.Pending, Version: version})
		require.ErrorIs(t, err, selvbetjening.ErrKeysChanged)
		require.ErrorIs(t, err, selvbetjening.ErrKeyStore)
	}
	unchanged, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, unchanged)
	_, err = store.Save(t.Context(), selvbetjening.StoredKeys{Current: keys.Pending, Version: version})
	require.NoError(t, err)
	loaded, err = store.Load(t.Context())
	require.NoError(t, err)
	require.Nil(t, loaded.Pending)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left behind")

	alone := selvbetjening.FileStore{Path: filepath.Join(dir, "keys.json")}
	loaded, err = alone.Load(t.Context())
	require.NoError(t, err)
	require.Nil(t, loaded.Current)
	require.Empty(t, loaded.Version)
	_, err = alone.Save(t.Context(), keys)
	require.ErrorIs(t, err, selvbetjening.ErrKeysChanged, "there is nothing of that version")
	keys.Version = ""
	_, err = alone.Save(t.Context(), keys)
	require.NoError(t, err)
	loaded, err = alone.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, keys.Current.ID(), loaded.Current.ID())

	for name, content := range map[string]string{"no JSON": "x", "a section": `{"HelseID":{"ClientId":"x"}}`, "a key": `{"kty":"EC"}`, "a broken key": `{"privateJwk":"x"}`} {
		broken := selvbetjening.FileStore{Path: filepath.Join(dir, "broken")}
		require.NoError(t, os.WriteFile(broken.Path, []byte(content), 0o600))
		_, err := broken.Load(t.Context())
		require.ErrorIs(t, err, selvbetjening.ErrKeyStore, name)
		if name != "a broken key" {
			_, err := broken.Save(t.Context(), keys)
			require.ErrorIs(t, err, selvbetjening.ErrKeyStore, name)
		}
	}
}
