package redisstore

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// Redis answers late: too late for a proof, which is refused, and in time for a
// session. One late answer, however many wait for it, is no reason to leave Redis
// alone.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	line := startProxy(t, startServer(t))
	store := newStore(t, line.url(), within(300*time.Millisecond), func(c *Config) { c.SessionTimeout = 10 * time.Second })
	sessions := store.Rows()
	saved, err := sessions.Save(t.Context(), "a", helseid.StoredRow{Data: []byte("x"), Expiry: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.True(t, saved)
	require.True(t, record(t, store.Replays(), newUse()))

	line.setSilent(true)
	var all sync.WaitGroup
	for range 4 * breakerLimit {
		all.Go(func() {
			if _, err := sessions.Load(background(), "a"); err != nil {
				t.Error("a session can wait:", err)
			}
		})
		all.Go(func() {
			first, err := store.Replays().Record(background(), newUse())
			if first || err == nil || !isTimeout(err) {
				t.Error("a proof does not wait:", first, err)
			}
			_, err = store.TokenCache().Load(background(), "a")
			if err == nil || !isTimeout(err) {
				t.Error("a token does not wait:", err)
			}
		})
	}
	time.Sleep(time.Second)
	line.setSilent(false)
	all.Wait()
	require.True(t, record(t, newStore(t, line.url()).Replays(), newUse()))
}

func isTimeout(err error) bool {
	return err != nil && err.Error() == unavailable(context.DeadlineExceeded).Error()
}

// A token that is in memory never waits for Redis: neither a system's nor a
// session's.
func TestTokenInMemoryNeedsNoRedis(t *testing.T) {
	t.Parallel()
	line := startProxy(t, startServer(t))
	store := newStore(t, line.url(), within(5*time.Second), func(c *Config) { c.SessionTimeout = 5 * time.Second })
	server := helseidtest.NewServer(t)
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	shared := func(config helseid.Config) *helseid.Client {
		config.TokenCache, config.Store, config.DPoPKey = store.TokenCache(), store.Rows(), key
		client, err := helseid.New(config)
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	system := shared(server.NewClient(helseidtest.Scopes(testScope)))
	application := server.NewClient(helseidtest.RedirectURI("http://127.0.0.1/callback"), helseidtest.Scopes(testScope))
	web := shared(application)
	login, err := web.StartLogin(t.Context(), helseid.LoginRequest{Scopes: []string{helseid.ScopeOpenID, helseid.ScopeOfflineAccess, testScope}, Resources: []string{"nhn:some-api"}})
	require.NoError(t, err)
	callback, err := server.LogIn(login.URL)
	require.NoError(t, err)
	session, err := web.FinishLogin(t.Context(), login.State, callback.Query())
	require.NoError(t, err)
	request := helseid.TokenRequest{Scopes: []string{testScope}, Resource: "nhn:some-api"}
	ofSystem, err := system.Token(t.Context(), testRequest)
	require.NoError(t, err)
	ofSession, err := session.Token(t.Context(), request)
	require.NoError(t, err)

	line.setSilent(true)
	start := time.Now()
	for range 100 {
		again, err := system.Token(t.Context(), testRequest)
		require.NoError(t, err)
		require.Equal(t, ofSystem.Access.Reveal(), again.Access.Reveal())
		again, err = session.Token(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, ofSession.Access.Reveal(), again.Access.Reveal())
	}
	require.Less(t, time.Since(start), 5*time.Second, "not one of them has waited")
	line.setSilent(false)
}

// A process that gets too little of the processor notices late that its time is up,
// and does not conclude that Redis is dead.
func TestStarvedProcess(t *testing.T) {
	t.Parallel()
	client := newClient(t, redis.Options{ContextTimeoutEnabled: true})
	for name, test := range map[string]struct {
		late time.Duration
		dead bool
	}{"on time": {0, true}, "a little late": {maxLag, true}, "late": {maxLag + time.Millisecond, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				config, err := Config{Client: client}.checked(false)
				require.NoError(t, err)
				c, err := newConnection(config)
				require.NoError(t, err)
				for range 2 * breakerLimit {
					err = c.use(t.Context(), func(ctx context.Context) error {
						<-ctx.Done()
						time.Sleep(test.late)
						return ctx.Err()
					})
					require.ErrorIs(t, err, ErrUnavailable)
				}
				require.Equal(t, test.dead, !isTimeout(err), err)
			})
		})
	}
}

// Proofs that give up in a silence, one after the other, do not fail the session that
// would have been answered in time.
func TestSessionOutlivesASilence(t *testing.T) {
	t.Parallel()
	client := newClient(t, redis.Options{ContextTimeoutEnabled: true})
	synctest.Test(t, func(t *testing.T) {
		config, err := Config{Client: client}.checked(false)
		require.NoError(t, err)
		c, err := newConnection(config)
		require.NoError(t, err)
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		start := time.Now()
		for range breakerLimit + 1 {
			require.True(t, isTimeout(c.use(t.Context(), hang)))
		}
		require.Less(t, time.Since(start), defaultSessionTimeout)
		require.NoError(t, c.within(defaultSessionTimeout).use(t.Context(), func(context.Context) error { return nil }))
	})
}
