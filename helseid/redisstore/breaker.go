package redisstore

import (
	"sync"
	"time"
)

const (
	// breakerLimit is how many uses in a row may go without an answer before Redis is
	// left alone. It must also have been silent for the longest time limit of any
	// use: until then, a use with that limit may still be answered.
	breakerLimit = 5

	// breakerPause is how long Redis is then left alone.
	breakerPause = time.Second
)

// outcome is how a use of Redis ended.
type outcome int

const (
	unknown     outcome = iota // the caller gave up
	answered                   // Redis answered, whatever it said
	unanswered                 // Redis did not answer in time
	unreachable                // there was no connection
)

// breaker spares callers the wait for a dead Redis. The zero value is closed: it lets
// every use through.
type breaker struct {
	longest  time.Duration // the longest time limit of any use
	onChange func(alive bool)

	mu       sync.Mutex
	open     bool
	failures int       // in a row
	silent   time.Time // when the first of these failures began
	failedAt time.Time // when the last of them ended
	retryAt  time.Time
	probing  bool // a use is finding out whether Redis is back
}

// begin reports whether to use Redis. If so, the caller must call the function with
// the outcome.
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
			return // failures of uses that waited at the same time count once
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
