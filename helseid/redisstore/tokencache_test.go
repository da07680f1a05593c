package redisstore

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

const testScope = "nhn:some-api/read"

func TestTokenCache(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	cache := newStore(t, server.url()).TokenCache()

	value, err := cache.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Nil(t, value)

	require.NoError(t, cache.Save(t.Context(), "a", []byte("one"), time.Now().Add(time.Minute)))
	require.NoError(t, cache.Save(t.Context(), "b", []byte("two"), time.Now().Add(time.Minute)))
	require.NoError(t, cache.Save(t.Context(), "a", []byte("three"), time.Now().Add(2*time.Minute)))
	value, err = cache.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "three", string(value))
	left := server.left(t, "helseid:token:a")
	require.Greater(t, left, time.Minute)
	require.LessOrEqual(t, left, 2*time.Minute)

	require.NoError(t, cache.Delete(t.Context(), "a"))
	require.NoError(t, cache.Save(t.Context(), "b", []byte("late"), time.Now()), "what has expired leaves nothing")
	require.Empty(t, server.keys(t))

	require.NoError(t, cache.Save(t.Context(), "c", []byte("brief"), time.Now().Add(20*time.Millisecond)))
	require.Eventually(t, func() bool {
		value, err := cache.Load(t.Context(), "c")
		return err == nil && value == nil
	}, 5*time.Second, 5*time.Millisecond)

	other := newStore(t, server.url(), func(c *Config) { c.KeyPrefix = "test:" }).TokenCache()
	require.NoError(t, cache.Save(t.Context(), "a", []byte("one"), time.Now().Add(time.Minute)))
	value, err = other.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Nil(t, value, "another prefix is another world")
}

// Nothing that is written to Redis can be read there, and nothing that is moved
// or changed there is taken back.
func TestValuesAreEncrypted(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := newStore(t, server.url())
	const secret = "06828399789"
	require.NoError(t, store.TokenCache().Save(t.Context(), "a", []byte(strings.Repeat(secret, 20)), time.Now().Add(time.Minute)))
	require.NoError(t, store.TokenCache().Save(t.Context(), "b", []byte("other"), time.Now().Add(time.Minute)))
	for _, key := range []string{"a", "b"} {
		saved, err := store.Rows().Save(t.Context(), key, helseid.StoredRow{Data: []byte(strings.Repeat(secret, 20)), Expiry: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		require.True(t, saved)
	}
	_, err := store.Replays().Record(t.Context(), newUse())
	require.NoError(t, err)

	server.do(t, "CONFIG", "SET", "rdbcompression", "no")
	server.do(t, "SAVE")
	dump, err := os.ReadFile(filepath.Join(server.dir, "dump.rdb"))
	require.NoError(t, err)
	require.Contains(t, string(dump), "helseid:token:a", "the dump is what it should be")
	require.NotContains(t, string(dump), secret)
	require.NotContains(t, string(dump), string(testKey))

	stranger := newStore(t, server.url(), func(c *Config) { c.EncryptionKeys = inBase64(otherKey) })
	rotated := newStore(t, server.url(), func(c *Config) { c.EncryptionKeys = inBase64(otherKey, testKey) })
	requireRefused := func(store *Store, key string) {
		t.Helper()
		_, err := store.TokenCache().Load(t.Context(), key)
		require.ErrorIs(t, err, ErrDecrypt)
		_, err = store.Rows().Load(t.Context(), key)
		require.ErrorIs(t, err, ErrDecrypt)
		require.ErrorIs(t, err, helseid.ErrStore)
		require.NotContains(t, err.Error(), secret)
	}
	requireRefused(stranger, "a")
	value, err := rotated.TokenCache().Load(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, "other", string(value))
	session, err := rotated.Rows().Load(t.Context(), "b")
	require.NoError(t, err)
	require.Contains(t, string(session.Data), secret)

	// When it is written again, it is encrypted with the new key.
	saved, err := rotated.Rows().Save(t.Context(), "b", session)
	require.NoError(t, err)
	require.True(t, saved)
	_, err = stranger.Rows().Load(t.Context(), "b")
	require.NoError(t, err)
	_, err = store.Rows().Load(t.Context(), "b")
	require.ErrorIs(t, err, ErrDecrypt)

	server.do(t, "PERSIST", "helseid:session:a")
	_, err = store.Rows().Load(t.Context(), "a")
	require.ErrorIs(t, err, ErrDecrypt, "none is stored for ever")
	server.do(t, "PEXPIRE", "helseid:session:a", 60_000)

	server.do(t, "COPY", "helseid:token:a", "helseid:token:moved")
	server.do(t, "COPY", "helseid:session:a", "helseid:session:moved")
	requireRefused(store, "moved")
	server.do(t, "HSET", "helseid:session:a", "version", "5")
	_, err = store.Rows().Load(t.Context(), "a")
	require.ErrorIs(t, err, ErrDecrypt, "the version is sealed, too")
	server.do(t, "SET", "helseid:token:plain", "value", "EX", "60")
	server.do(t, "HSET", "helseid:session:plain", "version", "1", "data", "value")
	requireRefused(store, "plain")
	server.do(t, "DEL", "helseid:session:plain")
	server.do(t, "HSET", "helseid:session:plain", "data", "value")
	requireRefused(store, "plain")
	server.do(t, "SET", "helseid:session:text", "value")
	_, err = store.Rows().Load(t.Context(), "text")
	require.ErrorIs(t, err, ErrUnavailable)
}

// fleet is some processes of one client, which share a cache.
func fleet(t *testing.T, caches ...helseid.TokenCache) (*helseidtest.Server, []*helseid.Client) {
	t.Helper()
	server := helseidtest.NewServer(t, helseidtest.Relaxed(rule.Nonce))
	config := server.NewClient(helseidtest.Scopes(testScope))
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	config.DPoPKey = key
	clients := make([]*helseid.Client, len(caches))
	for i, cache := range caches {
		config.TokenCache = cache
		clients[i], err = helseid.New(config)
		require.NoError(t, err)
		t.Cleanup(clients[i].Close)
	}
	return server, clients
}

var testRequest = helseid.TokenRequest{Scopes: []string{testScope}}

func TestClientsShareOneToken(t *testing.T) {
	t.Parallel()
	backend := startServer(t)
	server, clients := fleet(t,
		newStore(t, backend.url()).TokenCache(), newStore(t, backend.url()).TokenCache())
	first, err := clients[0].Token(t.Context(), testRequest)
	require.NoError(t, err)
	second, err := clients[1].Token(t.Context(), testRequest)
	require.NoError(t, err)
	require.Equal(t, first.Access.Reveal(), second.Access.Reveal())
	require.Len(t, server.Requests(helseidtest.EndpointToken), 1)
	require.Len(t, backend.keys(t), 1)

	clients[1].TokenSource(testRequest).Forget(t.Context())
	require.Empty(t, backend.keys(t))
}

// A Redis that is down or does not answer costs a client a little time, and not
// for every token.
func TestClientOutlivesRedis(t *testing.T) {
	t.Parallel()
	const timeout, tokens = 200 * time.Millisecond, 40
	down := func(*testing.T) string { return "unix:///nowhere/redis.sock" }
	silent := func(t *testing.T) string {
		line := startProxy(t, startServer(t))
		line.setSilent(true)
		return line.url()
	}
	for name, url := range map[string]func(*testing.T) string{"down": down, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t, url(t), within(timeout))
			server, clients := fleet(t, store.TokenCache())
			start := time.Now()
			for range tokens {
				_, err := clients[0].Token(t.Context(), testRequest)
				require.NoError(t, err)
				clients[0].TokenSource(testRequest).Forget(t.Context())
			}
			require.Len(t, server.Requests(helseidtest.EndpointToken), tokens)
			// Three uses of the cache for each token would take 24 seconds.
			require.Less(t, time.Since(start), 12*time.Second)
		})
	}
}

// A line that falls silent is left alone after a few uses, and used again when it
// works again.
func TestPartition(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	server := startServer(t)
	line := startProxy(t, server)
	var log bytes.Buffer // the breaker writes one line at a time
	store := newStore(t, line.url(), within(timeout), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	cache := store.TokenCache()
	require.NoError(t, cache.Save(t.Context(), "a", []byte("value"), time.Now().Add(time.Hour)))
	require.Empty(t, log.String())

	line.setSilent(true)
	for range breakerLimit {
		start := time.Now()
		_, err := cache.Load(t.Context(), "a")
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(start), 4*timeout)
	}
	// Of a hundred uses in a row at most a few find out whether it is back: none
	// of the others waits.
	start := time.Now()
	for range 100 {
		first, err := store.Replays().Record(t.Context(), newUse())
		require.ErrorIs(t, err, ErrUnavailable)
		require.False(t, first)
	}
	require.Less(t, time.Since(start), 50*timeout)

	line.setSilent(false)
	require.Eventually(t, func() bool {
		value, err := cache.Load(t.Context(), "a")
		return err == nil && string(value) == "value"
	}, 10*time.Second, 10*time.Millisecond)
	first, err := store.Replays().Record(t.Context(), newUse())
	require.NoError(t, err)
	require.True(t, first)
	require.Contains(t, log.String(), "Redis does not answer")
	require.Contains(t, log.String(), "Redis answers again")
	require.NotContains(t, log.String(), "value")
	require.NotContains(t, log.String(), "helseid:")
}

// A client of the caller's is kept to the time limit, too.
func TestCallersClientIsBounded(t *testing.T) {
	t.Parallel()
	line := startProxy(t, startServer(t))
	line.setSilent(true)
	client := redis.NewClient(&redis.Options{Addr: line.listener.Addr().String(), ContextTimeoutEnabled: true, ReadTimeout: time.Minute})
	defer func() { _ = client.Close() }()
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	start := time.Now()
	_, err = store.TokenCache().Load(t.Context(), "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 3*time.Second)
}

// Callers who give up say nothing about Redis: they cannot close the way for
// others, and their proofs are not let through.
func TestCallersWhoGiveUp(t *testing.T) {
	t.Parallel()
	line := startProxy(t, startServer(t))
	// Nothing comes through, and the callers have no patience.
	store := newStore(t, line.url(), within(400*time.Millisecond), func(c *Config) { c.AcceptUncheckedProofs = true })
	line.setSilent(true)
	for range 2 * breakerLimit {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		first, err := store.Replays().Record(ctx, newUse())
		require.ErrorIs(t, err, ErrUnavailable)
		require.False(t, first)
		require.NotContains(t, err.Error(), "a moment ago")
	}
	require.Zero(t, store.Replays().Unchecked())
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for range 2 * breakerLimit {
		_, err := store.Replays().Record(late, newUse())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotContains(t, err.Error(), "a moment ago")
	}
	line.setSilent(false)
	first, err := store.Replays().Record(t.Context(), newUse())
	require.NoError(t, err)
	require.True(t, first)
	require.Zero(t, store.Replays().Unchecked())
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := newStore(t, server.url(), func(c *Config) { c.KeyPrefix = "clinic-1:" })
	require.NoError(t, store.TokenCache().Save(t.Context(), "a", []byte("x"), time.Now().Add(time.Minute)))
	_, err := store.Rows().Save(t.Context(), "a", helseid.StoredRow{Expiry: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	_, err = store.Replays().Record(t.Context(), newUse())
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	keys := server.keys(t)
	require.Len(t, keys, 5)
	require.False(t, slices.ContainsFunc(keys, func(key string) bool { return !strings.HasPrefix(key, "clinic-1:") }))
	for _, key := range keys {
		if !strings.HasSuffix(key, ":proof:origin") {
			require.Positive(t, server.left(t, key), "%s stays for ever", key)
		}
	}
}
