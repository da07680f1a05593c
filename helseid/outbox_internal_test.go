package helseid

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The outbox holds so many entries, and of more those that are of use for longest.
func TestOutboxSize(t *testing.T) {
	t.Parallel()
	box := &outbox{store: &MemoryStore{}, logger: slog.New(slog.DiscardHandler)}
	now := time.Now()
	const excess = 20
	for i := range maxOutbox + excess {
		until := now.Add(time.Hour + time.Duration((i*7)%(maxOutbox+excess))*time.Second)
		require.NoError(t, box.post(t.Context(), revocation(strconv.Itoa(i), now, until)))
	}
	_, entries, err := box.load(t.Context(), box.rows()[0])
	require.NoError(t, err)
	require.Len(t, entries, maxOutbox)
	box.unpost(t.Context(), entries[3])
	_, entries, err = box.load(t.Context(), box.rows()[0])
	require.NoError(t, err)
	require.Len(t, entries, maxOutbox-1)
}
