package redisstore

import (
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

func TestSessions(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	requireTable(t, newStore(t, server.url()).Rows())
	// The store in memory behaves like the one on Redis.
	requireTable(t, &helseid.MemoryStore{})
}

// requireTable goes through what a Store promises.
func requireTable(t *testing.T, table helseid.Store) {
	t.Helper()
	ctx := t.Context()
	expiry := time.Now().Add(time.Hour)
	load := func(key string) helseid.StoredRow {
		t.Helper()
		session, err := table.Load(ctx, key)
		require.NoError(t, err)
		return session
	}
	save := func(want bool, key string, version uint64, data string, expiry time.Time) {
		t.Helper()
		saved, err := table.Save(ctx, key, helseid.StoredRow{Version: version, Data: []byte(data), Expiry: expiry})
		require.NoError(t, err)
		require.Equal(t, want, saved)
	}

	require.Zero(t, load("a"))
	save(false, "a", 1, "x", expiry)
	save(true, "a", 0, "one", expiry)
	save(false, "a", 0, "x", expiry)
	save(false, "a", 2, "x", expiry)
	session := load("a")
	require.EqualValues(t, 1, session.Version)
	require.Equal(t, "one", string(session.Data))
	require.WithinDuration(t, expiry, session.Expiry, 10*time.Second)

	save(true, "a", 1, "two", expiry.Add(time.Hour))
	save(false, "a", 1, "x", expiry)
	session = load("a")
	require.EqualValues(t, 2, session.Version)
	require.Equal(t, "two", string(session.Data))
	require.WithinDuration(t, expiry.Add(time.Hour), session.Expiry, 10*time.Second)
	require.Zero(t, load("b"))

	require.NoError(t, table.Delete(ctx, "a"))
	require.NoError(t, table.Delete(ctx, "a"))
	require.Zero(t, load("a"))
	save(false, "a", 2, "x", expiry) // a late writer does not bring it back
	save(true, "a", 0, "new", expiry)
	require.EqualValues(t, 1, load("a").Version)

	save(true, "a", 1, "gone", time.Now().Add(-time.Second))
	require.Zero(t, load("a"))
	save(true, "a", 0, "brief", time.Now().Add(30*time.Millisecond))
	require.Eventually(t, func() bool {
		session, err := table.Load(ctx, "a")
		return err == nil && session.Version == 0
	}, 5*time.Second, 5*time.Millisecond)
	save(true, "a", 0, "new", expiry)
	save(true, "empty", 0, "", expiry)
	require.EqualValues(t, 1, load("empty").Version)
	save(true, "big", 0, string(make([]byte, 1<<20)), expiry)
	require.Len(t, load("big").Data, 1<<20)
}

// A store that has seen many versions does not lose count.
func TestSessionVersionsAreExact(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := newStore(t, server.url())
	table := rows{store.connection, store.sealer}
	const large = 1<<63 + 1<<53 + 1 // a float would round it
	sealed, err := store.sealer.seal(table.place("a"), large, []byte("x"))
	require.NoError(t, err)
	server.do(t, "HSET", table.place("a"), "version", strconv.FormatUint(large, 10), "data", sealed)
	server.do(t, "EXPIRE", table.place("a"), 60)
	for version, want := range map[uint64]bool{large - 1: false, large + 1: false} {
		saved, err := table.Save(t.Context(), "a", helseid.StoredRow{Version: version, Expiry: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		require.Equal(t, want, saved)
	}
	session, err := table.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, uint64(large), session.Version)
	saved, err := table.Save(t.Context(), "a", session)
	require.NoError(t, err)
	require.True(t, saved)
}

// counter is session data that many want to change.
type counter struct {
	Count int
	Mark  string
}

// increment does what a refresh of tokens does: read, change, write if nobody
// else has. It reports whether it did for certain.
func increment(t *testing.T, table helseid.Store) (bool, error) {
	session, err := table.Load(background(), "counter")
	if err != nil {
		return false, err
	}
	var data counter
	if session.Version > 0 {
		require.NoError(t, json.Unmarshal(session.Data, &data))
	}
	data.Count++
	session.Data, err = json.Marshal(data)
	require.NoError(t, err)
	session.Expiry = time.Now().Add(time.Hour)
	return table.Save(background(), "counter", session)
}

func count(t *testing.T, table helseid.Store) int {
	t.Helper()
	session, err := table.Load(t.Context(), "counter")
	require.NoError(t, err)
	var data counter
	require.NoError(t, json.Unmarshal(session.Data, &data))
	require.EqualValues(t, data.Count, session.Version)
	return data.Count
}

// Of all who write over the same version exactly one does.
func TestSessionsAtOnce(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	tables := []helseid.Store{newStore(t, server.url()).Rows(), newStore(t, server.url()).Rows()}
	var saved atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				ok, err := increment(t, tables[i%2])
				if err != nil {
					t.Error(err)
				}
				if ok {
					saved.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, saved.Load(), count(t, tables[0]))
	require.GreaterOrEqual(t, saved.Load(), int64(50))
}

// A crash of the server under load loses no write that it has confirmed, if it
// was told to keep them.
func TestSessionsSurviveRestart(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	tables := []helseid.Store{newStore(t, server.url()).Rows(), newStore(t, server.url()).Rows()}
	var saved, uncertain atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				switch ok, err := increment(t, tables[i%2]); {
				case err != nil:
					uncertain.Add(1)
				case ok:
					saved.Add(1)
				}
			}
		})
	}
	enough := func(more int64) {
		t.Helper()
		start := saved.Load()
		require.Eventually(t, func() bool { return saved.Load() > start+more }, 20*time.Second, time.Millisecond)
	}
	enough(20)
	for range 2 {
		server.kill()
		start := uncertain.Load()
		require.Eventually(t, func() bool { return uncertain.Load() > start }, 10*time.Second, time.Millisecond)
		server.start(t)
		enough(20)
	}
	close(done)
	all.Wait()
	// One of the stores may still leave the server alone for a second.
	total := int64(count(t, newStore(t, server.url()).Rows()))
	require.GreaterOrEqual(t, total, saved.Load(), "confirmed writes are there")
	require.LessOrEqual(t, total, saved.Load()+uncertain.Load(), "and no more than were tried")
}

// After a lost answer the same call is sent again. It must not take its own earlier write
// for that of another writer.
func TestSaveSentTwice(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := newStore(t, server.url())
	place := rows{store.connection, store.sealer}.place("a")
	first, err := store.sealer.seal(place, 1, []byte("x"))
	require.NoError(t, err)
	second, err := store.sealer.seal(place, 1, []byte("x"))
	require.NoError(t, err)
	run := func(data []byte) bool {
		t.Helper()
		saved, err := saveScript.Run(t.Context(), store.connection.client, []string{place}, "0", "1", data, 60_000).Bool()
		require.NoError(t, err)
		return saved
	}
	require.True(t, run(first))
	require.True(t, run(first))
	require.False(t, run(second), "another call with the same data")
}

// The clocks of the processes may differ, and from that of Redis: what counts is
// how long a session has left.
func TestSessionsWithClocksThatAreOff(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for name, off := range map[string]time.Duration{"an hour behind": -time.Hour, "an hour ahead": time.Hour, "years behind": -20 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := newStore(t, server.url())
			wrong.connection.now = func() time.Time { return time.Now().Add(off) }
			right := newStore(t, server.url())
			saved, err := wrong.Rows().Save(t.Context(), name, helseid.StoredRow{
				Data: []byte("x"), Expiry: wrong.connection.now().Add(10 * time.Minute),
			})
			require.NoError(t, err)
			require.True(t, saved)
			for _, store := range []*Store{wrong, right} {
				session, err := store.Rows().Load(t.Context(), name)
				require.NoError(t, err)
				require.EqualValues(t, 1, session.Version)
				require.WithinDuration(t, store.connection.now().Add(10*time.Minute), session.Expiry, 30*time.Second)
			}
			left := server.left(t, "helseid:session:"+name)
			require.InDelta(t, 10*time.Minute, left, float64(30*time.Second))
		})
	}
}
