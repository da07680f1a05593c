package tokenvalidation

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// memoryShards keeps callers from waiting for each other: each shard has a
	// lock of its own, which a look-up takes for reading only.
	memoryShards = 16

	// memorySample is how many tokens are looked at to find one that has not
	// been used for long.
	memorySample = 8

	// sweepInterval is how often a shard looks for tokens that have expired, in
	// seconds.
	sweepInterval = 30

	// rememberedOverhead is what a token takes beyond what it says, in bytes:
	// its place in a map that has just grown, and the heap's rounding.
	rememberedOverhead = 512
)

// tokenHash stands for a token, so that none is kept.
type tokenHash [sha256.Size]byte

// memory remembers the tokens that have been validated, so that the signature
// of each is verified once. HelseID signs with RSA-3072, which costs more to
// verify than all the rest of a request. A refusal is never remembered.
type memory struct {
	limit  int // bytes of one shard
	shards [memoryShards]memoryShard
}

type memoryShard struct {
	mu     sync.RWMutex
	tokens map[tokenHash]*remembered
	bytes  int
	swept  int64 // Unix seconds
}

// remembered is a token that every rule has let through. What can change since
// is checked at each use: the time, and the issuer's keys.
type remembered struct {
	claims     *Claims // never handed out, only copies are
	times      validity
	generation uint64 // of the issuer's keys
	bytes      int
	used       atomic.Int64 // Unix seconds
}

// newMemory makes one that takes so many bytes at most.
func newMemory(limit int) *memory {
	m := &memory{limit: limit / memoryShards}
	m.clear()
	return m
}

func (m *memory) shard(hash tokenHash) *memoryShard { return &m.shards[hash[0]%memoryShards] }

// recall returns a token's claims if it was validated with this generation of
// keys, and the time allows it still.
func (m *memory) recall(hash tokenHash, generation uint64, now, leeway int64) (*Claims, bool) {
	shard := m.shard(hash)
	shard.mu.RLock()
	token := shard.tokens[hash]
	shard.mu.RUnlock()
	if token == nil || generation == 0 || token.generation != generation || token.times.expired(now, leeway) || token.times.early(now, leeway) {
		return nil, false
	}
	if token.used.Load() != now {
		token.used.Store(now)
	}
	return token.claims.clone(), true
}

// remember keeps a copy of the claims. Those that have not been used for the
// longest time make room, as far as a sample can tell.
func (m *memory) remember(hash tokenHash, length int, verified verified, claims *Claims, now, leeway int64) {
	token := &remembered{claims: claims.clone(), times: verified.times, generation: verified.generation}
	token.bytes = token.claims.footprint(length) + int(unsafe.Sizeof(*token)) + rememberedOverhead
	token.used.Store(now)
	if token.bytes > m.limit {
		return
	}
	shard := m.shard(hash)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.forget(hash)
	if now-shard.swept >= sweepInterval || now < shard.swept {
		shard.swept = now
		shard.sweep(verified.generation, now, leeway)
	}
	for shard.bytes+token.bytes > m.limit && len(shard.tokens) > 0 {
		shard.forget(shard.leastUsed())
	}
	shard.tokens[hash] = token
	shard.bytes += token.bytes
}

// clear forgets everything.
func (m *memory) clear() {
	for i := range m.shards {
		shard := &m.shards[i]
		shard.mu.Lock()
		shard.tokens, shard.bytes = make(map[tokenHash]*remembered), 0
		shard.mu.Unlock()
	}
}

func (s *memoryShard) forget(hash tokenHash) {
	if token := s.tokens[hash]; token != nil {
		s.bytes -= token.bytes
		delete(s.tokens, hash)
	}
}

// sweep forgets what can never be recalled, since it holds personal data.
func (s *memoryShard) sweep(generation uint64, now, leeway int64) {
	for hash, token := range s.tokens {
		if token.generation != generation || token.times.expired(now, leeway) {
			s.forget(hash)
		}
	}
}

// leastUsed picks from a sample: a map is walked from a random place.
func (s *memoryShard) leastUsed() (found tokenHash) {
	oldest, seen := int64(maxTime), 0
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
