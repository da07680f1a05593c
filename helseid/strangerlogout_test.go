package helseid_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// What strangers have ended, with ids that they have made up, while the store is down
// takes no place from the logouts that HelseID or the application asks for.
func TestStrangersCrowdOutNoLogout(t *testing.T) {
	t.Parallel()
	strangers := map[string]func(client *helseid.Client, issuer string, i int){
		"sessions": func(client *helseid.Client, _ string, i int) {
			_ = client.Sessions().End(t.Context(), fmt.Sprint("made up ", i))
		},
		"front channel": func(client *helseid.Client, issuer string, i int) {
			query := url.Values{"iss": {issuer}, "sid": {fmt.Sprint("made up ", i)}}
			client.Sessions().FrontChannelLogout().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/?"+query.Encode(), nil))
		},
	}
	logouts := map[string]func(t *testing.T, w *world, other *helseid.Client, session *helseid.Session, listed helseid.UserSession){
		"back channel": func(t *testing.T, w *world, other *helseid.Client, session *helseid.Session, _ helseid.UserSession) {
			answer := postLogout(t, other.Sessions().BackChannelLogout(), url.Values{"logout_token": {w.logoutToken(session)}})
			require.Equal(t, http.StatusServiceUnavailable, answer.Code)
		},
		"all of a user's": func(t *testing.T, _ *world, other *helseid.Client, session *helseid.Session, _ helseid.UserSession) {
			requireError(t, other.Sessions().EndOf(t.Context(), session.User().Subject), helseid.ErrStore)
		},
		"one of a user's list": func(t *testing.T, _ *world, _ *helseid.Client, _ *helseid.Session, listed helseid.UserSession) {
			requireError(t, listed.End(t.Context()), helseid.ErrStore)
		},
	}
	for stranger, call := range strangers {
		for logout, end := range logouts {
			t.Run(stranger+", "+logout, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					w, store := newHookedWorld(t)
					session := w.logIn(t)
					other := newClient(t, w.config) // has never seen the session
					listed, err := other.Sessions().Of(t.Context(), session.User().Subject)
					require.NoError(t, err)
					store.failWith(func(string) error { return errStoreTimeout })
					for i := range 1500 {
						call(other, w.server.Issuer(), i)
					}
					end(t, w, other, session, listed[0])
					store.failWith(nil)
					pause(5 * time.Minute)
					w.requireEnded(t, session)
				})
			})
		}
	}
	t.Run("revocations", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newHookedWorld(t)
			session := w.logIn(t)
			store.failWith(func(string) error { return errStoreTimeout })
			for i := range 1500 {
				strangers["sessions"](w.client, "", i)
			}
			w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Status: http.StatusServiceUnavailable, Times: -1})
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			requireError(t, err, helseid.ErrUnavailable)
			pause(time.Minute)
			before := w.revocations()
			w.server.ClearFaults()
			pause(11 * time.Minute)
			require.Equal(t, before+1, w.revocations())
		})
	})
}
