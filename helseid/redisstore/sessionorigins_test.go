package redisstore

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// A row from before a restart or a failover is unconfirmed until it is confirmed; a row
// that was written since is not.
func TestSessionsOfBeforeALoss(t *testing.T) {
	t.Parallel()
	losses := map[string]func(t *testing.T, server *server) *server{
		"restart from a snapshot": func(t *testing.T, server *server) *server {
			server.do(t, "SAVE")
			server.kill()
			server.start(t)
			return server
		},
		"takeover by a replica": func(t *testing.T, server *server) *server {
			replica := startServerOn(t, freePort(t), "--replicaof", "127.0.0.1 "+strconv.Itoa(server.port))
			require.Eventually(t, func() bool { return len(replica.keys(t)) == len(server.keys(t)) }, 20*time.Second, 20*time.Millisecond)
			replica.do(t, "REPLICAOF", "NO", "ONE")
			server.kill()
			return replica
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServerOn(t, freePort(t))
			table := newStore(t, server.url()).Rows()
			expiry := time.Now().Add(time.Hour)
			save := func(table helseid.Store, session helseid.StoredRow) {
				t.Helper()
				session.Data, session.Expiry = []byte("x"), expiry
				saved, err := table.Save(t.Context(), "a", session)
				require.NoError(t, err)
				require.True(t, saved)
			}
			unconfirmed := func(table helseid.Store) bool {
				t.Helper()
				row, err := table.Load(t.Context(), "a")
				require.NoError(t, err)
				require.NotZero(t, row.Version)
				require.False(t, row.Confirmed)
				return row.Unconfirmed
			}
			save(table, helseid.StoredRow{})
			require.False(t, unconfirmed(table))
			save(table, helseid.StoredRow{Version: 1})
			require.False(t, unconfirmed(table))

			server = lose(t, server)
			table = newStore(t, server.url()).Rows()
			require.True(t, unconfirmed(table))
			trusting := newStore(t, server.url(), func(c *Config) { c.TrustPersistence = true }).Rows()
			require.False(t, unconfirmed(trusting))
			save(table, helseid.StoredRow{Version: 2})
			require.True(t, unconfirmed(table), "a mark of a refresh is no confirmation")
			save(trusting, helseid.StoredRow{Version: 3})
			require.True(t, unconfirmed(table))
			save(table, helseid.StoredRow{Version: 4, Confirmed: true})
			require.False(t, unconfirmed(table))
			save(table, helseid.StoredRow{Version: 5})
			require.False(t, unconfirmed(table))
			require.NoError(t, table.Delete(t.Context(), "a"))
			save(table, helseid.StoredRow{})
			require.False(t, unconfirmed(table), "a new row")
		})
	}
}

// A row without an origin, written by an earlier version or while persistence was trusted,
// is unconfirmed.
func TestSessionsWithoutAnOrigin(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	table := newStore(t, server.url()).Rows()
	trusting := newStore(t, server.url(), func(c *Config) { c.TrustPersistence = true }).Rows()
	saved, err := trusting.Save(t.Context(), "a", helseid.StoredRow{Data: []byte("x"), Expiry: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.True(t, saved)
	row, err := table.Load(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, row.Unconfirmed)
}
