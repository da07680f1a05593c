package bulkhead

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	retryWait = 250 * time.Millisecond // the first wait; it doubles

	// MaxWait is how long anybody waits for one attempt at most.
	MaxWait = 4 * time.Second

	// probeGrowth is how often the wait between the probes of an outage doubles: to
	// two seconds.
	probeGrowth = 3

	// slowStart is how long the first request of all may be waited for.
	slowStart = time.Second

	// scoutGrace is how long a request may take from being let through alone to
	// being sent. Then another may go in its place.
	scoutGrace = 500 * time.Millisecond
)

// pace decides when the next request of one kind may go out.
//
// While nothing is known yet, one request goes first and the others wait for its
// answer, a second at most: it learns the nonce for all, and finds out whether
// there is trouble. After a failure for want of an answer, and after an answer
// that says "not now", there is a pause that grows, or that HelseID has asked for;
// then one request at a time goes out as a probe until one is answered. What a
// probe finds counts for all who wait. So the load stays that of one request at a
// time however many are wanted, and the first after the recovery succeeds.
//
// The zero value is ready to use.
type pace struct {
	retries int // how many failures a request outlives

	mu       sync.Mutex
	state    paceState
	started  time.Time // when the first request of all was let through
	scout    *scout    // the request that goes alone, or nil
	failures int       // in a row
	noted    time.Time // when the last of them was counted
	next     time.Time // no request before, in trouble
	demanded bool      // HelseID has set that time
	told     func(wait time.Duration) error
	probes   int           // how many probes have failed, ever
	over     int           // how many had when the last trouble was over
	changed  chan struct{} // closed at the next change, or nil if nobody waits
}

type paceState int

const (
	paceUnknown paceState = iota
	paceSteady
	paceTroubled
)

// scout is a request that goes alone, while the others wait for what it finds.
type scout struct {
	turn    *Turn
	since   time.Time
	sending bool
}

// Outcome is what came of one round trip.
type Outcome struct {
	Verdict Verdict

	// Wait is the pause that HelseID has asked for, or zero. It is not bounded here.
	Wait time.Duration

	// Told makes the error for those who share a failure. It is given how long
	// there will be no request.
	Told func(wait time.Duration) error
}

// Verdict is what a round trip says about HelseID.
type Verdict int

// The verdicts.
const (
	// None says nothing about HelseID: nothing was sent, or whoever sent it
	// has not waited for the answer.
	None Verdict = iota

	// Answered is any answer, also a refusal.
	Answered

	// Unavailable is no answer, or one of a server in trouble.
	Unavailable

	// Throttled is an answer of 429. It is no outage: the pause is HelseID's
	// own wish, and may be a long one.
	Throttled
)

// enter registers a request that comes now.
func (p *pace) enter(t *Turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.probes = p.probes
	if p.scout != nil && p.scout.sending {
		t.probes++ // it was sent before: its failure says nothing about now
	}
}

// clear lets a request through if the wait is zero and there is no error. Else it
// may ask again when the time has passed or the channel is closed.
func (p *pace) clear(t *Turn) (wait time.Duration, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if t.failures > p.retries {
		return 0, nil, p.failure(0)
	}
	if p.state == paceTroubled {
		ahead := p.next.Sub(now)
		seen := p.probes - max(t.probes, p.over)
		if t.failures+seen > p.retries || ahead > MaxWait {
			return 0, nil, p.failure(ahead)
		}
		wait = max(ahead, 0)
	}
	wait = max(wait, t.notBefore.Sub(now))
	if wait == 0 {
		wait = p.behind(t, now)
	}
	if wait > 0 && p.changed == nil {
		p.changed = make(chan struct{})
	}
	return wait, p.changed, nil
}

// behind is how long a request may have to wait for the one that goes alone.
func (p *pace) behind(t *Turn, now time.Time) time.Duration {
	switch {
	case p.state == paceSteady || p.lead(t, now):
		return 0
	case p.state == paceUnknown:
		return max(p.started.Add(slowStart).Sub(now), 0)
	case p.scout.sending:
		return time.Minute // or until it is answered
	}
	return p.scout.since.Add(scoutGrace).Sub(now)
}

// lead makes a request the one that goes alone, unless there is another.
func (p *pace) lead(t *Turn, now time.Time) bool {
	switch {
	case p.scout != nil && p.scout.turn == t:
		return true
	case p.scout != nil && (p.scout.sending || now.Sub(p.scout.since) < scoutGrace):
		return false
	}
	if p.started.IsZero() {
		p.started = now
	}
	p.scout = &scout{turn: t, since: now}
	return true
}

// start reports whether a request that was let through may still be sent: there
// may be trouble since.
func (p *pace) start(t *Turn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	leads := p.scout != nil && p.scout.turn == t
	if p.state == paceTroubled && (!leads || time.Now().Before(p.next)) {
		return false
	}
	if leads {
		p.scout.sending = true
	}
	return true
}

// done takes note of a round trip that was started at the given time.
func (p *pace) done(t *Turn, started time.Time, o Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	leads := p.scout != nil && p.scout.turn == t
	if leads {
		p.scout = nil
	}
	switch o.Verdict {
	case None:
		if leads && p.state == paceTroubled {
			p.next = later(p.next, now.Add(retryWait)) // the pace stays
		}
	case Answered:
		// A pause that HelseID has asked for is not over because a request from
		// before it was answered.
		if leads || p.state != paceTroubled || !p.demanded || !now.Before(p.next) {
			p.state, p.scout, p.failures, p.told, p.over = paceSteady, nil, 0, nil, p.probes
		}
	case Unavailable, Throttled:
		t.failures++
		t.notBefore = now.Add(Backoff(t.failures-1, 0))
		if leads {
			p.probes++
			t.probes++ // it has counted its own already
		}
		p.fail(started, now, o)
	}
	p.signal()
}

// fail counts a failure. Those of requests that were under way together count as
// one.
func (p *pace) fail(started, now time.Time, o Outcome) {
	growth := p.failures
	if o.Verdict == Unavailable {
		growth = min(growth, probeGrowth)
	}
	if started.After(p.noted) {
		p.state, p.noted, p.demanded = paceTroubled, now, o.Wait > 0
		p.next, p.told = now.Add(max(Backoff(growth, 0), o.Wait)), o.Told
		p.failures++
	} else if next := now.Add(o.Wait); o.Wait > 0 && next.After(p.next) {
		p.state, p.demanded, p.next, p.told = paceTroubled, true, next, o.Told
	}
}

// leave forgets a request that will not be sent any more.
func (p *pace) leave(t *Turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scout != nil && p.scout.turn == t {
		p.scout = nil
		p.signal()
	}
}

// trouble is the error for a request that waits no longer, or nil if there was no
// trouble that kept it waiting.
func (p *pace) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != paceTroubled {
		return nil
	}
	return p.failure(time.Until(p.next))
}

func (p *pace) failure(wait time.Duration) error {
	if p.told == nil {
		return metadata.ErrUnavailable
	}
	return p.told(max(wait, 0))
}

func (p *pace) signal() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Backoff is the wait before another try. It grows from 250 ms, is random by half, and obeys the server's wish up
// to the same limit.
func Backoff(try int, wish time.Duration) time.Duration {
	wait := min(retryWait<<min(try, 8), MaxWait)
	wait = wait/2 + rand.N(wait/2)
	return min(max(wait, wish), MaxWait)
}
