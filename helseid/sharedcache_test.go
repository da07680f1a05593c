package helseid_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/testkit"
)

// sharedMap is a TokenCache in memory.
type sharedMap struct {
	mu     sync.Mutex
	values map[string][]byte
	lives  []time.Duration
}

func (m *sharedMap) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], nil
}

func (m *sharedMap) Save(_ context.Context, key string, value []byte, expiry time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key] = value
	m.lives = append(m.lives, time.Until(expiry))
	return nil
}

func (m *sharedMap) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

// T079: a token that one process has stored is read back by another as it was,
// with its end, and no token request is made.
func TestT079SharedCache(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		cache := &sharedMap{}
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenCache = cache }})
		first := w.token(t)
		require.Equal(t, 1, w.tokenRequests())
		require.Len(t, cache.values, 1)
		require.Equal(t, []time.Duration{10*time.Minute - 5*time.Second}, cache.lives, "until it is not handed out any more")

		other := newClient(t, w.config) // the other process, with the same DPoP key
		second, err := other.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
		require.NoError(t, err)
		require.Equal(t, 1, w.tokenRequests())
		require.Equal(t, first.Access.Reveal(), second.Access.Reveal())
		require.Equal(t, first.Expiry, second.Expiry)
		require.Equal(t, first.Scopes, second.Scopes)
		require.Equal(t, first.Type, second.Type)

		// Another kind of token is another entry, also when a value stands under
		// its key.
		_, err = other.Token(t.Context(), helseid.TokenRequest{Scopes: []string{otherScope}})
		require.NoError(t, err)
		require.Equal(t, 2, w.tokenRequests())

		// A token that is near its end is not taken over.
		testkit.Sleep(9*time.Minute + 40*time.Second)
		third, err := newClient(t, w.config).Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
		require.NoError(t, err)
		require.NotEqual(t, first.Access.Reveal(), third.Access.Reveal())
		require.Equal(t, 3, w.tokenRequests())
	})
}

// Whatever stands in the cache, it does no harm.
func TestSharedCacheWithRubbish(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"not JSON":        "x",
		"another version": `{"version":2,"access":"a","type":"DPoP","fetched":1,"lifetime":600}`,
		"a bearer token":  `{"version":1,"access":"a","type":"Bearer","fetched":99999999999,"lifetime":600}`,
		"an injection":    `{"version":1,"access":"a\r\nx: y","type":"DPoP","fetched":99999999999,"lifetime":600}`,
		"the far future":  `{"version":1,"access":"a","type":"DPoP","fetched":99999999999,"lifetime":600}`,
		"long ago":        `{"version":1,"access":"a","type":"DPoP","fetched":1,"lifetime":600}`,
		"no life":         `{"version":1,"access":"a","type":"DPoP","fetched":99999999999,"lifetime":-1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenCache = constantCache(value) }})
			require.NotEqual(t, "a", w.token(t).Access.Reveal())
			require.Equal(t, 1, w.tokenRequests())
		})
	}
}

type constantCache string

func (c constantCache) Load(context.Context, string) ([]byte, error) { return []byte(c), nil }
func (c constantCache) Save(context.Context, string, []byte, time.Time) error {
	return nil
}
func (c constantCache) Delete(context.Context, string) error { return nil }

// T084: a cache that fails, or does not answer, costs a token request and no
// call.
func TestT084SharedCacheDown(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]helseid.TokenCache{"fails": failingCache{}, "hangs": failingCache{hang: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenCache = cache }})
				start := time.Now()
				w.token(t)
				require.LessOrEqual(t, time.Since(start), 2*time.Second)
				w.token(t)
				require.Equal(t, 1, w.tokenRequests(), "its own memory serves")
			})
		})
	}
}

type failingCache struct{ hang bool }

func (c failingCache) Load(ctx context.Context, _ string) ([]byte, error) {
	return nil, c.fail(ctx)
}

func (c failingCache) Save(ctx context.Context, _ string, _ []byte, _ time.Time) error {
	return c.fail(ctx)
}

func (c failingCache) Delete(ctx context.Context, _ string) error { return c.fail(ctx) }

func (c failingCache) fail(ctx context.Context) error {
	if c.hang {
		<-ctx.Done()
	}
	return errors.New("down")
}

// What is forgotten here is forgotten there, so that no process takes it up
// again.
func TestForgetSharedToken(t *testing.T) {
	t.Parallel()
	cache := &sharedMap{}
	w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenCache = cache }})
	first := w.token(t)
	w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}).Forget(t.Context())
	require.Empty(t, cache.values)
	require.NotEqual(t, first.Access.Reveal(), w.token(t).Access.Reveal())
}

// A token that was on its way when it was forgotten is not shared either.
func TestForgetTokenOnItsWayToOthers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		cache := &sharedMap{}
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.TokenCache = cache }})
		w.server.Inject(helseidtest.Fault{Delay: 2 * time.Second})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
			assert.NoError(t, err)
		}()
		testkit.Sleep(time.Second)
		w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}).Forget(t.Context())
		<-done
		require.Equal(t, 1, w.tokenRequests())
		require.Empty(t, cache.values)
	})
}

// A token that outlives the process needs a key that does.
func TestSharedCacheNeedsKey(t *testing.T) {
	t.Parallel()
	config := newWorld(t, worldOptions{}).config
	config.DPoPKey, config.TokenCache = nil, &sharedMap{}
	_, err := helseid.New(config)
	require.ErrorIs(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "DPoPKey")
}
