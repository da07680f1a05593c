package helseid_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// ends are the reported ends of sessions.
type ends struct {
	mu   sync.Mutex
	told []helseid.SessionEnd
}

func (e *ends) tell(_ context.Context, end helseid.SessionEnd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, end)
}

func (e *ends) take() []helseid.SessionEnd {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.told
	e.told = nil
	return told
}

// However a session ends, it is reported once to its application, with the cause.
func TestOnSessionEnd(t *testing.T) {
	t.Parallel()
	for cause, end := range map[helseid.EndCause]func(t *testing.T, w *world, session *helseid.Session){
		helseid.EndedByUser: func(t *testing.T, _ *world, session *helseid.Session) {
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			require.NoError(t, err)
		},
		helseid.EndedByApplication: func(t *testing.T, w *world, session *helseid.Session) {
			require.NoError(t, w.client.Sessions().End(t.Context(), session.ID().Reveal()))
		},
		helseid.EndedByFrontChannel: func(t *testing.T, w *world, session *helseid.Session) {
			query := url.Values{"iss": {w.server.Issuer()}, "sid": {session.User().SessionID}}
			w.client.Sessions().FrontChannelLogout().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/?"+query.Encode(), nil))
		},
		helseid.EndedByBackChannel: func(t *testing.T, w *world, session *helseid.Session) {
			token := w.logoutToken(session)
			require.Equal(t, http.StatusOK, postLogout(t, w.client.Sessions().BackChannelLogout(), url.Values{"logout_token": {token}}).Code)
		},
		helseid.EndedByAge: func(t *testing.T, w *world, session *helseid.Session) {
			for range 5 {
				pause(9 * time.Minute)
				_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, err)
			}
			pause(5 * time.Minute)
			_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
			requireError(t, err, helseid.ErrSessionExpired)
			requireError(t, err, helseid.ErrLoginRequired)
		},
		helseid.EndedByIdleness: func(t *testing.T, _ *world, session *helseid.Session) {
			pause(10 * time.Minute)
			_, err := userToken(t, session, journalResource)
			requireError(t, err, helseid.ErrSessionExpired)
		},
	} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, _ := newHookedWorld(t)
				own, others := &ends{}, &ends{}
				w.client.Sessions().OnEnd("ehr", own.tell)
				w.client.Sessions().OnEnd("another", others.tell)
				request := boundedRequest(50*time.Minute, 10*time.Minute)
				request.Application = "ehr"
				session := w.logInWith(t, request)
				end(t, w, session)
				_, _ = session.Logout(t.Context(), helseid.LogoutRequest{})
				_ = w.client.Sessions().End(t.Context(), session.ID().Reveal())
				user := session.User()
				want := helseid.SessionEnd{Cause: cause, Application: "ehr", Subject: user.Subject, SessionID: user.SessionID, SecurityLevel: user.SecurityLevel}
				told := own.take()
				require.Equal(t, []helseid.SessionEnd{want}, told)
				require.Empty(t, secrets.find(fmt.Sprintf("%+v", told)))
				require.Empty(t, others.take())
			})
		})
	}
}

// If the store fails, an end is reported when it has been stored, with the same cause.
// That of another application's session is reported to all functions.
func TestOnSessionEndLater(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newHookedWorld(t)
		told := &ends{}
		w.client.Sessions().OnEnd("gone", told.tell)
		w.client.Sessions().OnEnd("gone", nil)
		w.client.Sessions().OnEnd("ehr", told.tell)
		session := w.logIn(t)
		store.failWith(failAt("", errStoreTimeout, 0, -1))
		_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
		requireError(t, err, helseid.ErrStore)
		require.Empty(t, told.take())
		store.failWith(nil)
		pause(time.Minute)
		ended := told.take()
		require.Len(t, ended, 1)
		require.Equal(t, helseid.EndedByUser, ended[0].Cause)

		other := w.logIn(t)
		require.NoError(t, w.client.Sessions().EndOf(t.Context(), other.User().Subject))
		listed := told.take()
		require.Len(t, listed, 1)
		require.Equal(t, helseid.EndedByApplication, listed[0].Cause)
	})
}
