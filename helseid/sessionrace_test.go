package helseid_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
)

// hookedStore is a Store in which something happens just before or after
// a session is saved, and which obeys contexts as databases do.
type hookedStore struct {
	recordingStore
	beforeSave, afterSave func(key string) error
	refuse                bool // always reports that another writer was faster
	saves                 atomic.Int64
}

func (s *hookedStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if err := ctx.Err(); err != nil {
		return helseid.StoredRow{}, err
	}
	return s.recordingStore.Load(ctx, key)
}

func (s *hookedStore) Save(ctx context.Context, key string, row helseid.StoredRow) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.saves.Add(1)
	isSession := strings.HasPrefix(key, "session-")
	if isSession && s.refuse {
		return false, nil
	}
	if isSession && s.beforeSave != nil {
		if err := s.beforeSave(key); err != nil {
			return false, err
		}
	}
	saved, err := s.recordingStore.Save(ctx, key, row)
	if s.afterSave != nil && err == nil {
		if err := s.afterSave(key); err != nil {
			return false, err
		}
	}
	return saved, err
}

func (s *hookedStore) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.recordingStore.Delete(ctx, key)
}

func newHookedWorld(t testing.TB) (*world, *hookedStore) {
	t.Helper()
	store := &hookedStore{}
	return newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }}), store
}

// elsewhere is the same session in another process.
func (w *world) elsewhere(t testing.TB, session *helseid.Session) *helseid.Session {
	t.Helper()
	other, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
	require.NoError(t, err)
	return other
}

func (w *world) revocations() int { return len(w.server.Requests(helseidtest.EndpointRevocation)) }

var errStoreTimeout = errors.New("timeout")

// Two processes start to refresh a session at once: only one of them sets its mark and
// sends the token, and the other waits for the outcome.
func TestMarkIsLeftByOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		a := w.logIn(t)
		b := w.elsewhere(t, a)
		var first atomic.Bool
		done := make(chan error, 1)
		w.server.Inject(helseidtest.Fault{Delay: 2 * time.Second, AfterProcessing: true})
		store.beforeSave = func(string) error {
			if first.CompareAndSwap(false, true) {
				go func() { _, err := userToken(t, b, journalResource); done <- err }()
				pause(500 * time.Millisecond) // the other is faster
			}
			return nil
		}
		_, err := userToken(t, a, journalResource)
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.Len(t, w.refreshes(), 2)
		requireEachOnce(t, w.refreshes())
	})
}

// One process fails to set its mark while another sets its own, which is not overwritten.
func TestFailedMarkLeavesAnother(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		a := w.logIn(t)
		b := w.elsewhere(t, a)
		var first atomic.Bool
		done := make(chan error, 1)
		w.server.Inject(helseidtest.Fault{Delay: 2 * time.Second, AfterProcessing: true})
		store.beforeSave = func(string) error {
			if !first.CompareAndSwap(false, true) {
				return nil
			}
			go func() { _, err := userToken(t, b, journalResource); done <- err }()
			pause(500 * time.Millisecond) // the other marks and sends
			return errStoreTimeout
		}
		_, err := userToken(t, a, journalResource)
		requireError(t, err, helseid.ErrStore)
		_, err = userToken(t, a, journalResource)
		require.NoError(t, err)
		require.NoError(t, <-done)
		requireEachOnce(t, w.refreshes())
	})
}

// The store says that an outcome was not saved, and it was; another process has
// refreshed the session since. Nobody has logged out.
func TestSavedOutcomeIsNoLogout(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		a := w.logIn(t)
		b := w.elsewhere(t, a)
		var saves atomic.Int64
		done := make(chan error, 1)
		store.afterSave = func(string) error {
			if saves.Add(1) != 2 { // the outcome
				return nil
			}
			w.server.Inject(helseidtest.Fault{Delay: 2 * time.Second})
			go func() { _, err := userToken(t, b, journalResource); done <- err }()
			pause(500 * time.Millisecond)
			return errStoreTimeout
		}
		_, err := userToken(t, a, journalResource)
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.Zero(t, w.revocations())
	})
}

// A store that was down for some seconds after a refresh costs no process the
// session.
func TestOutcomeIsSettledLater(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(*world){
		"while it runs": func(*world) { pause(5 * time.Minute) },
		"at its end":    func(w *world) { w.client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				session := w.logIn(t)
				store.failWith(failAt("save", errStoreTimeout, 1, -1))
				_, err := userToken(t, session, journalResource)
				require.NoError(t, err)
				store.failWith(nil)
				finish(w)
				_, err = userToken(t, w.elsewhere(t, session), journalResource)
				require.NoError(t, err)
				requireEachOnce(t, w.refreshes())
			})
		})
	}
}

// A deployment does not log users out: Close waits for refreshes under way.
func TestCloseWaitsForARefresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		ending := newClient(t, w.config)
		own, err := ending.Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{AfterProcessing: true, Delay: 300 * time.Millisecond})
		go func() { _, _ = userToken(t, own, journalResource) }()
		pause(100 * time.Millisecond)
		start := time.Now()
		ending.Close()
		require.InDelta(t, 200*time.Millisecond, time.Since(start), float64(50*time.Millisecond))
		_, err = userToken(t, w.elsewhere(t, session), journalResource)
		require.NoError(t, err)
	})
}

// The user logs out while the outcome of a refresh is being written, or is still
// waiting to be: its token is revoked, and nothing is handed out.
func TestLogoutMeetsARefresh(t *testing.T) {
	t.Parallel()
	t.Run("that is being written", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			var saves atomic.Int64
			store.beforeSave = func(string) error {
				if saves.Add(1) == 2 { // the outcome
					_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
					require.NoError(t, err)
				}
				return nil
			}
			_, err := userToken(t, session, journalResource)
			requireError(t, err, helseid.ErrLoginRequired)
			require.Equal(t, 1, w.revocations())
			require.Empty(t, store.sessions())
		})
	})
	t.Run("that has just been written", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			var saves atomic.Int64
			store.afterSave = func(string) error {
				if saves.Add(1) == 2 {
					_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
					require.NoError(t, err)
				}
				return nil
			}
			_, err := userToken(t, session, journalResource)
			requireError(t, err, helseid.ErrLoginRequired)
			require.Equal(t, 1, w.revocations())
		})
	})
	t.Run("that is not written yet", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			store.failWith(failAt("save", errStoreTimeout, 1, -1))
			_, err := userToken(t, session, journalResource)
			require.NoError(t, err)
			store.failWith(nil)
			_, err = session.Logout(t.Context(), helseid.LogoutRequest{})
			require.NoError(t, err)
			require.Equal(t, 1, w.revocations(), "the new refresh token")
		})
	})
}

// A refresh whose ID token is another's is not used on, even if the store was
// down when that was found out.
func TestForeignRefreshTokenIsDropped(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		w.server.AlterIDTokens(mint.Claim("sub", "b3RoZXI="))
		store.failWith(failAt("save", errStoreTimeout, 1, -1))
		_, err := userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		store.failWith(nil)
		w.server.AlterIDTokens()
		_, err = userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		require.Len(t, w.refreshes(), 1)
		require.Equal(t, 1, w.revocations())
	})
}

// A store that always reports that another writer was faster is not asked too often.
func TestStoreThatRefuses(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		store.refuse = true
		store.saves.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := session.Token(ctx, helseid.TokenRequest{Resource: journalResource})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, store.saves.Load(), int64(110))
		require.Empty(t, w.refreshes())
	})
}

// A page that is loaded twice: the code goes out once, and the first session
// lives.
func TestCallbackTwice(t *testing.T) {
	t.Parallel()
	w, _ := newHookedWorld(t)
	state, callback := w.callback(t, loginRequest())
	session, err := w.client.FinishLogin(t.Context(), state, callback)
	require.NoError(t, err)
	_, err = newClient(t, w.config).FinishLogin(t.Context(), state, callback) // in another process
	requireError(t, err, helseid.ErrLogin)
	require.Equal(t, 1, w.tokenRequests())
	_, err = userToken(t, session, journalResource)
	require.NoError(t, err)
}

// The browser has gone: a login goes on once its code is sent, a logout always.
func TestBrowserGoesAway(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		state, callback := w.callback(t, loginRequest())
		w.server.Inject(helseidtest.Fault{AfterProcessing: true, Delay: 300 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		session, err := w.client.FinishLogin(ctx, state, callback)
		require.NoError(t, err)
		_, err = session.Logout(ctx, helseid.LogoutRequest{})
		require.NoError(t, err)
		_, err = newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrLoginRequired)

		state, callback = w.callback(t, loginRequest())
		before := w.tokenRequests()
		_, err = w.client.FinishLogin(ctx, state, callback)
		requireError(t, err, context.DeadlineExceeded)
		require.Equal(t, before, w.tokenRequests(), "it had gone before")
	})
}

// What a refused login has got is revoked.
func TestRefusedLoginIsRevoked(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*world, *hookedStore) []helseid.LoginCheck{
		"by a check": func(*world, *hookedStore) []helseid.LoginCheck {
			return []helseid.LoginCheck{func(context.Context, identity.User) error { return errors.New("no") }}
		},
		"by its ID token": func(w *world, _ *hookedStore) []helseid.LoginCheck {
			w.server.AlterIDTokens(mint.Claim("nonce", "another"))
			return nil
		},
		"by the store": func(_ *world, store *hookedStore) []helseid.LoginCheck {
			store.beforeSave = func(string) error { return errStoreTimeout }
			return nil
		},
		"by its access token": func(w *world, _ *hookedStore) []helseid.LoginCheck {
			w.server.AlterTokenResponse(func(r map[string]any) { r["token_type"] = "Bearer" })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := newHookedWorld(t)
			state, callback := w.callback(t, loginRequest())
			checks := spoil(w, store)
			_, err := w.client.FinishLogin(t.Context(), state, callback, checks...)
			requireError(t, err, helseid.ErrLogin)
			require.Equal(t, 1, w.revocations())
			require.Empty(t, store.sessions())
		})
	}
	w, _ := newHookedWorld(t)
	state, callback := w.callback(t, loginRequest())
	_, err := w.client.FinishLogin(t.Context(), state, callback, nil)
	requireError(t, err, helseid.ErrConfig)
	require.Zero(t, w.tokenRequests(), "a mistake is found before the code is spent")
}

// An attest is as old as the request object that it was in.
func TestAttestOfASessionAges(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(2 * time.Hour)}})
		request := loginRequest()
		request.Attest = &clientassertion.Attest{LegalEntity: "999977775", PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "5b1c"}
		start := time.Now()
		state, callback := w.callback(t, request)
		pause(30 * time.Second)
		session, err := w.client.FinishLogin(t.Context(), state, callback)
		require.NoError(t, err)
		require.Equal(t, start.Add(time.Hour).Unix(), session.Expiry().Unix())
		pause(time.Until(start.Add(59 * time.Minute)))
		_, err = userToken(t, session, testResource)
		require.NoError(t, err)
		pause(time.Minute)
		_, err = userToken(t, session, testResource)
		requireError(t, err, helseid.ErrLoginRequired)
	})
}

// forgetfulStore keeps rows for longer than it should.
type forgetfulStore struct{ helseid.MemoryStore }

func (s *forgetfulStore) Save(ctx context.Context, key string, row helseid.StoredRow) (bool, error) {
	row.Expiry = row.Expiry.Add(1000 * time.Hour)
	return s.MemoryStore.Save(ctx, key, row)
}

func TestSessionExpiresInAnyStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = &forgetfulStore{} }})
		session := w.logIn(t)
		pause(time.Until(session.Expiry()))
		_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrLoginRequired)
	})
}

// UserInfo is about the user alone: what the context chooses for APIs is not for
// it.
func TestUserInfoIgnoresTheContext(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
	session := w.logIn(t)
	for name, ctx := range map[string]context.Context{
		"organisation": helseid.ForOrganization(t.Context(), "999977775", ""),
		"origins":      helseid.WithTokenRequest(t.Context(), helseid.TokenRequest{AllowedOrigins: []string{"https://api.example.no"}}),
		"bearer":       helseid.WithTokenRequest(t.Context(), helseid.TokenRequest{UnboundBearerToken: true}),
		"subject":      helseid.WithSubjectToken(t.Context(), identity.NewSecret("abc")),
	} {
		_, err := session.UserInfo(ctx)
		require.NoError(t, err, name)
	}
	require.Empty(t, w.refreshes())
}

// The index lists every live session, whatever else has happened.
func TestLogoutIndex(t *testing.T) {
	t.Parallel()
	bySubject := mint.Claim("sid", nil)
	logout := func(t *testing.T, w *world, session *helseid.Session, options ...mint.TokenOption) {
		t.Helper()
		response := postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {w.logoutToken(session, options...)}})
		require.Equal(t, http.StatusOK, response.Code)
	}
	t.Run("a logout that did not fit", func(t *testing.T) {
		t.Parallel()
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		logout(t, w, session, mint.Claim("sub", "b3RoZXI="))
		require.True(t, w.lives(t, session))
		logout(t, w, session)
		require.False(t, w.lives(t, session))
	})
	t.Run("a login during a logout", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			old := w.logIn(t)
			var fresh *helseid.Session
			store.afterSave = func(key string) error {
				if strings.HasPrefix(key, "session-") && fresh == nil { // the old one has just ended
					store.afterSave = nil
					pause(time.Second) // the user logs in after HelseID's word, not before
					fresh = w.logIn(t)
				}
				return nil
			}
			logout(t, w, old, bySubject)
			require.True(t, w.lives(t, fresh))
			logout(t, w, fresh, bySubject)
			require.False(t, w.lives(t, fresh))
		})
	})
	t.Run("many sessions before", func(t *testing.T) {
		t.Parallel()
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		for range 110 {
			_, err := w.logIn(t).Logout(t.Context(), helseid.LogoutRequest{})
			require.NoError(t, err)
		}
		logout(t, w, session, bySubject)
		require.False(t, w.lives(t, session))
	})
	t.Run("a logout that comes late", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, _ := newHookedWorld(t)
			old := w.logIn(t)
			token := w.logoutToken(old, bySubject)
			pause(time.Minute)
			fresh := w.logIn(t)
			response := postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {token}})
			require.Equal(t, http.StatusOK, response.Code)
			require.False(t, w.lives(t, old))
			require.True(t, w.lives(t, fresh), "it began after that")
		})
	})
}

// All sessions end before a logout waits for the first revocation, which it does not wait
// for long.
func TestLogoutsDoNotWait(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		var sessions []*helseid.Session
		for range 4 {
			sessions = append(sessions, w.logIn(t))
		}
		last := w.logIn(t, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Delay: time.Minute, Times: -1})
		form := url.Values{"logout_token": {w.logoutToken(sessions[0], mint.Claim("sid", nil))}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		start := time.Now()
		w.client.Sessions().BackChannelLogout().ServeHTTP(httptest.NewRecorder(), request)
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
		for _, session := range sessions {
			_, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
			requireError(t, err, helseid.ErrLoginRequired)
		}
		start = time.Now()
		_, err := last.Logout(t.Context(), helseid.LogoutRequest{})
		requireError(t, err, helseid.ErrUnavailable)
		require.LessOrEqual(t, time.Since(start), 10*time.Second)
	})
}

// HelseID says that a user has logged out while the login is being finished.
func TestLogoutDuringALogin(t *testing.T) {
	t.Parallel()
	w, store := newHookedWorld(t)
	var once atomic.Bool
	store.afterSave = func(key string) error {
		if strings.HasPrefix(key, "sub-") && once.CompareAndSwap(false, true) {
			_, claims := jws(t, store.member(t, "id_token"))
			token := w.server.LogoutToken(mint.Audience(w.config.ClientID), mint.Claim("sub", claims["sub"]), mint.Claim("sid", nil))
			postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {token}})
		}
		return nil
	}
	state, callback := w.callback(t, loginRequest())
	_, err := w.client.FinishLogin(t.Context(), state, callback)
	requireError(t, err, helseid.ErrLoginRequired)
}

// Anybody can open a login page: neither an outage nor a client that HelseID does
// not know makes that a load.
func TestLoginPagesInAnOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		_, err := w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Status: 503, Times: -1})
		visitors := func(n int) int {
			before := len(w.server.Requests(helseidtest.EndpointPAR))
			done := make(chan struct{})
			for range n {
				go func() { _, _ = w.client.StartLogin(t.Context(), loginRequest()); done <- struct{}{} }()
			}
			for range n {
				<-done
			}
			return len(w.server.Requests(helseidtest.EndpointPAR)) - before
		}
		require.LessOrEqual(t, visitors(500), 150, "they share what a few find out")
		w.server.ClearFaults()
		_, err = w.client.StartLogin(t.Context(), loginRequest())
		require.NoError(t, err)
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Status: 401, Body: `{"error":"invalid_client"}`, Times: -1})
		for range 3 {
			visitors(1)
		}
		require.Zero(t, visitors(100))
	})
}

// Neither a session nor what it is kept in prints its tokens.
func TestSessionsDoNotPrint(t *testing.T) {
	t.Parallel()
	w, store := newHookedWorld(t)
	session := w.logIn(t)
	refreshToken, idToken := store.member(t, "refresh_token"), store.member(t, "id_token")
	var row helseid.StoredRow
	for key := range store.sessions() {
		var err error
		row, err = store.Load(t.Context(), key)
		require.NoError(t, err)
	}
	testUser := &helseid.TestUser{PersonalIdentityNumber: mint.DefaultPersonalIdentityNumber}
	for name, value := range map[string]any{
		"session": session, "session value": *session, "source": session.TokenSource(helseid.TokenRequest{}), "row": row, "row pointer": &row,
		"store": &store.MemoryStore, "client": w.client, "test user": testUser, "test user value": *testUser,
		"identity": session.Identity(), "client of sessions": session.HTTPClient(helseid.TokenRequest{}),
		"login request": helseid.LoginRequest{TestUser: testUser},
	} {
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "value", value)
		texts := []string{logged.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, value))
		}
		for _, text := range texts {
			for _, secret := range []string{refreshToken, idToken, idToken[len(idToken)-40:], session.ID().Reveal(), mint.DefaultPersonalIdentityNumber} {
				require.NotContains(t, text, secret, name)
			}
		}
	}
}

// A missing subject token is never replaced by the client's own token.
func TestNoSubjectIsNotTheSystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.token(t)
	var typed *identity.Secret
	for _, subject := range []helseid.SubjectToken{nil, typed} {
		_, err := w.client.Exchange(t.Context(), subject, helseid.TokenRequest{Scopes: []string{testScope}})
		requireError(t, err, helseid.ErrConfig)
	}
	require.Equal(t, 1, w.tokenRequests())
}

// Authorize of a session's token source sets the user's token.
func TestSessionAuthorize(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	session := w.logIn(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, apiURL, nil)
	require.NoError(t, err)
	require.NoError(t, session.TokenSource(helseid.TokenRequest{Resource: testResource}).Authorize(t.Context(), request))
	proofClaims(t, w, request, apiURL)
	_, claims := jws(t, strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP "))
	require.Equal(t, session.User().Subject, claims["sub"])
	require.Equal(t, testResource, claims["aud"])
}

// A slow answer does not make a new login an old one.
func TestSlowNewLogin(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newLoginWorld(t, worldOptions{})
		request := loginRequest()
		request.Prompt = helseid.PromptLogin
		state, callback := w.callback(t, request)
		w.server.Inject(helseidtest.Fault{Delay: 8 * time.Second, AfterProcessing: true})
		_, err := w.client.FinishLogin(t.Context(), state, callback)
		require.NoError(t, err)
	})
}

// If a mark arrives late, after the store reported an error, the row has changed.
func TestMarkThatComesLate(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		before := store.rowOf(t)
		var first atomic.Bool
		store.beforeSave = func(string) error {
			if first.CompareAndSwap(false, true) {
				return errStoreTimeout
			}
			return nil
		}
		_, err := userToken(t, session, journalResource)
		requireError(t, err, helseid.ErrStore)
		for key := range store.sessions() {
			saved, err := store.MemoryStore.Save(t.Context(), key, before)
			require.NoError(t, err)
			require.False(t, saved)
		}
		start := time.Now()
		_, err = userToken(t, session, journalResource)
		require.NoError(t, err)
		require.Less(t, time.Since(start), time.Second)
	})
}

// rowOf is the row of the only session.
func (s *recordingStore) rowOf(t testing.TB) helseid.StoredRow {
	t.Helper()
	for key := range s.sessions() {
		row, err := s.Load(t.Context(), key)
		require.NoError(t, err)
		return row
	}
	require.FailNow(t, "no session is stored")
	return helseid.StoredRow{}
}

// A store that loses the mark, as a fail-over can, does not get the old refresh
// token back into use.
func TestStoreLosesTheMark(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		before := store.rowOf(t)
		w.server.Inject(helseidtest.Fault{AfterProcessing: true, Delay: 2 * time.Second})
		done := make(chan error, 1)
		go func() { _, err := userToken(t, session, journalResource); done <- err }()
		pause(time.Second)
		for key := range store.sessions() {
			require.NoError(t, store.MemoryStore.Delete(t.Context(), key))
			before.Version = 0
			saved, err := store.MemoryStore.Save(t.Context(), key, before)
			require.NoError(t, err)
			require.True(t, saved)
		}
		require.NoError(t, <-done)
		_, err := userToken(t, w.elsewhere(t, session), journalResource)
		require.NoError(t, err)
		requireEachOnce(t, w.refreshes())
	})
}

// A user logs out during a refresh that fails: its token is revoked anyway.
func TestLogoutDuringAFailingRefresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		other := w.elsewhere(t, session)
		w.server.Inject(helseidtest.Fault{Delay: 2 * time.Second, Status: 503})
		done := make(chan error, 1)
		go func() { _, err := userToken(t, other, journalResource); done <- err }()
		pause(time.Second)
		_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		require.Error(t, <-done)
		require.Equal(t, 1, w.revocations())
	})
}

// A session has ended when that is written, also if the store does not delete it.
func TestLogoutWithoutDeletion(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		session := w.logIn(t)
		other := w.elsewhere(t, session)
		store.failWith(failAt("delete", errStoreTimeout, 0, -1))
		_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		require.Len(t, store.sessions(), 1)
		require.Empty(t, store.member(t, "refresh_token"))
		require.Empty(t, store.member(t, "id_token"))
		_, err = userToken(t, other, journalResource)
		requireError(t, err, helseid.ErrLoginRequired)
		_, err = newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrLoginRequired)
		require.Empty(t, w.refreshes())
	})
}

// unreadableStore has dropped the key that its rows are encrypted with.
type unreadableStore struct {
	recordingStore
	dropped bool
}

func (s *unreadableStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	row, err := s.recordingStore.Load(ctx, key)
	if s.dropped && row.Version == 1 && err == nil {
		return helseid.StoredRow{Version: row.Version}, fmt.Errorf("%w: wrong key", helseid.ErrUnreadableRow)
	}
	return row, err
}

// Rows that cannot be read are sessions that have ended, and keep nobody from
// logging in.
func TestUnreadableSessions(t *testing.T) {
	t.Parallel()
	store := &unreadableStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	old := w.logIn(t)
	store.dropped = true
	require.False(t, w.lives(t, old))
	_, err := userToken(t, old, journalResource)
	requireError(t, err, helseid.ErrLoginRequired)
	fresh := w.logIn(t)
	require.NotEqual(t, old.ID().Reveal(), fresh.ID().Reveal())
	_, err = old.Logout(t.Context(), helseid.LogoutRequest{})
	require.NoError(t, err)
}

// Close lets a login come to its end, also in a process that has no keys yet.
func TestCloseDuringALogin(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		state, callback := w.callback(t, loginRequest())
		ending := newClient(t, w.config)
		w.server.Inject(helseidtest.Fault{AfterProcessing: true, Delay: 2 * time.Second})
		done := make(chan error, 1)
		go func() { _, err := ending.FinishLogin(t.Context(), state, callback); done <- err }()
		pause(time.Second)
		ending.Close()
		require.NoError(t, <-done)
	})
}

// A browser that has lost its session can still be sent to HelseID to log out.
func TestLogoutURLWithoutASession(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	target, err := w.client.LogoutURL(t.Context())
	require.NoError(t, err)
	require.Equal(t, w.server.Issuer()+"/connect/endsession?client_id="+w.config.ClientID, target)
	next, err := w.server.LogOut(target)
	require.NoError(t, err)
	require.Nil(t, next, "HelseID shows a page")
}
