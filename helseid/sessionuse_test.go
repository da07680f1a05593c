package helseid_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

func boundedRequest(maxAge, idle time.Duration) helseid.LoginRequest {
	request := loginRequest()
	request.MaxSessionAge, request.IdleTimeout = maxAge, idle
	return request
}

// requireOver checks that a session can no longer be used, whether it was kept or is
// looked up, and that it has ended in the store and at HelseID.
func (w *world) requireOver(t *testing.T, session *helseid.Session) {
	t.Helper()
	_, err := userToken(t, session, journalResource)
	requireError(t, err, helseid.ErrLoginRequired)
	w.requireEnded(t, session)
	_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
	requireError(t, err, helseid.ErrLoginRequired)
	pause(10 * time.Second)
	require.Equal(t, 1, w.revocations())
}

// A session ends at its greatest age, however much it is used and by whomever it is
// held.
func TestMaxSessionAge(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, w *world, session *helseid.Session){
		"held, with a token in memory": func(t *testing.T, _ *world, session *helseid.Session) {
			_, err := userToken(t, session, journalResource)
			requireError(t, err, helseid.ErrLoginRequired)
		},
		"held, for another API": func(t *testing.T, _ *world, session *helseid.Session) {
			_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: testResource, Scopes: []string{testScope}})
			requireError(t, err, helseid.ErrLoginRequired)
		},
		"looked up": func(t *testing.T, w *world, session *helseid.Session) {
			_, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
			requireError(t, err, helseid.ErrLoginRequired)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				start := time.Now()
				session := w.logInWith(t, boundedRequest(90*time.Minute, 0))
				require.WithinDuration(t, start.Add(90*time.Minute), session.Expiry(), time.Second)
				for range 8 {
					pause(11 * time.Minute)
					token, err := userToken(t, session, journalResource)
					require.NoError(t, err)
					require.False(t, token.Expiry.After(session.Expiry()), "no token outlives it")
					_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
					require.NoError(t, err)
				}
				pause(2 * time.Minute)
				end(t, w, session)
				w.requireOver(t, session)
				require.Empty(t, store.sessions())
			})
		})
	}
}

// The age counts from the user's authentication, not from the login here.
func TestMaxSessionAgeCountsFromTheAuthentication(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		w.server.AlterIDTokens(mint.AuthenticatedAt(time.Now().Add(-time.Hour)))
		session := w.logInWith(t, boundedRequest(90*time.Minute, 0))
		require.WithinDuration(t, time.Now().Add(30*time.Minute), session.Expiry(), time.Second)
		_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)

		w.server.AlterIDTokens(mint.AuthenticatedAt(time.Now().Add(-2 * time.Hour)))
		state, callback := w.callback(t, boundedRequest(90*time.Minute, 0))
		_, err = w.client.FinishLogin(t.Context(), state, callback)
		requireError(t, err, helseid.ErrLogin)
		require.Empty(t, store.sessions())
		pushed := w.server.Requests(helseidtest.EndpointPAR)
		require.Equal(t, "5400", pushed[len(pushed)-1].Form.Get("max_age"))
	})
}

// A session that goes unused ends, and one that is used lives: by look-ups or tokens,
// in any process.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	idle := boundedRequest(0, 10*time.Minute)
	t.Run("unused", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logInWith(t, idle)
			require.WithinDuration(t, time.Now().Add(10*time.Minute), session.Expiry(), time.Second)
			pause(10*time.Minute + time.Second)
			w.requireOver(t, session)
			require.Empty(t, store.sessions())
		})
	})
	t.Run("unused after a while", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, _ := newHookedWorld(t)
			session := w.logInWith(t, idle)
			pause(30 * time.Second)
			_, err := userToken(t, session, journalResource)
			require.NoError(t, err)
			pause(9*time.Minute + 50*time.Second) // since the last use
			require.WithinDuration(t, time.Now().Add(10*time.Second), session.Expiry(), time.Second)
			_, err = newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
			require.NoError(t, err, "in a process that has not seen it used")
			pause(10*time.Minute + time.Second)
			w.requireOver(t, session)
		})
	})
	uses := map[string]func(t *testing.T, w *world, session *helseid.Session) error{
		"tokens from memory": func(t *testing.T, _ *world, session *helseid.Session) error {
			_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: testResource})
			return err
		},
		"look-ups": func(t *testing.T, w *world, session *helseid.Session) error {
			_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
			return err
		},
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				session := w.logInWith(t, idle)
				before := store.saves.Load()
				for range 60 * 6 { // an hour
					pause(10 * time.Second)
					require.NoError(t, use(t, w, session))
				}
				require.LessOrEqual(t, store.saves.Load()-before, int64(66+2*len(w.refreshes())), "written every tenth at most, beside refreshes")
				require.NoError(t, use(t, w, session))
				pause(9 * time.Minute)
				_, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, err)
				pause(9 * time.Minute)
				require.NoError(t, use(t, w, session), "another process has used it")
			})
		})
	}
	t.Run("a store that is down costs no call", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHangingWorld(t)
			session := w.logInWith(t, idle)
			store.hang("session-")
			for range 100 {
				start := time.Now()
				_, err := session.Token(t.Context(), helseid.TokenRequest{Resource: testResource})
				require.NoError(t, err)
				require.Zero(t, time.Since(start))
				pause(4 * time.Second)
			}
		})
	})
}

// Mistakes are reported.
func TestSessionBoundsAreChecked(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	_, err := w.client.ValidateLogin(boundedRequest(-time.Second, time.Millisecond))
	requireError(t, err, helseid.ErrConfig)
	require.True(t, strings.Contains(err.Error(), "MaxSessionAge") && strings.Contains(err.Error(), "IdleTimeout"), err)
}
