package helseid

import (
	"errors"
	"sync"
	"time"
)

const (
	firstHoldOff = time.Second
	maxHoldOff   = 30 * time.Second
)

// holdOff keeps the client from asking HelseID the same thing again and again
// when the answer is a firm no. One refusal has no effect, since it may have
// been cured at once; from the second in a row on, the last answer stands for a
// time that doubles from one second to thirty.
type holdOff struct {
	mu       sync.Mutex
	refusals int
	counted  time.Time // when the last refusal was counted
	until    time.Time
	err      error
}

// check returns the refusal that still stands.
func (h *holdOff) check(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) {
		return h.err
	}
	return nil
}

// last returns the refusal that came last, whether it still stands or not, or nil
// if there was a success since.
func (h *holdOff) last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// observe takes note of the outcome of a request that was started at the given
// time. Requests that were under way together count as one.
func (h *holdOff) observe(started, now time.Time, err error) {
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

// isRefusal reports that a request made again will fail again; whole tells that
// this goes for every request of the client, not just for the same one.
func isRefusal(err error) (refusal, whole bool) {
	var answer *TokenError
	if !errors.As(err, &answer) || temporaryStatus(answer.StatusCode) || answer.Code == "use_dpop_nonce" {
		return false, false
	}
	return true, answer.Code == "invalid_client" || answer.Code == "unauthorized_client"
}

// isInvalidClient reports that HelseID does not know the client, whatever it
// asks for; unauthorized_client may go for one grant type only.
func isInvalidClient(err error) bool {
	var answer *TokenError
	return errors.As(err, &answer) && answer.Code == "invalid_client" && !temporaryStatus(answer.StatusCode)
}

// standing is how HelseID regards the client as a whole.
type standing struct{ holdOff }

// refusal is the refusal that stands against the client as a whole. That it may
// not use a grant type goes for the systems that were told so, and not for logins
// and sessions.
func (s *standing) refusal(now time.Time, system bool) error {
	err := s.check(now)
	if !system && !isInvalidClient(err) {
		return nil
	}
	return err
}

// accepted notes that HelseID has served the client. That a login or a session was
// served, which anybody may cause, takes back nothing that was said to systems.
func (s *standing) accepted(started, now time.Time, system bool) {
	if system || isInvalidClient(s.last()) {
		s.observe(started, now, nil)
	}
}
