package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A probe reports whether requests can be accepted, and causes almost no requests to
// HelseID.
func TestCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{cold: true})
		require.NoError(t, w.auth.Check(t.Context()))
		keys, metadata := w.fetches()
		require.Equal(t, 1, keys)
		for range 30 {
			require.NoError(t, w.auth.Check(t.Context()))
			wait(10 * time.Second)
		}
		again, later := w.fetches()
		require.Equal(t, keys, again)
		require.Equal(t, metadata, later)
		w.requireOK(w.genuine())
		again, _ = w.fetches()
		require.Equal(t, keys, again, "the first request finds the keys")

		// HelseID is down: the known keys are enough …
		w.net.setDown(true)
		wait(time.Hour)
		require.NoError(t, w.auth.Check(t.Context()))
		// … until they are too old.
		wait(24 * time.Hour)
		require.ErrorIs(t, w.auth.Check(t.Context()), tokenvalidation.ErrUnavailable)
		w.net.setDown(false)
		wait(time.Minute)
		require.NoError(t, w.auth.Check(t.Context()))
		w.auth.Close()
	})
}

func TestCheckFindsFaults(t *testing.T) {
	t.Parallel()
	bubble := func(t *testing.T, test func(*testing.T)) {
		t.Parallel()
		synctest.Test(t, test)
	}
	t.Run("no keys", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{cold: true})
			w.net.setDown(true)
			err := w.auth.Check(t.Context())
			require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
			require.NotErrorIs(t, err, middleware.ErrConfig)
			w.net.setDown(false)
			wait(time.Minute)
			require.NoError(t, w.auth.Check(t.Context()))
			w.auth.Close()
		})
	})
	t.Run("silence", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{cold: true})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Times: -1, Delay: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			require.ErrorIs(t, w.auth.Check(ctx), tokenvalidation.ErrUnavailable)
			require.Equal(t, time.Second, time.Since(start), "as long as the probe waits")
			w.auth.Close()
		})
	})
	t.Run("another issuer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{cold: true})
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Times: -1, Body: `{"issuer":"https://other.example.no"}`})
			err := w.auth.Check(t.Context())
			require.ErrorIs(t, err, middleware.ErrConfig)
			require.ErrorIs(t, err, helseid.ErrIssuerMismatch)
			w.auth.Close()
		})
	})
	for name, test := range map[string]struct {
		ahead time.Duration
		off   bool
	}{"ahead": {10 * time.Second, true}, "behind": {-10 * time.Second, true}, "a little ahead": {5 * time.Second, false}, "a little behind": {-5 * time.Second, false}} {
		t.Run("a clock that is "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{cold: true})
				require.NoError(t, w.auth.Check(t.Context()))
				wait(time.Hour)
				w.server.SetClockSkew(-test.ahead)
				err := w.auth.Check(t.Context())
				if !test.off {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, tokenvalidation.ErrClock)
					require.ErrorIs(t, err, helseid.ErrClock)
					require.ErrorContains(t, err, "10s "+map[string]string{"ahead": "ahead of", "behind": "behind"}[name])
					require.NotErrorIs(t, err, tokenvalidation.ErrUnavailable)
				}
				// The clock has been corrected, and the API is ready again within a minute.
				wait(time.Minute)
				w.server.SetClockSkew(0)
				require.NoError(t, w.auth.Check(t.Context()))
				w.auth.Close()
			})
		})
	}
	t.Run("the replay store", func(t *testing.T) {
		t.Parallel()
		down := errors.New("eviction")
		store := &checkedReplay{MemoryReplay: dpop.NewMemoryReplay(dpop.MemoryReplayConfig{})}
		w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.Replay = store }})
		require.NoError(t, w.auth.Check(t.Context()))
		store.err = down
		require.ErrorIs(t, w.auth.Check(t.Context()), down)
		w.net.setDown(true)
		require.ErrorIs(t, w.auth.Check(t.Context()), down)
	})
}

type checkedReplay struct {
	*dpop.MemoryReplay
	err error
}

func (c *checkedReplay) Check(context.Context) error { return c.err }
