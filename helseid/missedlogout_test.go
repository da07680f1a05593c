package helseid_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
)

// requireEnded checks, in a process that knows nothing of it, that a session has
// ended.
func (w *world) requireEnded(t testing.TB, session *helseid.Session) {
	t.Helper()
	_, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
	require.ErrorIs(t, err, helseid.ErrLoginRequired)
}

// tellLogout is HelseID's back channel, with a token about a session.
func tellLogout(t testing.TB, client *helseid.Client, token string) {
	t.Helper()
	require.Equal(t, http.StatusOK, postLogout(t, client.Sessions().BackChannelLogout(), url.Values{"logout_token": {token}}).Code)
}

// unreadableSessions is a store whose encryption key this process lacks.
type unreadableSessions struct{ helseid.Store }

func (s unreadableSessions) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	row, err := s.Store.Load(ctx, key)
	if err == nil && row.Version != 0 && strings.HasPrefix(key, "session-") {
		return helseid.StoredRow{Version: row.Version}, helseid.ErrUnreadableRow
	}
	return row, err
}

// A process that cannot use a session, since it has another DPoP key or lacks the
// store's, can still end it: while keys change, a logout comes to either kind.
func TestLogoutAtAProcessWithOtherKeys(t *testing.T) {
	t.Parallel()
	processes := map[string]func(t *testing.T, config *helseid.Config){
		"DPoP key": func(t *testing.T, config *helseid.Config) {
			var err error
			config.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{})
			require.NoError(t, err)
		},
		"encryption key": func(_ *testing.T, config *helseid.Config) {
			config.Store = unreadableSessions{config.Store}
		},
	}
	logouts := map[string]func(t *testing.T, w *world, other *helseid.Client, session *helseid.Session){
		"back channel": func(t *testing.T, w *world, other *helseid.Client, session *helseid.Session) {
			tellLogout(t, other, w.logoutToken(session))
		},
		"front channel": func(t *testing.T, w *world, other *helseid.Client, session *helseid.Session) {
			recorder := httptest.NewRecorder()
			query := url.Values{"iss": {w.server.Issuer()}, "sid": {session.User().SessionID}}
			other.Sessions().FrontChannelLogout().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/?"+query.Encode(), nil))
			require.Equal(t, http.StatusOK, recorder.Code)
		},
		"by id": func(t *testing.T, _ *world, other *helseid.Client, session *helseid.Session) {
			require.NoError(t, other.Sessions().End(t.Context(), session.ID().Reveal()))
		},
	}
	for process, change := range processes {
		for logout, end := range logouts {
			t.Run(process+", "+logout, func(t *testing.T) {
				t.Parallel()
				w, _ := newHookedWorld(t)
				session := w.logIn(t)
				config := w.config
				change(t, &config)
				end(t, w, newClient(t, config), session)
				w.requireEnded(t, session)
			})
		}
	}
}

// To end a session needs the id and the store, and does not wait for HelseID.
func TestEndSession(t *testing.T) {
	t.Parallel()
	t.Run("HelseID is silent", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, _ := newHookedWorld(t)
			session := w.logIn(t)
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Delay: time.Second})
			start := time.Now()
			require.NoError(t, w.client.Sessions().End(t.Context(), session.ID().Reveal()))
			require.Zero(t, time.Since(start))
			w.requireEnded(t, session)
			pause(2 * time.Second)
			require.Equal(t, 1, w.revocations())
		})
	})
	t.Run("the store is down for a while", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			other := newClient(t, w.config) // has never seen the session
			store.failWith(func(string) error { return errStoreTimeout })
			requireError(t, other.Sessions().End(t.Context(), session.ID().Reveal()), helseid.ErrStore)
			store.failWith(nil)
			pause(time.Minute)
			w.requireEnded(t, session)
			require.Equal(t, 1, w.revocations())
		})
	})
	t.Run("ids that nobody has", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			for _, id := range []string{"", "x", strings.Repeat("x", 5000)} {
				require.NoError(t, w.client.Sessions().End(t.Context(), id))
			}
			store.failWith(func(string) error { return errStoreTimeout })
			for i := range 3000 {
				requireError(t, w.client.Sessions().End(t.Context(), fmt.Sprint("made up ", i)), helseid.ErrStore)
			}
			var tries atomic.Int64
			store.failWith(func(op string) error {
				if op == "load" {
					tries.Add(1)
				}
				return nil
			})
			pause(5 * time.Minute)
			require.LessOrEqual(t, tries.Load(), int64(1000), "what is tried later is bounded")
			require.Positive(t, tries.Load())
		})
	})
}

// HelseID says that the user has logged out while the login is under way here, or
// in another process. It is told that this has been done, so it must be.
func TestLogoutDuringTheEndOfALogin(t *testing.T) {
	t.Parallel()
	logoutToken := func(w *world, subject, sid any) string {
		return w.server.LogoutToken(mint.Audience(w.config.ClientID), mint.Claim("sub", subject), mint.Claim("sid", sid))
	}
	for name, claims := range map[string]func(user identity.User) (subject, sid any){
		"of the session": func(user identity.User) (any, any) { return user.Subject, user.SessionID },
		"of the subject": func(user identity.User) (any, any) { return user.Subject, nil },
	} {
		t.Run("in a LoginCheck, "+name, func(t *testing.T) {
			t.Parallel()
			w, _ := newHookedWorld(t)
			elsewhere := newClient(t, w.config)
			state, callback := w.callback(t, loginRequest())
			_, err := w.client.FinishLogin(t.Context(), state, callback, func(_ context.Context, user identity.User) error {
				subject, sid := claims(user)
				tellLogout(t, elsewhere, logoutToken(w, subject, sid))
				return nil
			})
			requireError(t, err, helseid.ErrLogin)
			require.ErrorIs(t, err, helseid.ErrLoginRequired)
			require.Equal(t, 1, w.revocations())
		})
	}
	for _, prefix := range []string{"session-", "sub-", "sid-"} {
		t.Run("after "+prefix, func(t *testing.T) {
			t.Parallel()
			w, store := newHookedWorld(t)
			elsewhere := newClient(t, w.config)
			var once atomic.Bool
			store.afterSave = func(key string) error {
				if strings.HasPrefix(key, prefix) && once.CompareAndSwap(false, true) {
					_, claims := jws(t, store.member(t, "id_token"))
					tellLogout(t, elsewhere, logoutToken(w, claims["sub"], claims["sid"]))
				}
				return nil
			}
			state, callback := w.callback(t, loginRequest())
			session, err := w.client.FinishLogin(t.Context(), state, callback)
			require.True(t, once.Load())
			if err == nil {
				w.requireEnded(t, session)
			}
		})
	}
	t.Run("a login after it is good", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, _ := newHookedWorld(t)
			first := w.logIn(t)
			tellLogout(t, w.client, logoutToken(w, first.User().Subject, nil))
			w.requireEnded(t, first)
			pause(6 * time.Second)
			require.True(t, w.lives(t, w.logIn(t)))
		})
	})
}

// The oldest of more sessions than are found ends, since no logout would.
func TestManySessionsOfAUser(t *testing.T) {
	t.Parallel()
	w, _ := newHookedWorld(t)
	first, second := w.logIn(t), w.logIn(t)
	for range 99 {
		w.logIn(t)
	}
	w.requireEnded(t, first)
	require.True(t, w.lives(t, second))
	require.Equal(t, 1, w.revocations())
}

// A process that died before it sent the refresh token leaves one that is good: the
// logout that found it in use revokes it in the end.
func TestLogoutAfterAKilledRefresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		refreshToken := store.member(t, "refresh_token")
		other := w.elsewhere(t, session)
		killed, end := context.WithCancel(context.Background())
		var once atomic.Bool
		store.afterSave = func(string) error {
			if once.CompareAndSwap(false, true) { // the mark is left
				<-killed.Done()
			}
			return nil
		}
		go func() { _, _ = userToken(t, session, journalResource) }()
		pause(time.Second)
		require.True(t, store.marked(t))
		_, err := other.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		require.Zero(t, w.revocations(), "it may be in use")
		pause(2 * time.Minute)
		require.Equal(t, []string{refreshToken}, w.revoked())
		end()
		pause(time.Second)
	})
}

// An index entry that a refresh could not prolong is prolonged by the next one.
func TestReindexingIsMadeGood(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		store := &hookedStore{}
		w := newLoginWorld(t, worldOptions{
			server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.RefreshTokenLifetime(400 * time.Hour)},
			config: func(c *helseid.Config) { c.Store = store },
		})
		w.server.AlterTokenResponse(func(response map[string]any) {
			if _, ok := response["rt_expires_in"]; ok {
				response["rt_expires_in"] = 8 * 3600
			}
		})
		session := w.logIn(t) // until 8 h, and indexed until 20 h
		refresh := func() {
			pause(7 * time.Hour)
			_, err := userToken(t, session, journalResource)
			require.NoError(t, err)
		}
		refresh() // until 15 h
		saves := 0
		store.failWith(func(op string) error {
			if op == "save" {
				saves++
			}
			if saves > 2 { // the mark and the outcome
				return errStoreTimeout
			}
			return nil
		})
		refresh() // at 14 h, until 22 h: it is to be indexed until 34 h, and is not
		require.Greater(t, saves, 2)
		store.failWith(nil)
		refresh() // at 21 h
		require.True(t, w.lives(t, session))
		tellLogout(t, w.client, w.logoutToken(session))
		require.False(t, w.lives(t, session))
	})
}

// A check that panics leaves no refresh token behind.
func TestPanicInLoginCheck(t *testing.T) {
	t.Parallel()
	w, _ := newHookedWorld(t)
	state, callback := w.callback(t, loginRequest())
	require.Panics(t, func() {
		_, _ = w.client.FinishLogin(t.Context(), state, callback, func(context.Context, identity.User) error { panic("x") })
	})
	require.Equal(t, 1, w.revocations())
}
