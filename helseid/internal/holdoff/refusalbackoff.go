// Package holdoff holds back requests that would be refused again.
package holdoff

import (
	"sync"
	"time"
)

const (
	firstHoldOff = time.Second
	maxHoldOff   = 30 * time.Second
)

// HoldOff keeps the client from repeating a request that HelseID has firmly refused.
// One refusal has no effect, since its cause may have been corrected at once. From
// the second refusal in a row on, the last one is returned without asking, for a time
// that doubles from one second to thirty.
type HoldOff struct {
	mu       sync.Mutex
	refusals int
	counted  time.Time // when the last refusal was counted
	until    time.Time
	err      error
}

// Check returns the refusal that is in force, or nil.
func (h *HoldOff) Check(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) {
		return h.err
	}
	return nil
}

// Last returns the last refusal, in force or not, or nil if there has been a success
// since.
func (h *HoldOff) Last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Observe records the outcome of a request that was started at the given time.
// Requests that were under way at the same time count as one.
func (h *HoldOff) Observe(started, now time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.refusals, h.counted, h.until, h.err = 0, time.Time{}, time.Time{}, nil
		return
	}
	h.err = err
	if started.Before(h.counted) {
		return
	}
	h.counted = now
	if h.refusals++; h.refusals >= 2 {
		h.until = now.Add(min(firstHoldOff<<min(h.refusals-2, 10), maxHoldOff))
	}
}
