package helseid

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

// What has expired after a flood of logins does not stay until the next flood.
func TestExpiredRowsAreSwept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var store MemoryStore
		var places sessionPlaces
		add := func(kind string, count int, lifetime time.Duration) {
			for i := range count {
				key, expiry := fmt.Sprint(kind, i), time.Now().Add(lifetime)
				saved, err := store.Save(t.Context(), key, StoredRow{Expiry: expiry})
				require.NoError(t, err)
				require.True(t, saved)
				places.place(key, expiry)
			}
		}
		add("login-", 20_000, LoginLifetime)
		testkit.Sleep(2 * time.Hour)
		add("session-", 1, time.Hour)
		require.Len(t, store.rows, 1)
		require.Len(t, places.places, 1)
	})
}
