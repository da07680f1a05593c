package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// newUse is one use of a proof that nobody has seen.
func newUse() dpop.Use {
	use := dpop.Use{Expiry: time.Now().Add(12 * time.Second), NotBefore: time.Now().Add(-8 * time.Second)}
	_, _ = rand.Read(use.Proof[:])
	_, _ = rand.Read(use.Thumbprint[:])
	return use
}

func record(t testing.TB, store dpop.ReplayStore, use dpop.Use) bool {
	t.Helper()
	first, err := store.Record(t.Context(), use)
	require.NoError(t, err)
	return first
}

func TestReplays(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	one, other := newStore(t, server.url()).Replays(), newStore(t, server.url()).Replays()
	use := newUse()
	require.True(t, record(t, one, use))
	require.False(t, record(t, one, use))
	require.False(t, record(t, other, use))
	later := use
	later.Expiry = later.Expiry.Add(time.Minute)
	require.False(t, record(t, other, later), "the proof is what counts, not its date")
	require.Less(t, server.left(t, server.keys(t)[0]), time.Minute, "what was recorded first stands")
	require.True(t, record(t, other, newUse()))
	require.Zero(t, one.Unchecked())
}

// Of any number of uses of one proof at once, at two stores, exactly one is the
// first.
func TestReplaysAtOnce(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	stores := []*Replays{newStore(t, server.url()).Replays(), newStore(t, server.url()).Replays()}
	for range 100 {
		use := newUse()
		var firsts atomic.Int64
		var all sync.WaitGroup
		gate := make(chan struct{})
		for i := range 8 {
			all.Go(func() {
				<-gate
				first, err := stores[i%2].Record(background(), use)
				if err != nil {
					t.Error(err)
				}
				if first {
					firsts.Add(1)
				}
			})
		}
		close(gate)
		all.Wait()
		require.EqualValues(t, 1, firsts.Load())
	}
}

// persistence is both ways to record.
var persistence = map[string]func(*Config){"default": func(*Config) {}, "TrustPersistence": func(c *Config) { c.TrustPersistence = true }}

func newRecording(name string) *recording {
	return &recording{name: name, id: rand.Text(), lifetime: time.Minute}
}

// Records that share a request are answered separately: the same proof twice is the first
// use once, and an error of one record does not affect the others.
func TestReplaysTogether(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for name, change := range persistence {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := func(c *Config) { c.KeyPrefix = name + ":" }
			store := newStore(t, server.url(), change, prefix).Replays()
			server.do(t, "LPUSH", name+":proof:wrong", "x")
			server.do(t, "SCRIPT", "FLUSH")
			used, again := newRecording("used"), newRecording("used")
			wrong, other := newRecording("wrong"), newRecording("other")
			store.send(t.Context(), 0, []*recording{used, wrong, again, other})
			require.NoError(t, used.err)
			require.Empty(t, used.held)
			require.NoError(t, again.err)
			require.Equal(t, used.id, again.held)
			require.ErrorIs(t, wrong.err, ErrUnavailable)
			require.Equal(t, "WRONGTYPE", wrong.reply)
			require.NoError(t, other.err)
			require.Empty(t, other.held)
			store.send(t.Context(), 0, []*recording{used})
			require.Equal(t, used.id, used.held, "sent twice, it finds its own")

			full := []*recording{newRecording("a"), newRecording("b")}
			require.NoError(t, store.Close())
			store.send(t.Context(), 0, full)
			for _, refused := range full {
				require.ErrorContains(t, refused.err, "closed")
			}
		})
	}
}

// An answer that does not say whether a proof was stored does not count as a record.
func TestReadRecords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer   []any
		answered int
	}{
		"all":       {[]any{"stamp", int64(-1), []any{nil, "held", reply("OOM secret")}}, 3},
		"a number":  {[]any{"stamp", int64(-1), []any{nil, int64(1), nil}}, 2},
		"too few":   {[]any{"stamp", int64(-1), []any{nil, nil}}, 0},
		"too many":  {[]any{"stamp", int64(-1), []any{nil, nil, nil, nil}}, 0},
		"no list":   {[]any{"stamp", int64(-1), "held"}, 0},
		"no origin": {[]any{[]any{nil, nil, nil}}, 0},
		"short":     {[]any{"stamp", int64(-1)}, 0},
		"empty":     {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batch := []*recording{newRecording("a"), newRecording("b"), newRecording("c")}
			readRecords(test.answer, batch)
			answered := 0
			for _, made := range batch {
				if made.answered {
					answered++
				}
			}
			require.Equal(t, test.answered, answered)
			if name == "all" {
				require.NoError(t, batch[0].err)
				require.Equal(t, "held", batch[1].held)
				require.Equal(t, codeOutOfMemory, batch[2].reply)
				require.NotContains(t, batch[2].err.Error(), "secret")
			}
		})
	}
}

// emptyAnswers answers each script with an empty list.
type emptyAnswers struct{ twice }

func (emptyAnswers) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if cmd, ok := cmd.(*redis.Cmd); ok {
			cmd.SetVal([]any{})
		}
		return nil
	}
}

// A proof without an answer from Redis is refused.
func TestReplaysWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	client := newClient(t, redis.Options{ContextTimeoutEnabled: true})
	client.AddHook(emptyAnswers{})
	store, err := NewReplays(Config{Client: client})
	require.NoError(t, err)
	first, err := store.Record(t.Context(), newUse())
	require.ErrorIs(t, err, ErrUnavailable)
	require.False(t, first)
}

// A proof is remembered for as long as any process accepts it, if their clocks
// differ by no more than ten seconds: by the recorder's clock ten seconds beyond
// Forget, whatever Redis takes the time to be.
func TestReplaysRemember(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for name, test := range map[string]struct{ off, forget, want time.Duration }{
		"right":               {0, 12 * time.Second, 22 * time.Second},
		"an hour ahead":       {time.Hour, 12 * time.Second, 22 * time.Second},
		"an hour behind":      {-time.Hour, 12 * time.Second, 22 * time.Second},
		"dated in the future": {0, 20 * time.Second, 30 * time.Second},
		"a skew of replicas":  {0, 72 * time.Second, 82 * time.Second},
		"too old":             {0, -time.Minute, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t, server.url())
			store.connection.now = func() time.Time { return time.Now().Add(test.off) }
			use := newUse()
			use.Expiry = store.connection.now().Add(test.forget)
			require.True(t, record(t, store.Replays(), use))
			left := server.left(t, "helseid:proof:"+base64.RawURLEncoding.EncodeToString(use.Proof[:]))
			require.LessOrEqual(t, left, test.want)
			require.Greater(t, left, test.want-8*time.Second)
		})
	}
}

// twice sends each command a second time, as a client does that has lost the
// answer.
type twice struct{ redis.Hook }

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }
func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		_ = next(ctx, cmd)
		cmd.SetErr(nil)
		return next(ctx, cmd)
	}
}

// A lost answer does not make a valid proof a replay, or a successful write a conflict.
func TestSentTwice(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.socket, ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	client.AddHook(twice{})
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 5 * time.Second})
	require.NoError(t, err)
	use := newUse()
	require.True(t, record(t, store.Replays(), use))
	require.False(t, record(t, store.Replays(), use))
	for version := range uint64(3) {
		saved, err := store.Rows().Save(t.Context(), "a", helseid.StoredRow{Version: version, Expiry: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		require.True(t, saved)
	}
}

// Redis is down: by default all proofs are refused, and with an option all are accepted.
func TestReplaysWithoutRedis(t *testing.T) {
	t.Parallel()
	refusing, err := NewReplays(Config{URL: identity.NewSecret("unix:///nowhere/redis.sock")})
	require.NoError(t, err)
	defer func() { _ = refusing.Close() }()
	accepting, err := NewReplays(Config{URL: identity.NewSecret("unix:///nowhere/redis.sock"), AcceptUncheckedProofs: true})
	require.NoError(t, err)
	defer func() { _ = accepting.Close() }()
	for i := range uint64(3 * breakerLimit) {
		use := newUse()
		first, err := refusing.Record(t.Context(), use)
		require.ErrorIs(t, err, ErrUnavailable)
		require.False(t, first)
		require.True(t, record(t, accepting, use))
		require.Equal(t, i+1, accepting.Unchecked())
	}
	require.True(t, record(t, accepting, newUse()))
	require.Zero(t, refusing.Unchecked())
}

// The same through the middleware: a 503 by default, and 200 with the option.
func TestMiddlewareWithoutRedis(t *testing.T) {
	t.Parallel()
	backend := startServer(t)
	issuer := helseidtest.NewServer(t)
	api := func(config Config) *httptest.Server {
		config.URL = identity.NewSecret(backend.url())
		config.Timeout = 5 * time.Second
		replays, err := NewReplays(config)
		require.NoError(t, err)
		t.Cleanup(func() { _ = replays.Close() })
		auth, err := middleware.New(middleware.Config{
			Issuer: issuer.Issuer(), Audience: "nhn:some-api", Proof: dpop.VerifierConfig{Replay: replays},
		})
		require.NoError(t, err)
		t.Cleanup(auth.Close)
		server := httptest.NewServer(auth.Require(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(server.Close)
		return server
	}
	strict, loose := api(Config{}), api(Config{AcceptUncheckedProofs: true})
	call := func(request *http.Request) (int, string) {
		t.Helper()
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		defer response.Body.Close()
		var body strings.Builder
		require.NoError(t, response.Write(&body))
		return response.StatusCode, body.String()
	}
	request := func(api *httptest.Server) *http.Request {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/x", nil)
		require.NoError(t, err)
		issuer.Authorize(request, issuer.Token(mint.Audience("nhn:some-api")))
		return request
	}
	seen := request(strict)
	status, body := call(seen)
	require.Equal(t, http.StatusOK, status, body)
	status, body = call(seen)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "proof_replayed")

	backend.kill()
	status, body = call(seen)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "replay_store_unavailable")
	status, _ = call(request(strict))
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = call(request(loose))
	require.Equal(t, http.StatusOK, status)
}

// Across a crash in the middle of load no proof is the first twice, if the server
// keeps what it has confirmed.
func TestReplaysAcrossRestart(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	trusting := func(c *Config) { c.TrustPersistence = true }
	stores := []*Replays{newStore(t, server.url(), trusting).Replays(), newStore(t, server.url(), trusting).Replays()}
	type result struct {
		use   dpop.Use
		first bool
	}
	var mu sync.Mutex
	var results []result // of those that were recorded
	done := make(chan struct{})
	var all sync.WaitGroup
	var good, bad atomic.Int64
	for i := range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				use := newUse()
				use.Expiry = use.Expiry.Add(time.Hour)
				first, err := stores[i%2].Record(background(), use)
				if err != nil {
					bad.Add(1)
					time.Sleep(time.Millisecond) // a store that is left alone refuses at once
					continue
				}
				good.Add(1)
				mu.Lock()
				results = append(results, result{use, first})
				mu.Unlock()
			}
		})
	}
	enough := func() {
		t.Helper()
		start := good.Load()
		require.Eventually(t, func() bool { return good.Load() > start+50 }, 20*time.Second, time.Millisecond)
	}
	enough()
	server.kill()
	require.Eventually(t, func() bool { return bad.Load() > 0 }, 20*time.Second, time.Millisecond)
	server.start(t)
	enough()
	close(done)
	all.Wait()
	// One of the stores may still leave the server alone for a second.
	another := newStore(t, server.url(), trusting).Replays()
	for _, result := range results {
		require.True(t, result.first, "a proof that nobody has used is not refused")
		require.False(t, record(t, another, result.use), "a proof is the first twice")
	}
	t.Logf("%d proofs recorded, %d refused while the server was down", len(results), bad.Load())
}

// A full server that evicts nothing refuses.
func TestReplaysFull(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--maxmemory-policy", "noeviction")
	store := newStore(t, server.url())
	loose := newStore(t, server.url(), func(c *Config) { c.AcceptUncheckedProofs = true })
	require.NoError(t, store.Check(t.Context()))
	use := newUse()
	require.True(t, record(t, store.Replays(), use))
	require.NoError(t, store.TokenCache().Save(t.Context(), "a", []byte("kept"), time.Now().Add(time.Hour)))
	server.setMemory(t, "100kb")

	for range 3 * breakerLimit { // a server that answers is not left alone
		first, err := store.Replays().Record(t.Context(), newUse())
		require.ErrorIs(t, err, dpop.ErrReplayFull)
		require.ErrorIs(t, err, ErrUnavailable)
		require.False(t, first)
	}
	first, err := store.Replays().Record(t.Context(), use)
	require.False(t, first, "%v", err)
	require.ErrorContains(t, store.TokenCache().Save(t.Context(), "b", make([]byte, 4096), time.Now().Add(time.Hour)), "maxmemory")
	value, err := store.TokenCache().Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "kept", string(value))
	require.True(t, record(t, loose.Replays(), newUse()))
	require.EqualValues(t, 1, loose.Replays().Unchecked())
}

// A server with an eviction policy forgets used proofs. All proofs are refused, whatever
// use comes first, until the policy is corrected.
func TestEvictionIsRefused(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"} {
		for name, trust := range map[string]bool{"": false, ", with TrustPersistence": true} {
			t.Run(policy+name, func(t *testing.T) {
				t.Parallel()
				server := startServer(t, "--maxmemory-policy", policy)
				store := newStore(t, server.url(), func(c *Config) { c.TrustPersistence = trust })
				for range 2 {
					first, err := store.Replays().Record(t.Context(), newUse())
					require.ErrorIs(t, err, ErrEviction)
					require.ErrorIs(t, err, ErrUnavailable)
					require.False(t, first)
				}
				require.ErrorIs(t, store.Check(t.Context()), ErrEviction)

				loose := newStore(t, server.url(), func(c *Config) { c.TrustPersistence, c.AcceptUncheckedProofs = trust, true })
				require.True(t, record(t, loose.Replays(), newUse()))
				require.EqualValues(t, 1, loose.Replays().Unchecked(), "it is no less open than it says")
				trusting := newStore(t, server.url(), func(c *Config) { c.TrustPersistence, c.TrustNoEviction = trust, true })
				require.True(t, record(t, trusting.Replays(), newUse()))
				require.NoError(t, trusting.Check(t.Context()))
			})
		}
	}
}

// The policy can change while a process runs: it is noticed within seconds, both ways.
func TestEvictionIsNoticedLater(t *testing.T) {
	t.Parallel()
	for name, trust := range map[string]bool{"": false, "with TrustPersistence": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t)
			store := newStore(t, server.url(), func(c *Config) { c.TrustPersistence = trust })
			ahead := time.Duration(0)
			store.connection.now = func() time.Time { return time.Now().Add(ahead) }
			use := func() dpop.Use {
				use := newUse()
				use.Expiry, use.NotBefore = use.Expiry.Add(ahead), use.NotBefore.Add(ahead)
				return use
			}
			require.True(t, record(t, store.Replays(), use()))
			server.do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
			require.True(t, record(t, store.Replays(), use()), "it is not asked for with each proof")
			ahead = policyInterval
			_, err := store.Replays().Record(t.Context(), use())
			require.ErrorIs(t, err, ErrEviction)
			server.do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
			_, err = store.Replays().Record(t.Context(), use())
			require.ErrorIs(t, err, ErrEviction)
			ahead += badPolicyInterval
			require.True(t, record(t, store.Replays(), use()))
		})
	}
}

// A server that does not tell its policy is not trusted unless the configuration does.
func TestEvictionNotTold(t *testing.T) {
	t.Parallel()
	var known evictions
	now := time.Now()
	require.ErrorIs(t, known.problem(0), ErrUnavailable, "nothing is let in before it is known")
	require.True(t, known.due(0, now))
	require.True(t, known.learn(0, "", now))
	require.ErrorContains(t, known.problem(0), "TrustNoEviction")
	require.False(t, known.due(0, now))
	require.True(t, known.due(0, now.Add(badPolicyInterval)))
	require.False(t, known.learn(0, noEviction, now))
	require.NoError(t, known.problem(0))
	require.False(t, known.due(0, now.Add(badPolicyInterval)))
	require.True(t, known.due(0, now.Add(policyInterval)))
	require.ErrorIs(t, known.problem(1), ErrUnavailable, "each group has its own")
}
