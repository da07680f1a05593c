package helseid_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// revoked are the refresh tokens that HelseID was told to revoke.
func (w *world) revoked() (tokens []string) {
	for _, request := range w.server.Requests(helseidtest.EndpointRevocation) {
		tokens = append(tokens, request.Form.Get("token"))
	}
	return tokens
}

// An outcome that was kept because the store was down, and that is outdated since, does
// not hide the newest refresh token from a logout.
func TestLogoutRevokesTheNewest(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		other := w.elsewhere(t, session)
		store.failWith(failAt("", errStoreTimeout, 0, -1)) // from the mark on
		_, err := userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrStore)
		store.failWith(nil)
		_, err = userToken(t, other, journalResource)
		require.NoError(t, err)
		newest := store.member(t, "refresh_token")
		_, err = session.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		require.Contains(t, w.revoked(), newest)
	})
}

// A logout whose write fails, or seems to fail, revokes the token, and is carried out when
// the store is back.
func TestLogoutWithoutAStore(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(*hookedStore){
		"down":                    func(s *hookedStore) { s.failWith(failAt("", errStoreTimeout, 0, -1)) },
		"takes nothing":           func(s *hookedStore) { s.failWith(failAt("save", errStoreTimeout, 0, -1)) },
		"takes it, and says not":  func(s *hookedStore) { s.failLate(failAt("save", errStoreTimeout, 1, 1)) }, // the outbox takes its entry
		"down until it is closed": func(s *hookedStore) { s.failWith(failAt("save", errStoreTimeout, 0, -1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				session := w.logIn(t)
				arm(store)
				_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
				requireError(t, err, helseid.ErrStore)
				require.Equal(t, 1, w.revocations())
				_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
				requireError(t, err, helseid.ErrLoginRequired)
				pause(10 * time.Second)
				store.failWith(nil)
				if name == "down until it is closed" {
					w.client.Close()
				} else {
					pause(time.Minute)
				}
				_, err = newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
				requireError(t, err, helseid.ErrLoginRequired)
			})
		})
	}
}

// A store that stays down is asked now and then, however often the user tries to
// log out, and not for ever. Closing the client asks it once more and waits for no
// longer.
func TestLogoutTriesAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		var asked atomic.Int64
		store.failWith(func(string) error { asked.Add(1); return errStoreTimeout })
		for range 20 {
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			requireError(t, err, helseid.ErrStore)
		}
		within := func(d time.Duration) int64 {
			before := asked.Load()
			pause(d)
			return asked.Load() - before
		}
		pause(time.Minute) // the intervals have grown
		tries := within(time.Hour)
		require.Greater(t, tries, int64(100))
		require.Less(t, tries, int64(250), "one for all the logouts")
		pause(23 * time.Hour)
		require.Zero(t, within(time.Hour), "after a day")

		_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		requireError(t, err, helseid.ErrStore)
		pause(time.Minute)
		before, start := asked.Load(), time.Now()
		w.client.Close()
		require.Less(t, time.Since(start), time.Second)
		require.Equal(t, before+1, asked.Load(), "a last try")
		require.Zero(t, within(time.Hour))
	})
}

// A store that was down for long gets the outcome of a refresh when it is back,
// and so a logout elsewhere revokes the right token.
func TestOutcomeAfterALongOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		other := w.elsewhere(t, session)
		store.failWith(failAt("save", errStoreTimeout, 1, -1))
		_, err := userToken(t, session, journalResource)
		require.NoError(t, err)
		pause(10 * time.Minute)
		store.failWith(nil)
		pause(time.Minute)
		require.NotEqual(t, w.refreshes()[0], store.member(t, "refresh_token"))
		_, err = other.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		require.Len(t, w.revoked(), 1)
		require.NotEqual(t, w.refreshes()[0], w.revoked()[0])
	})
}

// If a process takes another one's mark for lost, because that process was cut off from
// the store, the other can still store its outcome.
func TestOutcomeAfterTheMarkWasTakenForLost(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*world){
		"refreshed": func(*world) {},
		"refused":   func(w *world) { w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				session := w.logIn(t)
				other := w.elsewhere(t, session)
				answer(w)
				store.failWith(failAt("save", errStoreTimeout, 1, -1)) // after the mark
				_, _ = userToken(t, session, journalResource)
				pause(10 * time.Minute)
				store.failWith(nil)
				_, err := userToken(t, other, journalResource)
				requireError(t, err, helseid.ErrLoginRequired)
				pause(time.Minute)
				_, err = userToken(t, other, journalResource)
				require.NoError(t, err, "the outcome is there, and its token good")
				require.Zero(t, w.revocations())
			})
		})
	}
}

// A session that the store did not let end at a single logout is ended later, and
// its refresh token revoked then.
func TestLateLogoutRevokes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		store.failWith(failAt("load", errStoreTimeout, 1, 1)) // the index is there, the session is not
		query := url.Values{"iss": {w.config.Issuer}, "sid": {session.User().SessionID}}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query.Encode(), nil)
		response := httptest.NewRecorder()
		w.client.Sessions().FrontChannelLogout().ServeHTTP(response, request)
		require.Equal(t, http.StatusServiceUnavailable, response.Code)
		require.Zero(t, w.revocations())
		pause(time.Minute)
		require.Equal(t, 1, w.revocations())
		require.False(t, w.lives(t, session))
	})
}

// A logout token for a user, about whose sessions the store says nothing, ends
// none: HelseID is asked to send it again.
func TestSingleLogoutWithoutAStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		first := w.logIn(t)
		token := w.logoutToken(first, mint.Claim("sid", nil))
		pause(time.Minute)
		later := w.logIn(t) // after the token was made
		form := url.Values{"logout_token": {token}}
		store.failWith(failAt("load", errStoreTimeout, 1, -1)) // the index is there, the sessions are not
		require.Equal(t, http.StatusServiceUnavailable, postLogout(t, w.client.Sessions().BackChannelLogout(), form).Code)
		store.failWith(nil)
		pause(time.Minute)
		require.True(t, w.lives(t, later))
		require.Equal(t, http.StatusOK, postLogout(t, w.client.Sessions().BackChannelLogout(), form).Code)
		require.False(t, w.lives(t, first))
		require.True(t, w.lives(t, later))
	})
}

// A store that hangs leaves a logout time to revoke, and to say where the browser
// goes.
func TestLogoutWithAHangingStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHangingWorld(t)
		session := w.logIn(t)
		store.hang("session-")
		target, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		requireError(t, err, helseid.ErrStore)
		require.NotErrorIs(t, err, helseid.ErrUnavailable)
		require.NotEmpty(t, target)
		require.Equal(t, 1, w.revocations())
	})
}

// hangingStore answers nothing about some keys until the caller gives up.
type hangingStore struct {
	hookedStore
	prefix atomic.Pointer[string]
}

func (s *hangingStore) hang(prefix string) { s.prefix.Store(&prefix) }

func (s *hangingStore) wait(ctx context.Context, key string) error {
	prefix := s.prefix.Load()
	if prefix == nil || !strings.HasPrefix(key, *prefix) {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Hour): // a caller without a limit would wait for ever
		return errStoreTimeout
	}
}

func (s *hangingStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if strings.HasPrefix(key, "sub-") {
		if err := s.wait(ctx, key); err != nil {
			return helseid.StoredRow{}, err
		}
	}
	return s.hookedStore.Load(ctx, key)
}

func (s *hangingStore) Save(ctx context.Context, key string, row helseid.StoredRow) (bool, error) {
	if err := s.wait(ctx, key); err != nil {
		return false, err
	}
	return s.hookedStore.Save(ctx, key, row)
}

func newHangingWorld(t testing.TB) (*world, *hangingStore) {
	t.Helper()
	store := &hangingStore{}
	return newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store; c.TokenRetries = -1 }}), store
}

// A session store that hangs does not block calls that need none, nor Close.
func TestHangingStore(t *testing.T) {
	t.Parallel()
	t.Run("systems", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHangingWorld(t)
			var sessions []*helseid.Session
			for range 40 {
				sessions = append(sessions, w.logIn(t))
			}
			store.hang("session-")
			for _, session := range sessions {
				go func() { _, _ = userToken(t, session, journalResource) }()
			}
			pause(time.Second)
			start := time.Now()
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
			require.NoError(t, err)
			require.Less(t, time.Since(start), 10*time.Second)
		})
	})
	t.Run("systems after an outage", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHangingWorld(t)
			session := w.logIn(t)
			w.server.Inject(helseidtest.Fault{Cut: true})
			_, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
			requireError(t, err, helseid.ErrUnavailable)
			store.hang("session-")
			go func() { _, _ = userToken(t, session, journalResource) }()
			pause(time.Second)
			start := time.Now()
			_, err = w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
			require.NoError(t, err)
			require.Less(t, time.Since(start), 10*time.Second)
		})
	})
	t.Run("Close", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHangingWorld(t)
			session := w.logIn(t)
			for key := range store.sessions() {
				row, err := store.Load(t.Context(), key)
				require.NoError(t, err)
				var members map[string]any
				require.NoError(t, json.Unmarshal(row.Data, &members))
				members["indexed_until"] = 1 // it must be indexed again
				row.Data, err = json.Marshal(members)
				require.NoError(t, err)
				_, err = store.Save(t.Context(), key, row)
				require.NoError(t, err)
			}
			store.hang("sub-")
			go func() { _, _ = userToken(t, session, journalResource) }()
			pause(time.Second)
			start := time.Now()
			w.client.Close()
			require.Less(t, time.Since(start), 10*time.Second)
		})
	})
}

// A refresh that is under way when the session would have expired comes to its
// end.
func TestRefreshAtTheVeryEnd(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		pause(time.Until(session.Expiry()) - time.Second)
		w.server.Inject(helseidtest.Fault{AfterProcessing: true, Delay: 2 * time.Second})
		_, err := userToken(t, session, journalResource)
		require.NoError(t, err)
		require.Zero(t, w.revocations())
	})
}

// A refresh token that is dropped because the outcome is unknown is revoked, since it may
// still be valid.
func TestDroppedRefreshTokensAreRevoked(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		w.server.Inject(helseidtest.Fault{Cut: true})
		_, err := userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		require.Equal(t, w.refreshes(), w.revoked())

		// One that HelseID has refused needs no more.
		session = w.logIn(t)
		w.server.Inject(helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_grant"}`})
		_, err = userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		require.Len(t, w.revoked(), 1)
	})
}

// invalid_grant with a number of HelseID's own is about the details, and does not
// end the session.
func TestInvalidGrantAboutDetails(t *testing.T) {
	t.Parallel()
	w, _ := newHookedWorld(t)
	session := w.logIn(t)
	w.server.Inject(helseidtest.Fault{
		Status: http.StatusBadRequest, Body: `{"error":"invalid_grant","error_description":"HID-1002: the child number is not whitelisted"}`,
	})
	_, err := userToken(t, session, journalResource)
	var refusal *helseid.TokenError
	require.ErrorAs(t, err, &refusal)
	require.NotErrorIs(t, err, helseid.ErrLoginRequired)
	_, err = userToken(t, session, journalResource)
	require.NoError(t, err)

	// After an unknown error number the token is not used again.
	w.server.Inject(helseidtest.Fault{
		Status: http.StatusBadRequest, Body: `{"error":"invalid_grant","error_description":"HID-9999: the token has been used"}`,
	})
	_, err = session.Token(t.Context(), helseid.TokenRequest{Resource: journalResource, Scopes: []string{journalScope}})
	require.ErrorIs(t, err, helseid.ErrLoginRequired)
}

// A request in a context is not the caller's to change any more.
func TestTokenRequestInAContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	scopes := []string{testScope}
	ctx := helseid.WithTokenRequest(t.Context(), helseid.TokenRequest{Scopes: scopes})
	scopes[0] = otherScope
	token, err := w.client.TokenSource(helseid.TokenRequest{}).Token(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{testScope}, token.Scopes)
}

// Refreshes, failures of the store, a logout and Close at once: no token is sent
// twice, and all come to an end.
func TestSessionStorm(t *testing.T) {
	t.Parallel()
	for range 20 {
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			sessions := []*helseid.Session{w.logIn(t)}
			sessions = append(sessions, w.elsewhere(t, sessions[0]))
			var saves atomic.Int64
			store.beforeSave = func(string) error {
				if saves.Add(1)%3 == 0 {
					return errStoreTimeout
				}
				return nil
			}
			requests := []helseid.TokenRequest{
				{Resource: journalResource}, {Resource: journalResource, Scopes: []string{journalScope}}, {Resource: testResource, Scopes: []string{testScope}},
			}
			done := make(chan struct{})
			for i := range 6 {
				go func() { _, _ = sessions[i%2].Token(t.Context(), requests[i/2]); done <- struct{}{} }()
			}
			go func() {
				pause(2 * time.Millisecond)
				_, _ = sessions[0].Logout(t.Context(), helseid.LogoutRequest{})
				done <- struct{}{}
			}()
			go func() { pause(3 * time.Millisecond); w.client.Close(); done <- struct{}{} }()
			for range 8 {
				<-done
			}
			requireEachOnce(t, w.refreshes())
		})
	}
}
