package dpop

import (
	"context"
	"encoding/binary"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

// useOf is a use with ids that differ in their first 16 bytes.
func useOf(proof, key int, forget time.Time) Use {
	use := Use{Expiry: forget}
	binary.BigEndian.PutUint64(use.Proof[:], uint64(proof)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(use.Thumbprint[:], uint64(key)*0x9e3779b97f4a7c15)
	return use
}

func record(t testing.TB, store *MemoryReplay, use Use) (bool, error) {
	t.Helper()
	return store.Record(context.Background(), use)
}

func TestMemoryReplayForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryReplay(MemoryReplayConfig{Capacity: 8})
		forget := time.Unix(time.Now().Unix()+12, 0)
		first, err := record(t, store, useOf(1, 1, forget))
		require.NoError(t, err)
		require.True(t, first)
		for time.Now().Unix() <= forget.Unix() {
			first, err = record(t, store, useOf(1, 1, forget))
			require.NoError(t, err)
			require.False(t, first, "still remembered at %v", time.Until(forget))
			testkit.Sleep(500 * time.Millisecond)
		}
		require.Equal(t, 1, store.size)
		_, err = record(t, store, useOf(2, 2, forget.Add(time.Minute)))
		require.NoError(t, err)
		require.Equal(t, 1, store.size, "the old one is gone")
		require.Len(t, store.buckets, 1)
	})
}

func TestMemoryReplayFindsAcrossSeconds(t *testing.T) {
	t.Parallel()
	// The same proof with another iat is the same proof.
	store := NewMemoryReplay(MemoryReplayConfig{Capacity: 8})
	now := time.Now()
	first, err := record(t, store, useOf(1, 1, now.Add(10*time.Second)))
	require.NoError(t, err)
	require.True(t, first)
	for _, later := range []time.Duration{10, 11, 5, 20} {
		first, err = record(t, store, useOf(1, 1, now.Add(later*time.Second)))
		require.NoError(t, err)
		require.False(t, first)
	}
}

func TestMemoryReplayCapacity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const capacity = 100
		store := NewMemoryReplay(MemoryReplayConfig{Capacity: capacity})
		soon, later := time.Now().Add(5*time.Second), time.Now().Add(time.Minute)
		for i := range capacity {
			forget := later
			if i < 10 {
				forget = soon
			}
			first, err := record(t, store, useOf(i, i, forget))
			require.NoError(t, err)
			require.True(t, first)
		}
		_, err := record(t, store, useOf(1000, 1000, later))
		require.ErrorIs(t, err, ErrReplayFull, "full is refused: nothing is forgotten early")
		first, err := record(t, store, useOf(50, 50, later))
		require.NoError(t, err, "a replay is known as one even then")
		require.False(t, first)

		testkit.Sleep(10 * time.Second)
		for i := range 10 {
			first, err := record(t, store, useOf(2000+i, 2000+i, later))
			require.NoError(t, err)
			require.True(t, first)
		}
		_, err = record(t, store, useOf(3000, 3000, later))
		require.ErrorIs(t, err, ErrReplayFull)
	})
}

// One client can use three quarters of the store. The last quarter is reserved for
// clients that hold less than a quarter.
func TestMemoryReplayShares(t *testing.T) {
	t.Parallel()
	for capacity, most := range map[int]int{1: 1, 2: 1, 4: 3, 8: 6, 100: 75, 1000: 750, 1003: 753} {
		t.Run(strconv.Itoa(capacity), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := NewMemoryReplay(MemoryReplayConfig{Capacity: capacity})
				next := 0
				by := func(client byte) error {
					next++
					// Every proof has a key of its own: keys are free. They are forgotten in many
					// seconds: a share is of all of them.
					use := useOf(next, next, time.Now().Add(time.Duration(5+next%10)*time.Second))
					use.Client[0] = client
					first, err := record(t, store, use)
					require.Equal(t, err == nil, first)
					return err
				}
				for range most {
					require.NoError(t, by(1))
				}
				require.ErrorIs(t, by(1), ErrReplayFull)
				for range capacity - most {
					require.NoError(t, by(2), "others are not shut out")
				}
				require.ErrorIs(t, by(2), ErrReplayFull)
				require.ErrorIs(t, by(3), ErrReplayFull, "nothing is forgotten early")
				testkit.Sleep(30 * time.Second)
				require.NoError(t, by(1), "and all comes back with time")
			})
		})
	}
	require.Equal(t, 1<<20, NewMemoryReplay(MemoryReplayConfig{}).capacity)
	require.Equal(t, 1<<20, NewMemoryReplay(MemoryReplayConfig{Capacity: -1}).capacity)
	require.Equal(t, 128<<20, NewMemoryReplay(MemoryReplayConfig{}).capacity*replayBytesPerProof)
}

// If the client is not known, the share is the key's.
func TestMemoryReplaySharesOfKeys(t *testing.T) {
	t.Parallel()
	store := NewMemoryReplay(MemoryReplayConfig{Capacity: 8})
	for i := range 6 {
		_, err := record(t, store, useOf(i, 7, time.Now().Add(time.Minute)))
		require.NoError(t, err)
	}
	_, err := record(t, store, useOf(100, 7, time.Now().Add(time.Minute)))
	require.ErrorIs(t, err, ErrReplayFull)
	_, err = record(t, store, useOf(101, 8, time.Now().Add(time.Minute)))
	require.NoError(t, err)
}

// The verifier passes the client to the store, and distinguishes an outage from a bad
// proof.
func TestMemoryReplayIsFullToTheVerifier(t *testing.T) {
	t.Parallel()
	verifier := newVerifier(t, VerifierConfig{Replay: NewMemoryReplay(MemoryReplayConfig{Capacity: 4})})
	verify := func(client string) error {
		key := keyFor(t, "ES256")
		expected := expectedGET(key)
		expected.Client = client
		_, err := verifier.Verify(context.Background(), newDraft(t, key).sign(t), expected)
		return err
	}
	for range 3 {
		require.NoError(t, verify("busy"))
	}
	err := verify("busy")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, ErrReplayFull)
	require.NotErrorIs(t, err, ErrInvalidProof)
	require.NoError(t, verify("other"))
}

func TestMemoryReplayIsAtomic(t *testing.T) {
	t.Parallel()
	store := NewMemoryReplay(MemoryReplayConfig{})
	forget := time.Now().Add(time.Minute)
	var firsts atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for i := range 500 {
				if first, err := store.Record(context.Background(), useOf(i, i%50, forget)); err == nil && first {
					firsts.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 500, firsts.Load())
	require.Equal(t, 500, store.size)
}

// TestMemoryReplayBound does not run beside other tests, whose memory it would
// measure.
func TestMemoryReplayBound(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	// 28 673 proofs a second is one more than fill 32 768 slots to 7/8: maps of
	// that size have just grown.
	for _, n := range []int{1_000_000, 20 * 28_673} {
		before := heap()
		store := NewMemoryReplay(MemoryReplayConfig{Capacity: n})
		base := time.Now().Add(time.Hour) // none may expire meanwhile
		for i := range n {
			// The worst case: every proof is of a client of its own. A proof lives
			// for about 20 seconds, so that so many buckets exist.
			second := time.Duration(i * 20 / n)
			first, err := record(t, store, useOf(i, i, base.Add(second*time.Second)))
			if err != nil || !first {
				t.Fatalf("proof %d: %v %v", i, first, err)
			}
		}
		after := heap()
		require.LessOrEqual(t, int(after-before), store.capacity*replayBytesPerProof, "%d proofs", n)
		t.Logf("%d proofs: %d bytes each, %d allowed", n, int(after-before)/n, replayBytesPerProof*store.capacity/n)
		_, err := record(t, store, useOf(n+1, n+1, base))
		require.ErrorIs(t, err, ErrReplayFull)
		runtime.KeepAlive(store)
	}
}
