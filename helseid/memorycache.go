package helseid

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/helseid/internal/holdoff"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
)

// memoryCache keeps tokens in this process: one entry per distinct token request, up to its capacity.
type memoryCache struct {
	capacity int
	flights  singleflight.Group

	mu      sync.RWMutex
	entries map[cacheKey]*cacheEntry
}

// cacheEntry is the place of one token. It outlives the tokens that pass
// through it, so a prepared token source reads it without any lock.
type cacheEntry struct {
	token   atomic.Pointer[Token]
	used    atomic.Int64 // Unix seconds
	evicted atomic.Bool  // no longer in the cache: look the key up again
	owner   string       // the session that the token belongs to, or ""
	refused holdoff.HoldOff
	flight  atomic.Pointer[lifecycle.Flight] // the last one

	mu        sync.Mutex
	forgotten uint64    // how often Forget has emptied it
	renewAt   time.Time // no background renewal before
	droppedAt time.Time // when an API's refusal last emptied it
}

// forgets is how often the entry has been emptied by Forget.
func (e *cacheEntry) forgets() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forgotten
}

// keep stores a token, unless it was asked for before the last Forget.
func (e *cacheEntry) keep(token *Token, forgets uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forgotten != forgets {
		return false
	}
	e.token.Store(token)
	return true
}

// touch notes that the entry is in use, at most once a second so that busy
// goroutines do not fight over it.
func (e *cacheEntry) touch(now time.Time) {
	if seconds := now.Unix(); e.used.Load() != seconds {
		e.used.Store(seconds)
	}
}

// dropInterval bounds how often the refusals of an API can make the client
// fetch a new token, and protects a token that is younger.
const dropInterval = 30 * time.Second

func (e *cacheEntry) drop(sent *Token, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if sent.age(now) < dropInterval || now.Sub(e.droppedAt) < dropInterval || !e.token.CompareAndSwap(sent, nil) {
		return false
	}
	e.droppedAt = now
	return true
}

func (c *memoryCache) entry(request *preparedRequest) *cacheEntry {
	key := request.key
	c.mu.RLock()
	entry, ok := c.entries[key]
	c.mu.RUnlock()
	if ok {
		return entry
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.entries[key]; ok {
		return entry
	}
	if c.entries == nil {
		c.entries = make(map[cacheKey]*cacheEntry)
	}
	if len(c.entries) >= c.capacity {
		c.evict()
	}
	entry = &cacheEntry{owner: request.owner}
	entry.touch(time.Now())
	c.entries[key] = entry
	return entry
}

// evict forgets the least recently used of a few entries. Go's maps start to
// range at a random place, which makes the few a sample. The lock is held.
func (c *memoryCache) evict() {
	const sample = 16
	var (
		oldestKey cacheKey
		oldest    *cacheEntry
		lastUse   int64
		seen      int
	)
	now := time.Now().Unix()
	for key, entry := range c.entries {
		used := entry.used.Load()
		if used > now {
			used = 0 // the clock has been set back, and an unused entry must not stay until then
		}
		if oldest == nil || used < lastUse {
			oldestKey, oldest, lastUse = key, entry, used
		}
		if seen++; seen == sample {
			break
		}
	}
	oldest.evicted.Store(true)
	delete(c.entries, oldestKey)
}

// forget empties the entry of a key, if there is one, also of a token that is on
// its way.
func (c *memoryCache) forget(key cacheKey) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if entry, ok := c.entries[key]; ok {
		c.empty(key, entry)
	}
}

// forgetOwner does the same for all entries of a session, and returns their keys.
func (c *memoryCache) forgetOwner(owner string) []cacheKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var keys []cacheKey
	for key, entry := range c.entries {
		if entry.owner == owner {
			c.empty(key, entry)
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *memoryCache) empty(key cacheKey, entry *cacheEntry) {
	entry.mu.Lock()
	defer entry.mu.Unlock()
	entry.forgotten++
	entry.token.Store(nil)
	c.flights.Forget(string(key[:]))
}
