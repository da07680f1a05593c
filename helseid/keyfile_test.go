package helseid_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/testkit"
)

// keyFileWorld is a client whose key is in a file, and what is told of it.
type keyFileWorld struct {
	*world
	file   *helseid.KeyFile
	path   string
	log    *bytes.Buffer
	mu     sync.Mutex
	events []helseid.Event
}

func (w *keyFileWorld) told(kind helseid.EventKind) (events []helseid.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, event := range w.events {
		if event.Kind == kind {
			events = append(events, event)
		}
	}
	return events
}

func newKeyFileWorld(t *testing.T, place func(content []byte) string) *keyFileWorld {
	t.Helper()
	w := &keyFileWorld{log: &bytes.Buffer{}}
	w.world = newWorld(t, worldOptions{})
	w.path = place(w.register(t))
	var err error
	w.file, err = helseid.NewKeyFile(helseid.KeyFileConfig{Path: w.path, Logger: slog.New(slog.NewTextHandler(w.log, nil)), OnEvent: func(_ context.Context, event helseid.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, event)
	}})
	require.NoError(t, err)
	config, err := helseid.LoadConfig(w.path)
	require.NoError(t, err)
	w.config.ClientID, w.config.Key, w.config.KeySource = config.ClientID, nil, w.file
	w.client = newClient(t, w.config)
	return w
}

const keyFileClient = "the-client"

// register registers the client with a new key alone, and returns its file.
func (w *keyFileWorld) register(t *testing.T) []byte {
	t.Helper()
	return w.server.ConfigFile(helseidtest.Client{ID: keyFileClient}, helseidtest.Scopes(testScope, otherScope))
}

func keyIn(t *testing.T, content []byte) *clientassertion.Key {
	t.Helper()
	config, err := helseid.ParseConfig(content)
	require.NoError(t, err)
	return config.Key
}

// signedBy fetches a token, and returns the kid of the key that signed.
func (w *keyFileWorld) signedBy(t *testing.T) string {
	t.Helper()
	_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
	require.NoError(t, err)
	requests := w.server.Requests(helseidtest.EndpointToken)
	var header struct {
		Kid string `json:"kid"`
	}
	require.NoError(t, json.Unmarshal([]byte(requests[len(requests)-1].AssertionHeader), &header))
	w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}).Forget(t.Context())
	return header.Kid
}

// mount is a secret as Kubernetes mounts it: the file is a link into ..data, which is a
// link to the directory of this version, and is replaced by renaming another over it.
func mount(t *testing.T, dir, version string, content []byte) string {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, version, "client.json"), content, 0o600))
	require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	path := filepath.Join(dir, "client.json")
	if _, err := os.Lstat(path); err != nil {
		require.NoError(t, os.Symlink(filepath.Join("..data", "client.json"), path))
	}
	return path
}

func TestKeyFileChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		place   func(t *testing.T, dir string, content []byte) string
		replace func(t *testing.T, dir, path string, content []byte)
	}{
		"a mounted secret": {
			func(t *testing.T, dir string, content []byte) string { return mount(t, dir, "..2026_01", content) },
			func(t *testing.T, dir, _ string, content []byte) {
				mount(t, dir, "..2026_02", content)
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
			},
		},
		"renamed over": {
			place,
			func(t *testing.T, dir, path string, content []byte) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), content, 0o600))
				require.NoError(t, os.Rename(filepath.Join(dir, "new"), path))
			},
		},
		"written in place, at the same time of the file system's": {
			place,
			func(t *testing.T, _, path string, content []byte) {
				before, err := os.Stat(path)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, content, 0o600))
				require.NoError(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				w := newKeyFileWorld(t, func(content []byte) string { return c.place(t, dir, content) })
				// The bubble's clock is not the file system's: the file is written when it is read.
				written := time.Now().Add(5 * time.Second)
				require.NoError(t, os.Chtimes(w.path, written, written))
				testkit.Sleep(5 * time.Second)
				old := keyIn(t, read(t, w.path)).ID()
				require.Equal(t, old, w.signedBy(t))
				source := w.client.TokenSource(helseid.TokenRequest{Scopes: []string{otherScope}})
				held, err := source.Token(t.Context())
				require.NoError(t, err)

				content := w.register(t) // the old key is not registered any more
				c.replace(t, dir, w.path, content)
				testkit.Sleep(5 * time.Second)
				require.Equal(t, keyIn(t, content).ID(), w.signedBy(t))
				token, err := source.Token(t.Context())
				require.NoError(t, err)
				require.Same(t, held, token, "tokens live on")
				replaced := w.told(helseid.EventKeyReplaced)
				require.Len(t, replaced, 1)
				require.Equal(t, keyIn(t, content).ID(), replaced[0].KeyID)
				require.Contains(t, w.log.String(), "old_kid="+old)
			})
		})
	}
}

func place(t *testing.T, dir string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, "client.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

// A file that cannot be used is reported once, and the key before stays, until it can.
func TestBrokenKeyFile(t *testing.T) {
	t.Parallel()
	breakages := map[string]func(t *testing.T, w *keyFileWorld){
		"gone":       func(t *testing.T, w *keyFileWorld) { require.NoError(t, os.Remove(w.path)) },
		"empty":      func(t *testing.T, w *keyFileWorld) { require.NoError(t, os.WriteFile(w.path, nil, 0o600)) },
		"half of it": func(t *testing.T, w *keyFileWorld) { require.NoError(t, os.Truncate(w.path, 200)) },
		"a directory": func(t *testing.T, w *keyFileWorld) {
			require.NoError(t, os.Remove(w.path))
			require.NoError(t, os.Mkdir(w.path, 0o700))
		},
		"another client's": func(t *testing.T, w *keyFileWorld) {
			require.NoError(t, os.WriteFile(w.path, w.server.ConfigFile(), 0o600))
		},
		"a public key": func(t *testing.T, w *keyFileWorld) {
			require.NoError(t, os.WriteFile(w.path, keyIn(t, read(t, w.path)).PublicJWK(), 0o600))
		},
	}
	if runtime.GOOS != "windows" { // which has no pipes among its files
		breakages["a pipe"] = func(t *testing.T, w *keyFileWorld) {
			require.NoError(t, os.Remove(w.path))
			require.NoError(t, exec.CommandContext(t.Context(), "mkfifo", w.path).Run())
		}
	}
	for name, breakIt := range breakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				w := newKeyFileWorld(t, func(content []byte) string { return place(t, dir, content) })
				whole := read(t, w.path)
				old := keyIn(t, whole).ID()
				breakIt(t, w)
				for range 3 {
					testkit.Sleep(time.Minute)
					require.Equal(t, old, w.signedBy(t))
				}
				failed := w.told(helseid.EventKeyFailed)
				require.Len(t, failed, 1)
				require.Error(t, failed[0].Err)
				require.NotErrorIs(t, failed[0].Err, helseid.ErrKey, "which a key has that did not sign")
				require.Equal(t, old, failed[0].KeyID)
				require.Equal(t, keyFileClient, failed[0].ClientID)
				require.Contains(t, w.log.String(), "cannot be used")
				require.NotContains(t, w.log.String(), `"d"`)

				content := w.register(t)
				require.NoError(t, os.RemoveAll(w.path))
				require.NoError(t, os.WriteFile(w.path, content, 0o600))
				testkit.Sleep(time.Minute)
				require.Equal(t, keyIn(t, content).ID(), w.signedBy(t))
				require.Len(t, w.told(helseid.EventKeyFailed), 1)
			})
		})
	}
	t.Run("at first", func(t *testing.T) {
		t.Parallel()
		for _, config := range []helseid.KeyFileConfig{{}, {Path: filepath.Join(t.TempDir(), "none")}, {Path: t.TempDir()}, {Path: place(t, t.TempDir(), []byte("{}"))}, {Path: place(t, t.TempDir(), nil), Interval: -1}} {
			_, err := helseid.NewKeyFile(config)
			require.ErrorIs(t, err, helseid.ErrConfig)
		}
	})
}

// A key alone can be in the file, too.
func TestKeyFileWithAKeyAlone(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*clientassertion.Key) ([]byte, error){
		"JWK": (*clientassertion.Key).MarshalPrivateJWK,
		"PEM": (*clientassertion.Key).MarshalPrivatePEM,
	} {
		key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
		require.NoError(t, err)
		content, err := write(key)
		require.NoError(t, err)
		file, err := helseid.NewKeyFile(helseid.KeyFileConfig{Path: place(t, t.TempDir(), content)})
		require.NoError(t, err, name)
		given, err := file.Key(t.Context())
		require.NoError(t, err)
		require.Equal(t, key.ID(), given.ID())
	}
}

// A refused key is looked for at once, and the call in which it was refused succeeds;
// what was said of the old key does not stand against the new one.
func TestRefusedKeyIsReplacedWithinTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newKeyFileWorld(t, func(content []byte) string { return place(t, dir, content) })
		old := w.signedBy(t)
		content := w.register(t)
		for range 4 { // the client is held off by then
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
			requireRefusal(t, err, "invalid_client")
			require.ErrorContains(t, err, keyFileClient)
			require.ErrorContains(t, err, old)
			require.ErrorContains(t, err, w.server.Issuer())
		}
		asked := w.tokenRequests()
		_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
		require.Error(t, err)
		require.Equal(t, asked, w.tokenRequests())
		require.NoError(t, os.WriteFile(w.path, content, 0o600))
		testkit.Sleep(10 * time.Second)
		require.Equal(t, keyIn(t, content).ID(), w.signedBy(t))

		content = w.register(t)
		require.NoError(t, os.WriteFile(w.path, content, 0o600))
		require.Equal(t, keyIn(t, content).ID(), w.signedBy(t), "in the same call")
		require.Len(t, w.told(helseid.EventKeyReplaced), 2)
	})
}

// sourceOf is a key source of a test's.
type sourceOf func(context.Context) (*clientassertion.Key, error)

func (s sourceOf) Key(ctx context.Context) (*clientassertion.Key, error) { return s(ctx) }

// A source that fails is a key that does not sign.
func TestFailingKeySource(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]sourceOf{
		"an error": func(context.Context) (*clientassertion.Key, error) { return nil, errors.New("vault sealed") },
		"nothing":  func(context.Context) (*clientassertion.Key, error) { return nil, nil },
		"no key":   func(context.Context) (*clientassertion.Key, error) { return &clientassertion.Key{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{config: func(config *helseid.Config) { config.Key, config.KeySource = nil, source }})
				_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
				require.ErrorIs(t, err, helseid.ErrKey)
				require.NotErrorIs(t, err, helseid.ErrUnavailable)
				require.Zero(t, w.tokenRequests())
			})
		})
	}
}

// Refusals of one key do not hold back requests with the key that has replaced it.
func TestReplacedKeyIsNotHeldOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var key atomic.Pointer[clientassertion.Key]
		unknown, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
		require.NoError(t, err)
		key.Store(unknown)
		var known *clientassertion.Key
		log := &bytes.Buffer{}
		w := newWorld(t, worldOptions{config: func(config *helseid.Config) {
			known, config.Key = config.Key, nil
			config.Logger = slog.New(slog.NewTextHandler(log, nil))
			config.KeySource = sourceOf(func(context.Context) (*clientassertion.Key, error) { return key.Load(), nil })
		}})
		for range 2 {
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			requireRefusal(t, err, "invalid_client")
			require.ErrorContains(t, err, unknown.ID())
		}
		_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
		require.Error(t, err)
		require.Equal(t, 2, w.tokenRequests(), "it is held off")
		require.Contains(t, log.String(), "kid="+unknown.ID())
		require.Contains(t, log.String(), "environment="+w.server.Issuer())
		key.Store(known)
		_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		require.Equal(t, 3, w.tokenRequests())
	})
}

// movingSource has another key each time one is refused.
type movingSource struct {
	mu   sync.Mutex
	keys []*clientassertion.Key
}

func (s *movingSource) Key(context.Context) (*clientassertion.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0], nil
}

func (s *movingSource) KeyRefused(_ context.Context, refused *clientassertion.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[0] == refused && len(s.keys) > 1 {
		s.keys = s.keys[1:]
	}
}

// A key may be replaced again before the assertion by the one before arrives. There is an
// end to that.
func TestKeysAreReplacedWithinACall(t *testing.T) {
	t.Parallel()
	for unknown, served := range map[int]bool{1: true, 3: true, 4: false, 8: false} {
		synctest.Test(t, func(t *testing.T) {
			source := &movingSource{}
			for range unknown {
				key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
				require.NoError(t, err)
				source.keys = append(source.keys, key)
			}
			w := newWorld(t, worldOptions{config: func(config *helseid.Config) {
				source.keys = append(source.keys, config.Key)
				config.Key, config.KeySource = nil, source
			}})
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{})
			if served {
				require.NoError(t, err)
				require.Equal(t, unknown+1, w.tokenRequests())
			} else {
				requireRefusal(t, err, "invalid_client")
				require.Equal(t, 4, w.tokenRequests())
			}
		})
	}
}
