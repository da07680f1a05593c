package dpop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The wall clock jumps ahead and is set back: earlier proofs would be accepted again,
// so they must be remembered. They are deleted when both clocks agree that they have
// expired.
func TestReplayOutlivesAClockStep(t *testing.T) {
	t.Parallel()
	now := time.Now()
	store := NewMemoryReplay(MemoryReplayConfig{Capacity: 10})
	use := Use{Proof: [32]byte{1}, Thumbprint: [32]byte{2}, Expiry: now.Add(12 * time.Second).Round(time.Second)}
	first, err := store.Record(t.Context(), use)
	require.NoError(t, err)
	require.True(t, first)

	store.purge(now.Unix()+3600, now.Add(time.Second))
	first, err = store.Record(t.Context(), use)
	require.NoError(t, err)
	require.False(t, first, "used before")

	store.purge(now.Unix()-3600, now.Add(time.Hour)) // set back: the proofs will be young in an hour
	require.Equal(t, 1, store.size)
	store.purge(now.Unix()+30, now.Add(30*time.Second))
	require.Zero(t, store.size)
}

// Proofs of the second that has just begun are kept: by the wall clock it has not passed.
func TestReplayKeepsTheSecondOfTheExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	store := NewMemoryReplay(MemoryReplayConfig{Capacity: 10})
	expiry := now.Add(time.Minute)
	_, err := store.Record(t.Context(), Use{Proof: [32]byte{1}, Expiry: expiry})
	require.NoError(t, err)
	store.purge(expiry.Unix(), now.Add(time.Hour))
	require.Equal(t, 1, store.size)
	store.purge(expiry.Unix()+1, now.Add(time.Hour))
	require.Zero(t, store.size)
}
