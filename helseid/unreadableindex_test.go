package helseid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// unreadableRows is a store in which one process cannot read some rows that are
// there, as when it lacks the newest encryption key.
type unreadableRows struct {
	helseid.Store
	prefix atomic.Pointer[string] // of their keys
}

func (s *unreadableRows) lack(prefix string) { s.prefix.Store(&prefix) }

func (s *unreadableRows) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	row, err := s.Store.Load(ctx, key)
	prefix := s.prefix.Load()
	if err == nil && row.Version != 0 && prefix != nil && *prefix != "" && strings.HasPrefix(key, *prefix) && !strings.HasSuffix(key, "-more") {
		return helseid.StoredRow{Version: row.Version}, helseid.ErrUnreadableRow
	}
	return row, err
}

// callLogout sends HelseID's word through a channel and returns the status.
func (w *world) callLogout(t testing.TB, channel string, client *helseid.Client, session *helseid.Session) int {
	t.Helper()
	if channel == "front" {
		query := url.Values{"iss": {w.config.Issuer}, "sid": {session.User().SessionID}}
		recorder := httptest.NewRecorder()
		client.Sessions().FrontChannelLogout().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query.Encode(), nil))
		return recorder.Code
	}
	var options []mint.TokenOption
	if channel == "back, sub" {
		options = append(options, mint.Claim("sid", nil))
	}
	return postLogout(t, client.Sessions().BackChannelLogout(), url.Values{"logout_token": {w.logoutToken(session, options...)}}).Code
}

// A logout whose index cannot be read is not answered as if it had been done, and is
// carried out when it can be, although HelseID does not ask again.
func TestLogoutWithAnUnreadableIndex(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{"back, sid", "back, sub", "front"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				store := &unreadableRows{Store: &helseid.MemoryStore{}}
				w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
				session := w.logIn(t)
				prefix := "sid-"
				if channel == "back, sub" {
					prefix = "sub-"
				}
				store.lack(prefix)
				require.Equal(t, http.StatusServiceUnavailable, w.callLogout(t, channel, w.client, session))
				pause(time.Minute)
				require.True(t, w.lives(t, session))
				store.lack("")
				pause(time.Minute)
				w.requireEnded(t, session)
				require.Equal(t, 1, w.revocations())
			})
		})
	}
}

// The same is true while the store does not answer at all.
func TestLogoutIsKeptInAnOutageOfTheStore(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{"back, sid", "back, sub", "front"} {
		for after := range 3 {
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				session := w.logIn(t)
				store.failWith(failAt("", errStoreTimeout, after, -1))
				require.Equal(t, http.StatusServiceUnavailable, w.callLogout(t, channel, w.client, session))
				pause(10 * time.Minute)
				store.failWith(nil)
				pause(time.Minute)
				w.requireEnded(t, session)
			})
		}
	}
}

// A login at a process that cannot read the index leaves what others find there.
func TestLoginBesideAnUnreadableIndex(t *testing.T) {
	t.Parallel()
	shared := &helseid.MemoryStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = shared }})
	first := w.logIn(t)
	config, store := w.config, &unreadableRows{Store: shared}
	config.Store = store
	store.lack("s") // all earlier rows
	other := newClient(t, config)
	login, err := other.StartLogin(t.Context(), loginRequest())
	require.NoError(t, err)
	target, err := w.server.LogIn(login.URL)
	require.NoError(t, err)
	second, err := other.FinishLogin(t.Context(), login.State, target.Query())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.callLogout(t, "back, sub", w.client, first))
	w.requireEnded(t, first)
	w.requireEnded(t, second)
}

// A record of another version of this library's may be a session for another process:
// a logout that does not understand it ends it anyway.
func TestLogoutOfARecordOfAnotherVersion(t *testing.T) {
	t.Parallel()
	store := &recordingStore{}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	session := w.logIn(t)
	for key, row := range store.sessions() {
		row.Data = []byte(strings.Replace(string(row.Data), `"version":1`, `"version":2`, 1))
		saved, err := store.Save(t.Context(), key, row)
		require.NoError(t, err)
		require.False(t, saved)
		row.Version++
		saved, err = store.Save(t.Context(), key, row)
		require.NoError(t, err)
		require.True(t, saved)
	}
	require.Equal(t, http.StatusOK, w.callLogout(t, "back, sid", w.client, session))
	require.Empty(t, store.sessions())
}
