package redisstore

import (
	"sync"
	"time"
)

const (
	// breakerLimit is how many uses in a row may go without an answer before
	// Redis is left alone.
	breakerLimit = 5

	// breakerPause is for how long.
	breakerPause = time.Second
)

// outcome is how a use of Redis ended.
type outcome int

const (
	unknown    outcome = iota // the caller gave up
	answered                  // Redis answered, whatever it said
	unanswered                // it did not
)

// breaker spares callers the wait for a Redis that is dead. The zero value is
// closed: it lets everybody through.
type breaker struct {
	onChange func(alive bool)

	mu       sync.Mutex
	failures int // in a row
	retryAt  time.Time
	probing  bool // somebody is finding out whether Redis is back
}

// begin asks whether to use Redis. Whoever is let through must call the function
// with the outcome.
func (b *breaker) begin() (end func(outcome), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakerLimit {
		return func(result outcome) { b.end(result, false) }, true
	}
	if b.probing || time.Now().Before(b.retryAt) {
		return nil, false
	}
	b.probing = true
	return func(result outcome) { b.end(result, true) }, true
}

func (b *breaker) end(result outcome, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch result {
	case answered:
		if b.failures >= breakerLimit {
			b.onChange(true)
		}
		b.failures = 0
	case unanswered:
		b.failures++
		if b.failures == breakerLimit {
			b.onChange(false)
		}
		b.retryAt = time.Now().Add(breakerPause)
	}
}
