package dpop

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Use is one use of a proof.
type Use struct {
	// Proof is the key of the record: a hash of the thumbprint of the key that has
	// signed the proof, and its jti.
	Proof [sha256.Size]byte

	// Thumbprint is a hash of the thumbprint alone.
	Thumbprint [sha256.Size]byte

	// Client identifies whose share of a store that is nearly full the proof takes: a
	// client can make as many keys as it likes. Zero means the key's.
	Client [sha256.Size]byte

	// Expiry is when the record can be removed: the proof has become too old to be
	// accepted anyway.
	Expiry time.Time

	// NotBefore is when the proof can have been accepted for the first time, at
	// the earliest, by this process or another with the same MaxFuture whose clock
	// differs by no more than ReplicaSkew. A store that has lost what it remembered
	// since cannot tell whether the proof has been used.
	NotBefore time.Time

	// IssuedAt is the proof's iat, in whole seconds by the clock of this process. A
	// store in memory refuses what was made before it: see MemoryReplay. Zero means
	// that this does not matter.
	IssuedAt time.Time
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
	// from a client of its own, in maps that have just grown.
	replayBytesPerProof = 128
)

// ErrReplayFull means that the store holds as many proofs as it may, or as many
// of one client as it may while others need the room.
var ErrReplayFull = outage("the replay store is full")

// ErrBeforeStart means that the proof was made before the store, which has forgotten
// what its predecessor remembered: the proof may have been used.
var ErrBeforeStart = words("the proof is older than the replay store")

// MemoryReplay is a ReplayStore in memory, for a single process. It holds a
// fixed number of proofs and never forgets one early: when it is full it
// refuses. The last quarter of it is for clients that hold less than a quarter of it,
// so that one busy client, or one with many keys, does not shut the others out. It is
// safe for concurrent use.
//
// What a process knew about used proofs ends with it. So a store refuses a proof that
// was made in a second before its own first one: it may have been used before a crash
// or a deployment. It concerns requests that were on their way then, and for as many
// seconds as its clock is behind a client with such a clock; a new proof is accepted.
// Not seen through is a proof from the second of the start, or from a client whose clock
// is ahead, that was used before. VerifierConfig.AcceptProofsFromBeforeStart
// switches it off.
type MemoryReplay struct {
	capacity int
	quota    int
	started  time.Time

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
	shares map[replayID]int32 // proofs of each client
}

// NewMemoryReplay makes a store for so many proofs that are remembered at the
// same time: each for the verifier's MaxAge and two seconds after its date, so
// about 12 seconds by default. One client can take three quarters of them. Memory is
// taken as needed, 128 bytes for each proof at most. Zero or less means 1 048 576
// proofs, so 128 MiB at most.
func NewMemoryReplay(capacity int) *MemoryReplay {
	if capacity <= 0 {
		capacity = defaultReplayCapacity
	}
	return &MemoryReplay{
		capacity: capacity,
		quota:    max(1, capacity/4),
		started:  time.Now(),
		buckets:  make(map[int64]*replayBucket),
	}
}

// MaxBytes is the memory that the store takes at most.
func (m *MemoryReplay) MaxBytes() int { return m.capacity * replayBytesPerProof }

// Record implements ReplayStore. Its error is ErrReplayFull or ErrBeforeStart.
func (m *MemoryReplay) Record(_ context.Context, use Use) (bool, error) {
	proof, client := replayID(use.Proof[:16]), replayID(use.Client[:16])
	if client == (replayID{}) {
		client = replayID(use.Thumbprint[:16])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.isFromBefore(use.IssuedAt, now) {
		return false, ErrBeforeStart
	}
	m.purge(now.Unix(), now)

	held := 0
	for _, bucket := range m.buckets {
		if _, seen := bucket.proofs[proof]; seen {
			return false, nil
		}
		held += int(bucket.shares[client])
	}
	room := m.capacity
	if held >= m.quota {
		room -= m.quota // the rest is for others
	}
	if m.size >= room {
		return false, ErrReplayFull
	}
	forget := use.Expiry.Unix()
	bucket, ok := m.buckets[forget]
	if !ok {
		bucket = &replayBucket{proofs: make(map[replayID]struct{}), shares: make(map[replayID]int32)}
		m.buckets[forget] = bucket
	}
	if end := now.Add(use.Expiry.Round(0).Sub(now.Round(0))); end.After(bucket.end) {
		bucket.end = end
	}
	bucket.proofs[proof] = struct{}{}
	bucket.shares[client]++
	m.size++
	return true, nil
}

// isFromBefore compares with when the store was made, as the clock shows it that has
// perhaps been set since.
func (m *MemoryReplay) isFromBefore(issued, now time.Time) bool {
	started := now.Round(0).Add(-now.Sub(m.started))
	return !issued.IsZero() && issued.Unix() < started.Unix()
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
