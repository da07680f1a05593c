package helseid

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// tokenCache holds one entry per distinct token request.
type tokenCache struct {
	mu      sync.Mutex
	entries map[cacheKey]*cacheEntry
	flights singleflight.Group
}

// cacheEntry is the place of one token. It outlives the tokens that pass
// through it, so a prepared token source reads it without any lock.
type cacheEntry struct {
	token   atomic.Pointer[Token]
	refused holdOff

	mu        sync.Mutex
	renewAt   time.Time // no background renewal before
	droppedAt time.Time // when an API's refusal last emptied it
}

func (c *tokenCache) entry(key cacheKey) *cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok {
		if c.entries == nil {
			c.entries = make(map[cacheKey]*cacheEntry)
		}
		entry = &cacheEntry{}
		c.entries[key] = entry
	}
	return entry
}
