package dpop

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

// Use is one use of a proof.
type Use struct {
	// Proof is the key of the record: a hash of the thumbprint of the key that has
	// signed the proof, and its jti.
	Proof [sha256.Size]byte

	// Thumbprint is a hash of the thumbprint alone.
	Thumbprint [sha256.Size]byte

	// Expiry is when the record can be removed: the proof has become too old to be
	// accepted anyway.
	Expiry time.Time

	// NotBefore is when the proof can have been accepted for the first time, at
	// the earliest, by this process or another with the same MaxFuture whose clock
	// differs by no more than ReplicaSkew. A store that has lost what it remembered
	// since cannot tell whether the proof has been used.
	NotBefore time.Time
}

// ReplayStore remembers used proofs. Implement it to share them between
// processes, on whatever they have in common: in Redis it is one command, SET
// with NX and PX, as in package redisstore.
type ReplayStore interface {
	// Record looks the use up and records it, in one atomic step: of any number
	// of calls at once with the same Proof, exactly one returns true. An error
	// means that the store cannot tell or cannot take more.
	Record(ctx context.Context, use Use) (first bool, err error)
}

const (
	defaultReplayCapacity = 1 << 20

	// replayBytesPerProof is what a proof takes in memory at worst: every proof
	// from a key of its own, in maps that have just grown.
	replayBytesPerProof = 128
)

// ErrReplayFull means that the store holds as many proofs as it may, or as many
// of one key as it may.
var ErrReplayFull = redact.Words("the replay store is full")

// MemoryReplay is a ReplayStore in memory, for a single process. It holds a
// fixed number of proofs and never forgets one early: when it is full it
// refuses. No key may hold more than a quarter of it, so that one busy client
// does not shut the others out. It is safe for concurrent use.
type MemoryReplay struct {
	capacity int
	quota    int

	mu      sync.Mutex
	size    int
	purged  int64                   // the second of the last purge
	buckets map[int64]*replayBucket // by the second of Use.Expiry
}

// replayID is a hash cut to 128 bits, which is plenty against collisions.
type replayID [16]byte

// replayBucket holds the proofs that are forgotten in the same second, so that
// forgetting is dropping it whole. It is forgotten when both clocks say so: the wall
// clock may leap ahead and be set back, and the proofs be young again.
type replayBucket struct {
	end    time.Time // by this process's own clock
	proofs map[replayID]struct{}
	keys   map[replayID]int32 // proofs of each key
}

// NewMemoryReplay makes a store for so many proofs that are remembered at the
// same time: each for the verifier's MaxAge and two seconds after its date, so
// about 12 seconds by default. One key can take a quarter of them. Memory is taken
// as needed, 128 bytes for each proof at most. Zero or less means 1 048 576
// proofs, so 128 MiB at most.
func NewMemoryReplay(capacity int) *MemoryReplay {
	if capacity <= 0 {
		capacity = defaultReplayCapacity
	}
	return &MemoryReplay{
		capacity: capacity,
		quota:    max(1, capacity/4),
		buckets:  make(map[int64]*replayBucket),
	}
}

// MaxBytes is the memory that the store takes at most.
func (m *MemoryReplay) MaxBytes() int { return m.capacity * replayBytesPerProof }

// Record implements ReplayStore. Its error is ErrReplayFull.
func (m *MemoryReplay) Record(_ context.Context, use Use) (bool, error) {
	proof, key := replayID(use.Proof[:16]), replayID(use.Thumbprint[:16])
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.purge(now.Unix(), now)

	held := 0
	for _, bucket := range m.buckets {
		if _, seen := bucket.proofs[proof]; seen {
			return false, nil
		}
		held += int(bucket.keys[key])
	}
	if m.size >= m.capacity || held >= m.quota {
		return false, ErrReplayFull
	}
	forget := use.Expiry.Unix()
	bucket, ok := m.buckets[forget]
	if !ok {
		bucket = &replayBucket{proofs: make(map[replayID]struct{}), keys: make(map[replayID]int32)}
		m.buckets[forget] = bucket
	}
	if end := now.Add(use.Expiry.Round(0).Sub(now.Round(0))); end.After(bucket.end) {
		bucket.end = end
	}
	bucket.proofs[proof] = struct{}{}
	bucket.keys[key]++
	m.size++
	return true, nil
}

// purge drops the buckets of the past, once a second. It is told the time by both
// clocks.
func (m *MemoryReplay) purge(second int64, own time.Time) {
	if second == m.purged {
		return
	}
	m.purged = second
	for forget, bucket := range m.buckets {
		if forget < second && bucket.end.Before(own) {
			m.size -= len(bucket.proofs)
			delete(m.buckets, forget)
		}
	}
}
