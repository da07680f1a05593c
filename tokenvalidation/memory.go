package tokenvalidation

import (
	"crypto/sha256"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/helseid-go/sdk/internal/verification"
)

const (
	// memoryShards keeps callers from waiting for each other: each shard has a
	// lock of its own, which a look-up takes for reading only.
	memoryShards = 16

	// memorySample is how many tokens are looked at to find one that has not
	// been used for long.
	memorySample = 8

	// sweepInterval is how often tokens that have expired are looked for, as long as
	// any are remembered.
	sweepInterval = 30 * time.Second

	// rememberedOverhead is what a token takes beyond what it says, in bytes:
	// its place in a map that has just grown, and the heap's rounding.
	rememberedOverhead = 512
)

// tokenHash identifies a token without keeping it.
type tokenHash [sha256.Size]byte

// memory remembers the tokens that have been validated, so that the signature
// of each is verified once. HelseID signs with RSA-3072, which costs more to
// verify than all the rest of a request. A refusal is never remembered.
//
// Claims are personal data: those of an expired token are removed soon after, also if
// no other token arrives.
type memory struct {
	limit   int            // bytes of one shard
	present func() present // for the sweep
	shards  [memoryShards]memoryShard

	mu     sync.Mutex
	closed bool
	sweep  *time.Timer // nil while nothing is remembered
}

// present is what decides whether a remembered token can be of use.
type present struct {
	generation uint64 // of the issuer's keys
	now        int64  // Unix seconds
	leeway     int64
}

type memoryShard struct {
	mu     sync.RWMutex
	tokens map[tokenHash]*remembered
	bytes  int
	closed bool
}

// remembered is a token that passed every rule. What can have changed since then is
// checked at each use: the time, and the issuer's keys.
type remembered struct {
	claims     *Claims // never handed out, only copies are
	validity   verification.Validity
	generation uint64 // of the issuer's keys
	bytes      int
	used       atomic.Int64 // Unix seconds
}

// newMemory makes one that takes so many bytes at most.
func newMemory(limit int, present func() present) *memory {
	m := &memory{limit: limit / memoryShards, present: present}
	for i := range m.shards {
		m.shards[i].tokens = make(map[tokenHash]*remembered)
	}
	return m
}

func (m *memory) shard(hash tokenHash) *memoryShard { return &m.shards[hash[0]%memoryShards] }

// recall returns a token's claims if it was validated with this generation of
// keys, and the time allows it still.
func (m *memory) recall(hash tokenHash, at present) (*Claims, bool) {
	shard := m.shard(hash)
	shard.mu.RLock()
	token := shard.tokens[hash]
	shard.mu.RUnlock()
	if token == nil || at.generation == 0 || token.generation != at.generation ||
		token.validity.Expired(at.now, at.leeway) || token.validity.Early(at.now, at.leeway) {
		return nil, false
	}
	if token.used.Load() != at.now {
		token.used.Store(at.now)
	}
	return token.claims.clone(), true
}

// remember keeps a copy of the claims. To make room, it removes the token of a sample
// that has not been used for the longest time.
func (m *memory) remember(hash tokenHash, length int, verified verification.Token, claims *Claims, at present) {
	token := &remembered{claims: claims.clone(), validity: verified.Validity, generation: verified.Generation}
	token.bytes = token.claims.footprint(length) + int(unsafe.Sizeof(*token)) + rememberedOverhead
	token.used.Store(at.now)
	if token.bytes > m.limit {
		return
	}
	if m.shard(hash).keep(hash, token, m.limit) {
		m.scheduleSweep()
	}
}

// scheduleSweep schedules a sweep unless one is scheduled.
func (m *memory) scheduleSweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sweep == nil && !m.closed {
		m.sweep = time.AfterFunc(sweepInterval, m.sweepAll)
	}
}

// sweepAll removes what can never be recalled, and schedules the next sweep if
// anything is left. Tokens that are added during the sweep schedule one themselves.
func (m *memory) sweepAll() {
	m.mu.Lock()
	m.sweep = nil
	m.mu.Unlock()
	at, left := m.present(), 0
	for i := range m.shards {
		left += m.shards[i].sweep(at)
	}
	if left > 0 {
		m.scheduleSweep()
	}
}

// close removes everything, and nothing is kept afterwards.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.sweep != nil {
		m.sweep.Stop()
	}
	for i := range m.shards {
		shard := &m.shards[i]
		shard.mu.Lock()
		shard.tokens, shard.bytes, shard.closed = nil, 0, true
		shard.mu.Unlock()
	}
}

// keep reports whether it has kept the token, which it does not once it is closed.
func (s *memoryShard) keep(hash tokenHash, token *remembered, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.forget(hash)
	for s.bytes+token.bytes > limit && len(s.tokens) > 0 {
		s.forget(s.leastUsed())
	}
	s.tokens[hash] = token
	s.bytes += token.bytes
	return true
}

func (s *memoryShard) forget(hash tokenHash) {
	if token := s.tokens[hash]; token != nil {
		s.bytes -= token.bytes
		delete(s.tokens, hash)
	}
}

// sweep removes what can never be recalled, and returns how many tokens are left. A
// map never shrinks, so an empty one is replaced.
func (s *memoryShard) sweep(at present) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, token := range s.tokens {
		if token.generation != at.generation || token.validity.Expired(at.now, at.leeway) {
			s.forget(hash)
		}
	}
	if len(s.tokens) == 0 && !s.closed {
		s.tokens = make(map[tokenHash]*remembered)
	}
	return len(s.tokens)
}

// leastUsed picks from a sample: iteration over a map starts at a random place.
func (s *memoryShard) leastUsed() (found tokenHash) {
	oldest, seen := int64(math.MaxInt64), 0
	for hash, token := range s.tokens {
		if used := token.used.Load(); used <= oldest {
			found, oldest = hash, used
		}
		if seen++; seen == memorySample {
			break
		}
	}
	return found
}
