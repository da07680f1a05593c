// Package holdoff keeps requests back that would be refused once more.
package holdoff

import (
	"sync"
	"time"
)

const (
	firstHoldOff = time.Second
	maxHoldOff   = 30 * time.Second
)

// HoldOff keeps the client from asking HelseID the same thing again and again
// when the answer is a firm no. One refusal has no effect, since it may have
// been cured at once; from the second in a row on, the last answer stands for a
// time that doubles from one second to thirty.
type HoldOff struct {
	mu       sync.Mutex
	refusals int
	counted  time.Time // when the last refusal was counted
	until    time.Time
	err      error
}

// Check returns the refusal that still stands.
func (h *HoldOff) Check(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) {
		return h.err
	}
	return nil
}

// Last returns the refusal that came last, whether it still stands or not, or nil
// if there was a success since.
func (h *HoldOff) Last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Observe takes note of the outcome of a request that was started at the given
// time. Requests that were under way together count as one.
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
