package helseid_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// countingStore counts how often it is asked.
type countingStore struct {
	helseid.MemoryStore
	calls atomic.Int64
}

func (s *countingStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	s.calls.Add(1)
	return s.MemoryStore.Load(ctx, key)
}

func (s *countingStore) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	s.calls.Add(1)
	return s.MemoryStore.Save(ctx, key, session)
}

func (s *countingStore) Delete(ctx context.Context, key string) error {
	s.calls.Add(1)
	return s.MemoryStore.Delete(ctx, key)
}

// A refresh asks the store three times at most, including the look-up of its session, or
// the load of the row if the caller has kept the session.
func TestRefreshAsksTheStoreThreeTimes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		store := &countingStore{}
		w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
		session := w.logIn(t)
		other := newClient(t, w.config)
		pause(time.Minute) // the outbox has been looked into
		calls := func(use func()) int64 {
			before := store.calls.Load()
			use()
			return store.calls.Load() - before
		}
		require.EqualValues(t, 1, calls(func() {
			_, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
			require.NoError(t, err)
		}), "a look-up")
		for name, client := range map[string]*helseid.Client{"its own process": w.client, "another": other} {
			pause(2 * time.Hour) // the tokens have ended
			refreshes := len(w.refreshes())
			require.LessOrEqual(t, calls(func() {
				found, err := client.Sessions().Get(t.Context(), session.ID().Reveal())
				require.NoError(t, err)
				_, err = userToken(t, found, journalResource)
				require.NoError(t, err)
			}), int64(3), name)
			require.Len(t, w.refreshes(), refreshes+1)
		}
		pause(2 * time.Hour)
		require.LessOrEqual(t, calls(func() {
			_, err := userToken(t, session, journalResource)
			require.NoError(t, err)
		}), int64(3), "a session that is held, after others have refreshed it")
		require.LessOrEqual(t, calls(func() {
			_, err := userToken(t, session, testResource)
			require.NoError(t, err)
		}), int64(2), "for another API at once: what was written need not be read")
	})
}

// What a look-up has read may have changed by the time of the refresh: then it is read
// again.
func TestRefreshAfterAnotherProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w, _ := newHookedWorld(t)
		session := w.logIn(t)
		pause(2 * time.Hour)
		other := w.elsewhere(t, session)
		own, err := w.client.Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)
		_, err = userToken(t, other, journalResource)
		require.NoError(t, err)
		_, err = userToken(t, own, journalResource)
		require.NoError(t, err)
		requireEachOnce(t, w.refreshes())
		own, err = w.client.Sessions().Get(t.Context(), session.ID().Reveal())
		require.NoError(t, err)
		_, err = other.Logout(t.Context(), helseid.LogoutRequest{})
		require.NoError(t, err)
		_, err = userToken(t, own, testResource)
		requireError(t, err, helseid.ErrLoginRequired)
		requireEachOnce(t, w.refreshes())
	})
}
