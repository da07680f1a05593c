package helseid

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/testkit"
)

// tokenAt is a token for an hour that was fetched so long ago by the wall clock, and
// by the process's own.
func tokenAt(now time.Time, wall, own time.Duration) *Token {
	token := &Token{}
	token.setLifetime(now, time.Hour)
	shift := func(at *time.Time) { *at = at.Add(-wall) }
	shift(&token.fetched)
	shift(&token.Expiry)
	token.started = now.Add(-own)
	return token
}

// Either clock can end a token, and one that was fetched in the future is dead.
func TestTokenAndClocks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		wall, own time.Duration
		want      tokenState
		drop      bool
	}{
		"just fetched":                         {0, 0, tokenFresh, false},
		"in use for a minute":                  {time.Minute, time.Minute, tokenFresh, true},
		"near its end":                         {3580 * time.Second, 3580 * time.Second, tokenStale, true},
		"the machine has slept":                {2 * time.Hour, time.Minute, tokenDead, true},
		"the clock has been set back":          {time.Minute, 2 * time.Hour, tokenDead, true},
		"set back by less":                     {time.Minute, 3580 * time.Second, tokenStale, true},
		"the clock was two hours ahead":        {-2 * time.Hour, 0, tokenDead, true},
		"two hours ahead, and some time ago":   {-2*time.Hour + time.Minute, time.Minute, tokenDead, true},
		"a little ahead":                       {-3 * time.Second, 0, tokenFresh, false},
		"a little ahead, and some time ago":    {-3 * time.Second, time.Minute, tokenFresh, true},
		"ahead by a little more than a little": {-8 * time.Second, 0, tokenDead, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := tokenAt(now, test.wall, test.own)
			require.Equal(t, test.want, token.state(now))
			entry := &cacheEntry{}
			entry.token.Store(token)
			require.Equal(t, test.drop, entry.drop(token, now), "it is replaced if an API says invalid_token")
		})
	}
	t.Run("a limit leaves both clocks", func(t *testing.T) {
		t.Parallel()
		token := tokenAt(now, time.Minute, time.Minute)
		token.limit(10 * time.Minute)
		require.Equal(t, tokenFresh, token.state(now))
		require.Equal(t, tokenDead, token.state(now.Add(10*time.Minute)))
		require.WithinDuration(t, now.Add(9*time.Minute), token.Expiry, 2*time.Second)
	})
}

// An entry whose last use claims to be in the future makes room first.
func TestEvictionAfterAClockStep(t *testing.T) {
	t.Parallel()
	cache := memoryCache{capacity: 3}
	entry := func(name byte) *cacheEntry { return cache.entry(&preparedRequest{key: cacheKey{name}}) }
	entry(1).used.Store(time.Now().Add(-time.Hour).Unix())
	ahead := entry(2)
	ahead.used.Store(time.Now().Add(2 * time.Hour).Unix())
	entry(3)
	entry(4)
	require.True(t, ahead.evicted.Load())
}

// A row ends by either clock.
func TestMemoryRowAndClocks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	row := func(wall, own time.Duration) memoryRow {
		return memoryRow{StoredRow{Expiry: now.Add(wall).Round(0)}, now.Add(own)}
	}
	require.True(t, row(time.Minute, time.Minute).isLive(now))
	require.False(t, row(-time.Minute, time.Minute).isLive(now), "the machine has slept")
	require.False(t, row(2*time.Hour, -time.Minute).isLive(now), "the clock has been set back")
	store := &MemoryStore{}
	_, err := store.Save(t.Context(), "a", StoredRow{Expiry: time.Unix(now.Add(time.Hour).Unix(), 0)})
	require.NoError(t, err)
	stored := store.rows["a"].Reveal()
	require.WithinDuration(t, now.Add(time.Hour), stored.end, 2*time.Second)
	require.Contains(t, stored.end.String(), " m=", "it goes by the process's own clock")
}

// A session that claims to have been made, renewed or attested in the future has
// ended: nobody knows how old it is.
func TestSessionAndClocks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	attest := claims.AttestLifetime
	for name, test := range map[string]struct {
		record sessionRecord
		ended  bool
	}{
		"new":                         {sessionRecord{Created: at(0), Renewed: at(0)}, false},
		"of an earlier version":       {sessionRecord{Created: at(-time.Hour)}, false},
		"over":                        {sessionRecord{Created: at(-13 * time.Hour)}, true},
		"a clock is a little ahead":   {sessionRecord{Created: at(time.Minute), Renewed: at(time.Minute)}, false},
		"made in the future":          {sessionRecord{Created: at(6 * time.Hour)}, true},
		"made there, to be refreshed": {sessionRecord{Created: at(6 * time.Hour), RefreshUntil: at(18 * time.Hour)}, true},
		"renewed in the future":       {sessionRecord{Created: at(-time.Hour), Renewed: at(6 * time.Hour), RefreshUntil: at(18 * time.Hour)}, true},
		"attested":                    {sessionRecord{Created: at(0), AttestUntil: at(attest)}, false},
		"attested in the future":      {sessionRecord{Created: at(0), AttestUntil: at(attest + time.Hour)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.ended, test.record.hasEnded(now))
		})
	}
	t.Run("a token with an attest", func(t *testing.T) {
		t.Parallel()
		token := &Token{}
		token.setLifetime(now, 24*time.Hour)
		(&sessionRecord{AttestUntil: at(20 * time.Hour)}).limit(token)
		require.WithinDuration(t, now.Add(attest), token.Expiry, time.Second)
	})
	t.Run("its index entries", func(t *testing.T) {
		t.Parallel()
		record := sessionRecord{Created: at(0)}
		require.True(t, record.reindex())
		require.Equal(t, record.IndexedUntil, record.plausible(record.IndexedUntil))
		require.Zero(t, record.plausible(record.IndexedUntil+int64(6*time.Hour/time.Second)), "they end sooner than they say")
	})
}

// A clock that was ahead and has been set back keeps nobody from looking into the
// outbox, and makes no unused session young.
func TestUsesAndClocks(t *testing.T) {
	t.Parallel()
	uses, outbox := sessionUses{rows: &sessionRows{store: &MemoryStore{}, logger: slog.New(slog.DiscardHandler)}}, outbox{work: lifecycle.New()}
	now := time.Now()
	record := sessionRecord{Version: sessionVersion, Created: now.Unix(), IdleTimeout: 600}
	use := func(key string, ahead time.Duration) error {
		record.LastUsed = now.Add(ahead).UnixMilli()
		session := &heldSession{place: uses.rows.places.place(key, record.keptUntil()), record: record}
		session.place.noting.Store(true) // nothing is written here
		return uses.use(t.Context(), session, now)
	}
	require.NoError(t, use("a", 0))
	require.NoError(t, use("b", time.Minute), "clocks differ a little")
	require.ErrorIs(t, use("c", 6*time.Hour), ErrLoginRequired, "the store is asked, which has none")
	outbox.work.Close()
	outbox.looked.Store(now.Add(6 * time.Hour).Unix())
	outbox.look()
	require.LessOrEqual(t, outbox.looked.Load(), time.Now().Unix())
}

// The last use is written down in time, whatever time claims to have been written.
func TestNotedUseFromTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		uses := sessionUses{rows: &sessionRows{store: &MemoryStore{}, logger: slog.New(slog.DiscardHandler)}, work: lifecycle.New()}
		place := uses.rows.places.place("a", time.Now().Add(time.Hour))
		uses.note(place, time.Now().Add(4*time.Minute).UnixMilli(), time.Now(), 6*time.Second)
		require.True(t, place.noting.Load())
		testkit.Sleep(7 * time.Second)
		synctest.Wait()
		require.False(t, place.noting.Load())
		uses.work.Close()
	})
}
