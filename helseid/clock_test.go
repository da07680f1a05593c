package helseid_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// change changes members of the only session.
func (s *recordingStore) change(t testing.TB, changes map[string]any) {
	t.Helper()
	for key := range s.sessions() {
		row, err := s.Load(t.Context(), key)
		require.NoError(t, err)
		var members map[string]any
		require.NoError(t, json.Unmarshal(row.Data, &members))
		maps.Copy(members, changes)
		row.Data, err = json.Marshal(members)
		require.NoError(t, err)
		saved, err := s.Save(t.Context(), key, row)
		require.NoError(t, err)
		require.True(t, saved)
	}
}

// A process whose clock was ahead has left the mark of a refresh. It counts as lost
// after the time that any refresh may take, and not hours later.
func TestRefreshMarkFromTheFuture(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead  time.Duration
		resend bool
	}{
		"half a minute":           {30 * time.Second, false},
		"two minutes":             {2 * time.Minute, false},
		"six hours":               {6 * time.Hour, false},
		"a year":                  {365 * 24 * time.Hour, false},
		"six hours, to be resent": {6 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				store := &recordingStore{}
				w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) {
					c.Store, c.ResendUnansweredRefreshTokens = store, test.resend
				}})
				session := w.logIn(t)
				store.change(t, map[string]any{"refreshing": time.Now().Add(test.ahead).UnixMilli(), "refresher": "one that has ended"})
				_, err := userToken(t, session, journalResource)
				requireError(t, err, helseid.ErrUnavailable)
				require.NotErrorIs(t, err, helseid.ErrLoginRequired, "it may be at work yet")
				require.Empty(t, w.refreshes())
				pause(2 * time.Minute)
				_, err = userToken(t, session, journalResource)
				if test.resend {
					require.NoError(t, err)
					require.Len(t, w.refreshes(), 1)
					return
				}
				requireError(t, err, helseid.ErrLoginRequired)
				require.ErrorContains(t, err, "a process ended while it refreshed the session")
				require.Empty(t, w.refreshes())
			})
		})
	}
}

// If the store takes neither the mark's new time nor the end of a lost refresh, the caller
// is told so at once.
func TestRefreshMarkThatCannotBeChanged(t *testing.T) {
	t.Parallel()
	for name, started := range map[string]time.Duration{"from the future": time.Hour, "lost": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w, store := newHookedWorld(t)
				session := w.logIn(t)
				store.change(t, map[string]any{"refreshing": time.Now().Add(started).UnixMilli(), "refresher": "another"})
				pause(maxKnownRow)
				store.failWith(failAt("save", errStoreTimeout, 0, -1))
				start := time.Now()
				_, err := userToken(t, session, journalResource)
				requireError(t, err, helseid.ErrStore)
				require.Zero(t, time.Since(start))
				require.Empty(t, w.refreshes())
			})
		})
	}
}

// maxKnownRow is how long a process relies on what it has read of a session.
const maxKnownRow = 6 * time.Second

// Another process, whose clock is six hours ahead, is refreshing while this one
// waits: its token is neither sent again nor lost.
func TestRefreshMarkOfAProcessThatIsAhead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		store := &recordingStore{}
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
		session := w.logIn(t)
		refresher, refreshToken := store.member(t, "refresher"), store.member(t, "refresh_token")
		store.change(t, map[string]any{"refreshing": time.Now().Add(6 * time.Hour).UnixMilli(), "refresher": "the other"})
		done := make(chan error, 1)
		go func() {
			_, err := userToken(t, session, journalResource)
			done <- err
		}()
		pause(20 * time.Second)
		require.Equal(t, refreshToken, store.member(t, "refresh_token"))
		require.Equal(t, "the other", store.member(t, "refresher"), "whose outcome finds its mark")
		store.change(t, map[string]any{"refreshing": 0, "refresher": refresher})
		require.NoError(t, <-done)
		require.Len(t, w.refreshes(), 1)
	})
}

// A session whose times lie in the future is over, and so is a login.
func TestTimesOfTheFuture(t *testing.T) {
	t.Parallel()
	for _, member := range []string{"created", "renewed"} {
		t.Run(member, func(t *testing.T) {
			t.Parallel()
			store := &recordingStore{}
			w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
			session := w.logIn(t)
			store.change(t, map[string]any{member: time.Now().Add(time.Minute).Unix()})
			_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
			require.NoError(t, err, "clocks differ a little")
			store.change(t, map[string]any{member: time.Now().Add(6 * time.Hour).Unix()})
			_, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
			requireError(t, err, helseid.ErrLoginRequired)
		})
	}
	t.Run("login", func(t *testing.T) {
		t.Parallel()
		for ahead, want := range map[time.Duration]bool{30 * time.Second: true, time.Hour: false} {
			w := newLoginWorld(t, worldOptions{})
			state, answer := w.callback(t, loginRequest())
			encoded, err := state.Encode()
			require.NoError(t, err)
			var members map[string]any
			require.NoError(t, json.Unmarshal(encoded, &members))
			members["started"] = time.Now().Add(ahead).Unix()
			encoded, err = json.Marshal(members)
			require.NoError(t, err)
			state, err = helseid.DecodeLoginState(encoded)
			require.NoError(t, err)
			_, err = w.client.FinishLogin(t.Context(), state, answer)
			if want {
				require.NoError(t, err)
				continue
			}
			requireError(t, err, helseid.ErrLogin)
			require.ErrorContains(t, err, "clock")
		}
	})
}
