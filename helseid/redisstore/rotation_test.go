package redisstore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

const rotationScope = "nhn:test-api/read"

func keepsKeys(c *Config) { c.KeepClientKeys, c.TrustPersistence = true, true }

// keyStore is the store for a client's keys in Redis.
func keyStore(t testing.TB, store *Store) selvbetjening.KeyStore {
	t.Helper()
	keys, err := store.ClientKeys("some-client")
	require.NoError(t, err)
	return keys
}

func newClientKey(t testing.TB) *clientassertion.Key {
	t.Helper()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(t, err)
	return key
}

// Keys that a later version has written in another form are not used.
func TestClientKeysOfALaterVersion(t *testing.T) {
	t.Parallel()
	jwk, err := newClientKey(t).MarshalPrivateJWK()
	require.NoError(t, err)
	_, err = parseKeys([]byte(`{"version":1,"currentJwk":` + string(jwk) + `}`))
	require.NoError(t, err)
	for _, start := range []string{`{`, `{"version":2,`} {
		keys, err := parseKeys([]byte(start + `"currentJwk":` + string(jwk) + `}`))
		require.ErrorIs(t, err, selvbetjening.ErrKeyStore)
		require.Nil(t, keys.Current)
	}
}

func TestClientKeys(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	_, err := newStore(t, server.url()).ClientKeys("some-client")
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorContains(t, err, "KeepClientKeys")
	_, err = New(Config{URL: identity.NewSecret(server.url()), EncryptionKeys: inBase64(testKey), KeepClientKeys: true})
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorContains(t, err, "TrustPersistence")

	store := newStore(t, server.url(), keepsKeys)
	keys := keyStore(t, store)
	loaded, err := keys.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, selvbetjening.StoredKeys{}, loaded)
	_, err = keys.Save(t.Context(), selvbetjening.StoredKeys{})
	require.ErrorIs(t, err, clientassertion.ErrKey)

	given := selvbetjening.StoredKeys{
		Current: newClientKey(t), CurrentSince: time.Unix(1e9, 0), Pending: newClientKey(t), PendingSince: time.Unix(2e9, 0), Replaced: []string{"a"},
	}
	first, err := keys.Save(t.Context(), given)
	require.NoError(t, err)
	loaded, err = keys.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, loaded.Version)
	require.Equal(t, given.Current.Thumbprint(), loaded.Current.Thumbprint())
	require.Equal(t, given.Current.ID(), loaded.Current.ID())
	require.Equal(t, given.Pending.Thumbprint(), loaded.Pending.Thumbprint())
	require.True(t, given.CurrentSince.Equal(loaded.CurrentSince))
	require.True(t, given.PendingSince.Equal(loaded.PendingSince))
	require.Equal(t, given.Replaced, loaded.Replaced)

	// Whoever has loaded something else saves nothing.
	second, err := keys.Save(t.Context(), selvbetjening.StoredKeys{Current: given.Pending, Version: first})
	require.NoError(t, err)
	for _, version := range []string{"", first, "x"} {
		_, err = keys.Save(t.Context(), selvbetjening.StoredKeys{Current: given.Current, Version: version})
		require.ErrorIs(t, err, selvbetjening.ErrKeysChanged)
	}
	loaded, err = keys.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, second, loaded.Version)
	require.Equal(t, given.Pending.ID(), loaded.Current.ID())
	require.Nil(t, loaded.Pending)

	// Nothing can be read in Redis, and it stays there.
	place := server.keys(t)[0]
	text, ok := server.do(t, "GET", place).(string)
	require.True(t, ok)
	for _, said := range []string{"Jwk", `"d"`, given.Pending.ID()} {
		require.NotContains(t, text, said)
	}
	require.NotContains(t, place, "some-client")
	require.EqualValues(t, -1, server.do(t, "PTTL", place))
	server.do(t, "SET", place, strings.Replace(text, text[20:21], string(text[20]^1), 1))
	_, err = keys.Load(t.Context())
	require.ErrorIs(t, err, ErrDecrypt)

	server.do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	_, err = keys.Save(t.Context(), given)
	require.ErrorIs(t, err, ErrEviction)
	server.kill()
	_, err = keys.Load(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = keys.Save(t.Context(), given)
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestKeyLock(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := newStore(t, server.url())
	lock := store.KeyLock("some-client")
	unlock, err := lock(t.Context())
	require.NoError(t, err)
	place := server.keys(t)[0]
	require.Greater(t, server.left(t, place), keyLockLease/2)
	require.LessOrEqual(t, server.left(t, place), keyLockLease)

	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = lock(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, ErrUnavailable)
	other, err := store.KeyLock("another-client")(t.Context())
	require.NoError(t, err)
	other()
	unlock()
	require.Empty(t, server.keys(t))

	// It is renewed, and what another holder has is not given back.
	brief := store.keyLock("some-client", 400*time.Millisecond)
	unlock, err = brief.acquire(t.Context())
	require.NoError(t, err)
	time.Sleep(time.Second)
	require.NotEmpty(t, server.keys(t), "it was not renewed")
	server.do(t, "SET", place, "somebody else")
	time.Sleep(300 * time.Millisecond)
	unlock()
	unlock()
	require.Equal(t, "somebody else", server.do(t, "GET", place))

	server.kill()
	_, err = lock(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
}

// A holder that is asked twice, because an answer was lost, has the lock.
func TestKeyLockOfTheSameHolder(t *testing.T) {
	t.Parallel()
	lock := newStore(t, startServer(t).url()).keyLock("some-client", time.Minute)
	for range 2 {
		held, err := lock.run(t.Context(), lockScript, "a")
		require.NoError(t, err)
		require.True(t, held)
	}
	held, err := lock.run(t.Context(), lockScript, "b")
	require.NoError(t, err)
	require.False(t, held)
}

// instance is one of several processes of a client, and the calls that it makes.
type instance struct {
	rotation    *selvbetjening.Rotation
	calls, lost atomic.Int64
	replaced    atomic.Int64

	mu    sync.Mutex
	first error
}

// rotationWorld is a HelseID and a Redis with a client.
type rotationWorld struct {
	helseid *helseidtest.Server
	redis   *server
	file    string
	unknown atomic.Int64 // assertions that were refused
}

func newRotationWorld(t *testing.T, options helseidtest.Selvbetjening) *rotationWorld {
	t.Helper()
	w := &rotationWorld{helseid: helseidtest.NewServer(t, options), redis: startServer(t), file: filepath.Join(t.TempDir(), "client.json")}
	require.NoError(t, os.WriteFile(w.file, w.helseid.ConfigFile(helseidtest.Scopes(selvbetjening.Scope, rotationScope)), 0o600))
	return w
}

// RoundTrip implements http.RoundTripper.
func (w *rotationWorld) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || response.StatusCode < 400 {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	if strings.Contains(string(body), "invalid_client") {
		w.unknown.Add(1)
	}
	return response, err
}

// start starts an instance, whose keys are in the file or in Redis.
func (w *rotationWorld) start(t *testing.T, inRedis bool) *instance {
	t.Helper()
	store := newStore(t, w.redis.url(), keepsKeys)
	config, err := helseid.LoadConfig(w.file)
	require.NoError(t, err)
	made := &instance{}
	config.HTTPClient = &http.Client{Transport: w}
	config.OnEvent = func(_ context.Context, event helseid.Event) {
		switch event.Kind {
		case helseid.EventKeyReplaced:
			made.replaced.Add(1)
		case helseid.EventKeyFailed:
			made.fail(event.Err)
		}
	}
	settings := rotationOf(store, config, w.file, inRedis)
	settings.Selvbetjening.BaseURL = w.helseid.SelvbetjeningURL()
	settings.Lock = store.keyLock(config.ClientID, time.Second).acquire
	made.rotation, err = selvbetjening.NewRotation(t.Context(), settings)
	require.NoError(t, err)
	t.Cleanup(made.rotation.Close)
	return made
}

func rotationOf(store *Store, config helseid.Config, file string, inRedis bool) selvbetjening.RotationConfig {
	settings := selvbetjening.RotationConfig{
		Client: config, Store: selvbetjening.FileStore{Path: file}, Kind: clientassertion.P256, Before: 3 * time.Hour, Settle: -1,
	}
	if inRedis {
		var err error
		if settings.Store, err = store.ClientKeys(config.ClientID); err != nil {
			panic(err)
		}
	}
	return settings
}

func (i *instance) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lost.Add(1)
	if i.first == nil {
		i.first = err
	}
}

// call makes calls, each with a token of its own, until the context ends.
func (i *instance) call(ctx context.Context) {
	source := i.rotation.Client().TokenSource(helseid.TokenRequest{Scopes: []string{rotationScope}})
	for ctx.Err() == nil {
		source.Forget(background())
		if _, err := source.Token(background()); err != nil {
			i.fail(err)
		}
		i.calls.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

func (i *instance) kid() string {
	kid, _ := i.rotation.Client().KeyExpiry(background())
	return kid
}

func (w *rotationWorld) registered() int { return len(w.helseid.Clients()[0].PublicJWKs) }

// Three instances over one Redis replace a key once, and lose no call.
func TestInstancesReplaceAKeyOnce(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		for _, inRedis := range []bool{false, true} {
			t.Run(fmt.Sprintf("old keys die: %v, keys in Redis: %v", dies, inRedis), func(t *testing.T) {
				t.Parallel()
				w := newRotationWorld(t, helseidtest.Selvbetjening{KeyLifetime: 2 * time.Hour, OldKeysDie: dies})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var running sync.WaitGroup
				instances := make([]*instance, 3)
				for i := range instances {
					instances[i] = w.start(t, inRedis)
					running.Go(func() { instances[i].call(ctx) })
				}
				before := instances[0].kid()
				for _, one := range instances {
					running.Go(func() { one.rotation.Run(ctx) })
				}
				for _, one := range instances {
					require.Eventually(t, func() bool { return one.kid() != before }, 30*time.Second, 10*time.Millisecond)
					enough := one.calls.Load() + 20
					require.Eventually(t, func() bool { return one.calls.Load() >= enough }, 30*time.Second, 10*time.Millisecond)
				}
				cancel()
				running.Wait()
				for _, one := range instances {
					require.Zero(t, one.lost.Load(), "%v", one.first)
					require.EqualValues(t, 1, one.replaced.Load())
					require.Equal(t, instances[0].kid(), one.kid())
				}
				require.Equal(t, map[bool]int{false: 2, true: 1}[dies], w.registered())
				if !dies {
					require.Zero(t, w.unknown.Load(), "every assertion was by a key that HelseID knows")
				}
			})
		}
	}
}

const rotatorVariable = "REDISSTORE_TEST_ROTATOR"

// rotatorConfig is what a process that replaces a key is told.
type rotatorConfig struct{ Redis, File, URL string }

// runRotator replaces a key. When HelseID has registered it, it says so, and goes on when
// it is told to.
func runRotator(text string) error {
	var config rotatorConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	store, err := New(Config{
		URL: identity.NewSecret(config.Redis), EncryptionKeys: inBase64(testKey), KeepClientKeys: true, TrustPersistence: true, Timeout: 5 * time.Second,
	})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	client, err := helseid.LoadConfig(config.File)
	if err != nil {
		return err
	}
	client.HTTPClient = &http.Client{Transport: stopping{}}
	settings := rotationOf(store, client, config.File, true)
	settings.Selvbetjening.BaseURL = config.URL
	settings.Lock = store.keyLock(client.ClientID, time.Second).acquire
	rotation, err := selvbetjening.NewRotation(background(), settings)
	if err != nil {
		return err
	}
	defer rotation.Close()
	if err := rotation.Rotate(background()); err != nil {
		return err
	}
	kid, _ := rotation.Client().KeyExpiry(background())
	fmt.Println(kid)
	return nil
}

type stopping struct{}

// RoundTrip implements http.RoundTripper.
func (stopping) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if request.Method == http.MethodPost && strings.HasSuffix(request.URL.Path, "/client-secret") {
		fmt.Println("registered")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return nil, errors.New("the test has ended")
		}
	}
	return response, err
}

// startRotator starts such a process, and returns when it has registered its key.
func (w *rotationWorld) startRotator(t *testing.T) (process *exec.Cmd, in io.Writer, out *bufio.Reader) {
	t.Helper()
	config, err := json.Marshal(rotatorConfig{w.redis.url(), w.file, w.helseid.SelvbetjeningURL()})
	require.NoError(t, err)
	process = exec.Command(os.Args[0])
	process.Env = append(os.Environ(), rotatorVariable+"="+string(config))
	process.Stderr = os.Stderr
	endWithParent(process)
	stdin, err := process.StdinPipe()
	require.NoError(t, err)
	stdout, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	out = bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "registered\n", line)
	return process, stdin, out
}

// When the holder of the lock is killed, another instance goes on with its key.
func TestKilledHolder(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("old keys die: %v", dies), func(t *testing.T) {
			t.Parallel()
			w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: dies})
			survivor := w.start(t, true)
			before := survivor.kid()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var running sync.WaitGroup
			running.Go(func() { survivor.call(ctx) })
			process, _, _ := w.startRotator(t)
			time.Sleep(300 * time.Millisecond)
			require.NoError(t, process.Process.Kill())
			if dies { // the calls have met with it
				require.Eventually(t, func() bool { return survivor.kid() != before }, 30*time.Second, 10*time.Millisecond)
			} else {
				require.NoError(t, survivor.rotation.Rotate(t.Context()))
			}
			time.Sleep(100 * time.Millisecond)
			cancel()
			running.Wait()
			require.Zero(t, survivor.lost.Load(), "%v", survivor.first)
			require.NotEqual(t, before, survivor.kid())
			require.Equal(t, map[bool]int{false: 2, true: 1}[dies], w.registered(), "it is the key of the process that was killed")
			require.EqualValues(t, 1, survivor.replaced.Load())
		})
	}
}
