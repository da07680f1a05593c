package dpop

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Use is one use of a proof.
type Use struct {
	// Proof identifies the proof: a hash of the thumbprint of its key and of its jti.
	Proof [sha256.Size]byte

	// Thumbprint is a hash of the thumbprint only.
	Thumbprint [sha256.Size]byte

	// Client identifies the client whose share of the store the proof uses when the
	// store is nearly full. It is not the key, since a client can make any number of
	// keys. Zero means Thumbprint.
	Client [sha256.Size]byte

	// Expiry is the time from which the proof is too old to be accepted, so that the
	// record can be deleted.
	Expiry time.Time

	// NotBefore is the earliest time at which the proof can have been accepted, by this
	// process or by another one with the same MaxFuture whose clock differs by at most
	// ReplicaSkew. A store that has lost records since then cannot tell whether the
	// proof has been used.
	NotBefore time.Time

	// IssuedAt is the proof's iat, in whole seconds by the clock of this process. A
	// store in memory refuses proofs that were issued before it was made: see
	// [MemoryReplay]. Zero disables this check.
	IssuedAt time.Time
}

// ReplayStore remembers used proofs. Implement it to share them between processes. In
// Redis it is a single command, SET with NX and PX, as in package redisstore.
type ReplayStore interface {
	// Record looks up and records the use in one atomic step: of any number of concurrent
	// calls with the same Proof, exactly one returns true. An error means that the
	// store cannot tell or is full.
	Record(ctx context.Context, use Use) (first bool, err error)
}

const (
	defaultReplayCapacity = 1 << 20

	// replayBytesPerProof is the memory for a proof in the worst case: every proof is
	// from a different client, and the maps have just grown.
	replayBytesPerProof = 128
)

// ErrReplayFull means that the store holds the maximum number of proofs, or the maximum
// for one client while the rest is reserved for other clients.
var ErrReplayFull = outage("the replay store is full")

// ErrBeforeStart means that the proof was made before the store. It may have been used
// with an earlier store, whose records are lost.
var ErrBeforeStart = words("the proof is older than the replay store")

// MemoryReplay is a [ReplayStore] in memory, for a single process. It holds a fixed
// number of proofs and never deletes one before its expiry: when it is full, it refuses
// new ones. The last quarter of it is reserved for clients that hold less than a
// quarter of it, so that one busy client, or one with many keys, does not lock out the
// others. It is safe for concurrent use.
//
// The records are lost when the process ends. So a store refuses a proof whose iat lies
// before the second in which the store was made, since the proof may have been used
// before a crash or a deployment. This affects requests that were in flight at the
// restart, and new requests for as many seconds as a client's clock is behind; the
// client succeeds with a new proof once its clock has passed the start.
//
// The store cannot detect the reuse of a proof that was used before the restart if its
// iat is not earlier than the second of the start: because it was made in that second,
// which a program can avoid by waiting for the next second before it makes the store,
// or because the client's clock is ahead. AcceptProofsFromBeforeStart of
// [VerifierConfig] disables the refusal.
type MemoryReplay struct {
	capacity int
	quota    int
	started  time.Time

	mu      sync.Mutex
	size    int
	purged  int64                   // the second of the last purge
	buckets map[int64]*replayBucket // by the second of Use.Expiry
}

// replayID is a hash truncated to 128 bits, which is enough against collisions.
type replayID [16]byte

// replayBucket holds the proofs that expire in the same second, so that they can be
// deleted together. It is deleted when both clocks agree that it has expired: the wall
// clock may jump ahead and be set back, and the proofs would be valid again.
type replayBucket struct {
	end    time.Time // by this process's own clock
	proofs map[replayID]struct{}
	shares map[replayID]int32 // proofs of each client
}

// MemoryReplayConfig configures a [MemoryReplay].
type MemoryReplayConfig struct {
	// Capacity is how many proofs the store holds at the same time. Each is remembered
	// until the verifier's MaxAge and two seconds after its iat, so for about 12 seconds
	// by default. One client can use three quarters of the capacity. Memory is allocated
	// as needed, at most 128 bytes for each proof. Zero or less means 1 048 576 proofs,
	// so at most 128 MiB.
	Capacity int
}

// NewMemoryReplay makes an empty store.
func NewMemoryReplay(config MemoryReplayConfig) *MemoryReplay {
	capacity := config.Capacity
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

// Record implements [ReplayStore]. Its error is [ErrReplayFull] or [ErrBeforeStart].
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
		room -= m.quota // the rest is reserved for other clients
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

// isFromBefore reports whether the proof was issued before the store was made, by the
// current wall clock, which may have been set since.
func (m *MemoryReplay) isFromBefore(issued, now time.Time) bool {
	started := now.Round(0).Add(-now.Sub(m.started))
	return !issued.IsZero() && issued.Unix() < started.Unix()
}

// purge deletes expired buckets, once a second. Its arguments are the time by both
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
