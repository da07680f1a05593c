package helseid_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// restorableStore is a store that can go back to an earlier state, and says which of
// its rows may be older than what was written after them.
type restorableStore struct {
	mu       sync.Mutex
	rows     map[string]originRow
	snapshot map[string]originRow
	origin   int
}

type originRow struct {
	helseid.StoredRow
	origin int
}

func (s *restorableStore) Load(_ context.Context, key string) (helseid.StoredRow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.rows[key]
	if !time.Now().Before(row.Expiry) {
		return helseid.StoredRow{}, nil
	}
	row.Unconfirmed, row.Confirmed = row.origin != s.origin, false
	return row.StoredRow, nil
}

func (s *restorableStore) Save(_ context.Context, key string, session helseid.StoredRow) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, held := s.rows[key]
	if row.Version != session.Version {
		return false, nil
	}
	if !held || session.Confirmed {
		row.origin = s.origin
	}
	session.Version++
	row.StoredRow = session
	if s.rows == nil {
		s.rows = make(map[string]originRow)
	}
	s.rows[key] = row
	return true, nil
}

func (s *restorableStore) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, key)
	return nil
}

func (s *restorableStore) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshot = maps.Clone(s.rows)
}

// restore goes back to what was kept, without the rows of some kinds.
func (s *restorableStore) restore(lost ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origin++
	s.rows = maps.Clone(s.snapshot)
	for key := range s.rows {
		for _, kind := range lost {
			if strings.HasPrefix(key, kind) {
				delete(s.rows, key)
			}
		}
	}
}

func newRestorableWorld(t testing.TB) (*world, *restorableStore) {
	t.Helper()
	store := &restorableStore{}
	return newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store; c.TokenRetries = -1 }}), store
}

func (w *world) lookUp(t testing.TB, client *helseid.Client, session *helseid.Session) error {
	t.Helper()
	_, err := client.Sessions().Get(t.Context(), session.ID().Reveal())
	return err
}

// A store that is restored from a snapshot does not bring ended sessions back.
func TestRestoredStoreBringsNobodyBack(t *testing.T) {
	t.Parallel()
	ends := map[string]func(t *testing.T, w *world, session *helseid.Session){
		"logout": func(t *testing.T, _ *world, session *helseid.Session) {
			_, err := session.Logout(t.Context(), helseid.LogoutRequest{})
			require.NoError(t, err)
		},
		"by id": func(t *testing.T, w *world, session *helseid.Session) {
			require.NoError(t, w.client.Sessions().End(t.Context(), session.ID().Reveal()))
		},
		"back channel": func(t *testing.T, w *world, session *helseid.Session) {
			tellLogout(t, w.client, w.logoutToken(session))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newRestorableWorld(t)
				session := w.logIn(t)
				store.keep()
				end(t, w, session)
				pause(time.Second)
				store.restore()
				other := newClient(t, w.config)
				requireError(t, w.lookUp(t, other, session), helseid.ErrLoginRequired)
				requireError(t, w.lookUp(t, newClient(t, w.config), session), helseid.ErrLoginRequired)
				require.Len(t, w.refreshes(), 1)
				for key := range store.rows {
					require.False(t, strings.HasPrefix(key, "session-"))
				}
			})
		})
	}
	t.Run("whose refresh token has been used since", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w, store := newRestorableWorld(t)
			session := w.logIn(t)
			store.keep()
			_, err := userToken(t, session, journalResource)
			require.NoError(t, err)
			store.restore()
			requireError(t, w.lookUp(t, newClient(t, w.config), session), helseid.ErrLoginRequired)
		})
	})
	for name, scopes := range map[string][]string{
		"without a refresh token":                  {testScope},
		"without a refresh token, of several APIs": {testScope, journalScope},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newRestorableWorld(t)
				session := w.logInWith(t, helseid.LoginRequest{Scopes: scopes})
				store.keep()
				require.NoError(t, w.lookUp(t, newClient(t, w.config), session))
				store.restore()
				requireError(t, w.lookUp(t, newClient(t, w.config), session), helseid.ErrLoginRequired)
				requireError(t, w.lookUp(t, w.client, session), helseid.ErrLoginRequired)
				require.Empty(t, w.refreshes())
			})
		})
	}
}

// A live session is confirmed by one refresh, in the process that uses it next, and then
// accepted by all.
func TestRestoredSessionIsConfirmed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, store := newRestorableWorld(t)
		session := w.logIn(t)
		store.keep()
		store.restore("sid-", "sub-")
		errs := make(chan error, 6)
		clients := []*helseid.Client{newClient(t, w.config), newClient(t, w.config), w.client}
		for i := range cap(errs) {
			go func() { errs <- w.lookUp(t, clients[i%len(clients)], session) }()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		require.Len(t, w.refreshes(), 1)
		tellLogout(t, newClient(t, w.config), w.logoutToken(session)) // the index has been written again
		w.requireEnded(t, session)

		// A Session that was kept is confirmed by its next refresh.
		session = w.logIn(t)
		store.keep()
		store.restore()
		_, err := userToken(t, session, journalResource)
		require.NoError(t, err)
		before := len(w.refreshes())
		pause(time.Minute)
		require.NoError(t, w.lookUp(t, newClient(t, w.config), session))
		require.LessOrEqual(t, len(w.refreshes()), before+1)
		requireEachOnce(t, w.refreshes())
	})
}

// As long as HelseID has given no decision, the session is neither accepted nor ended.
func TestRestoredSessionInAnOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]helseidtest.Fault{
		"unavailable": {Endpoint: helseidtest.EndpointToken, Status: http.StatusServiceUnavailable, Times: -1},
		"in trouble":  {Endpoint: helseidtest.EndpointToken, Status: http.StatusInternalServerError, Times: -1},
		"no answer":   {Endpoint: helseidtest.EndpointToken, Delay: time.Hour, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newRestorableWorld(t)
				session := w.logIn(t)
				store.keep()
				store.restore()
				w.server.Inject(fault)
				for range 3 {
					err := w.lookUp(t, newClient(t, w.config), session)
					requireError(t, err, helseid.ErrUnavailable)
					require.NotErrorIs(t, err, helseid.ErrLoginRequired)
				}
				w.server.ClearFaults()
				pause(2 * time.Minute)
				require.NoError(t, w.lookUp(t, newClient(t, w.config), session))
				w.server.Inject(fault)
				require.NoError(t, w.lookUp(t, newClient(t, w.config), session), "confirmed once and for all")
			})
		})
	}
}
