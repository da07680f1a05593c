package helseid

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// tokenCache holds one entry per distinct token request, up to its capacity.
type tokenCache struct {
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
	refused holdOff

	mu        sync.Mutex
	renewAt   time.Time // no background renewal before
	droppedAt time.Time // when an API's refusal last emptied it
}

// touch notes that the entry is in use, at most once a second so that busy
// goroutines do not fight over it.
func (e *cacheEntry) touch(now time.Time) {
	if seconds := now.Unix(); e.used.Load() != seconds {
		e.used.Store(seconds)
	}
}

func (c *tokenCache) entry(key cacheKey) *cacheEntry {
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
	entry = &cacheEntry{}
	entry.touch(time.Now())
	c.entries[key] = entry
	return entry
}

// evict forgets the least recently used of a few entries. Go's maps start to
// range at a random place, which makes the few a sample. The lock is held.
func (c *tokenCache) evict() {
	const sample = 16
	var (
		oldestKey cacheKey
		oldest    *cacheEntry
		seen      int
	)
	for key, entry := range c.entries {
		if oldest == nil || entry.used.Load() < oldest.used.Load() {
			oldestKey, oldest = key, entry
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(c.entries, oldestKey)
}

// forget empties the entry of a key, if there is one.
func (c *tokenCache) forget(key cacheKey) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if entry, ok := c.entries[key]; ok {
		entry.token.Store(nil)
	}
}
