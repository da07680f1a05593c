package helseid

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/helseid/internal/holdoff"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
)

// memoryCache keeps tokens in this process: one entry for each distinct token
// request, up to its capacity.
type memoryCache struct {
	capacity int
	flights  singleflight.Group

	mu      sync.RWMutex
	entries map[cacheKey]*cacheEntry
}

// cacheEntry is the place of one token. It stays when the token is replaced, so that
// a prepared token source reads it without a lock.
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
	dropped   *Token    // which it did then
}

// forgets returns how often the entry has been emptied by Forget.
func (e *cacheEntry) forgets() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forgotten
}

// keep stores a token, unless Forget was called after it was asked for.
func (e *cacheEntry) keep(token *Token, forgets uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forgotten != forgets {
		return false
	}
	e.token.Store(token)
	return true
}

// touch notes that the entry is in use, at most once a second to avoid contention
// between busy goroutines.
func (e *cacheEntry) touch(now time.Time) {
	if seconds := now.Unix(); e.used.Load() != seconds {
		e.used.Store(seconds)
	}
}

// dropInterval limits how often an API's refusals can make the client fetch a new
// token: a token that is younger is not dropped.
const dropInterval = 30 * time.Second

func (e *cacheEntry) drop(sent *Token, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if sent.age(now) < dropInterval || now.Sub(e.droppedAt) < dropInterval || !e.token.CompareAndSwap(sent, nil) {
		return false
	}
	e.droppedAt, e.dropped = now, sent
	return true
}

// lastDropped returns the token that an API's refusal last removed, or nil.
func (e *cacheEntry) lastDropped() *Token {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
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

// evict removes the least recently used of a few entries. Ranging over a Go map
// starts at a random place, so these few are a random sample. The caller holds the
// lock.
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
			used = 0 // the clock has been set back: an unused entry must not stay until that time
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

// forget empties the entry of a key, if there is one, and discards a token that is
// being fetched for it.
func (c *memoryCache) forget(key cacheKey) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if entry, ok := c.entries[key]; ok {
		c.empty(key, entry)
	}
}

// forgetOwner does the same for all entries of a session and returns their keys.
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
