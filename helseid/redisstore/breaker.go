package redisstore

import (
	"sync"
	"time"
)

const (
	// breakerLimit is how many uses, one after the other, may go without an answer
	// before Redis is left alone. It must have been silent for as long as any use
	// waits, too: until then, one that waits longer than those may still be answered.
	breakerLimit = 5

	// breakerPause is for how long.
	breakerPause = time.Second
)

// outcome is how a use of Redis ended.
type outcome int

const (
	unknown     outcome = iota // the caller gave up
	answered                   // Redis answered, whatever it said
	unanswered                 // it did not, in time
	unreachable                // nothing is there that could
)

// breaker spares callers the wait for a Redis that is dead. The zero value is
// closed: it lets everybody through.
type breaker struct {
	longest  time.Duration // that any use waits
	onChange func(alive bool)

	mu       sync.Mutex
	open     bool
	failures int       // in a row
	silent   time.Time // since when: the first of them began
	failedAt time.Time // the last of them
	retryAt  time.Time
	probing  bool // somebody is finding out whether Redis is back
}

// begin asks whether to use Redis. Whoever is let through must call the function
// with the outcome.
func (b *breaker) begin() (end func(outcome), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	if !b.open {
		return func(result outcome) { b.end(result, began, false) }, true
	}
	if b.probing || began.Before(b.retryAt) {
		return nil, false
	}
	b.probing = true
	return func(result outcome) { b.end(result, began, true) }, true
}

func (b *breaker) end(result outcome, began time.Time, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch result {
	case answered:
		if b.open {
			b.onChange(true)
		}
		b.open, b.failures = false, 0
	case unanswered, unreachable:
		if began.Before(b.failedAt) {
			return // of those that waited at the same time one counts: it was one silence
		}
		if b.failures == 0 {
			b.silent = began
		}
		b.failures++
		b.failedAt = time.Now()
		b.retryAt = b.failedAt.Add(breakerPause)
		long := result == unreachable || b.failedAt.Sub(b.silent) >= b.longest
		if !b.open && b.failures >= breakerLimit && long {
			b.open = true
			b.onChange(false)
		}
	}
}
