package bulkhead

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	retryWait = 250 * time.Millisecond // the first wait; it doubles

	// MaxWait is the longest wait before one attempt.
	MaxWait = 4 * time.Second

	// probeGrowth is how often the wait between the probes of an outage doubles: up
	// to two seconds.
	probeGrowth = 3

	// slowStart is how long other requests wait for the very first one.
	slowStart = time.Second

	// scoutGrace is how long the scout may take from being let through to being sent.
	// After that another request may take its place.
	scoutGrace = 500 * time.Millisecond
)

// pace decides when the next request of one kind may be sent.
//
// As long as nothing is known, one request goes first (the scout) and the others wait
// for its answer, for a second at most: it gets a nonce for all of them and finds out
// whether there is trouble. After a missing answer, or an answer that says "not now",
// there is a pause, which grows or has the length that HelseID asked for. After the
// pause one request at a time is sent as a probe until one is answered. The result of
// a probe counts for all that wait. So the load on HelseID is that of one request at
// a time, however many are wanted, and the first request after the recovery succeeds.
//
// The zero value is ready to use.
type pace struct {
	retries int // how many failures a request is retried after

	mu       sync.Mutex
	state    paceState
	started  time.Time // when the very first request was let through
	scout    *scout    // the request that the others wait for, or nil
	failures int       // in a row
	noted    time.Time // when the last of them was counted
	next     time.Time // in trouble: the earliest time of a request
	demanded bool      // HelseID has asked for that time
	told     func(wait time.Duration) error
	probes   int           // how many probes have failed in all
	over     int           // the value of probes when the last trouble ended
	changed  chan struct{} // closed at the next change, or nil if nobody waits
}

type paceState int

const (
	paceUnknown paceState = iota
	paceSteady
	paceTroubled
)

// scout is a request that is sent alone while the others wait for its result.
type scout struct {
	turn    *Turn
	since   time.Time
	sending bool
}

// Outcome is the result of one round trip.
type Outcome struct {
	Verdict Verdict

	// Wait is the pause that HelseID has asked for, or zero. It has no upper limit
	// here.
	Wait time.Duration

	// Told makes the error for the requests that share a failure. Its argument is how
	// long no request will be sent.
	Told func(wait time.Duration) error
}

// Verdict is what a round trip says about HelseID.
type Verdict int

// The verdicts.
const (
	// None says nothing about HelseID: nothing was sent, or the caller did not wait
	// for the answer.
	None Verdict = iota

	// Answered is any answer, including a refusal.
	Answered

	// Unavailable is no answer, or that of a server in trouble.
	Unavailable

	// Throttled is an answer of 429. It is no outage: HelseID asks for the pause,
	// which may be long.
	Throttled
)

// enter registers a new request.
func (p *pace) enter(t *Turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.probes = p.probes
	if p.scout != nil && p.scout.sending {
		t.probes++ // sent before this request came: its failure says nothing about the present
	}
}

// clear lets a request through if the wait is zero and there is no error. Otherwise
// the caller asks again when the wait has passed or the channel is closed.
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

// behind returns how long a request may have to wait for the scout.
func (p *pace) behind(t *Turn, now time.Time) time.Duration {
	switch {
	case p.state == paceSteady || p.lead(t, now):
		return 0
	case p.state == paceUnknown:
		return max(p.started.Add(slowStart).Sub(now), 0)
	case p.scout.sending:
		return time.Minute // or until the scout is answered
	}
	return p.scout.since.Add(scoutGrace).Sub(now)
}

// lead makes a request the scout, unless there is another.
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

// start reports whether a request that was let through may still be sent: trouble may
// have begun since.
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

// done records the outcome of a round trip that was started at the given time.
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
			p.next = later(p.next, now.Add(retryWait)) // the pause does not grow
		}
	case Answered:
		// An answer to a request that was sent before a pause that HelseID has asked for
		// does not end that pause.
		if leads || p.state != paceTroubled || !p.demanded || !now.Before(p.next) {
			p.state, p.scout, p.failures, p.told, p.over = paceSteady, nil, 0, nil, p.probes
		}
	case Unavailable, Throttled:
		t.failures++
		t.notBefore = now.Add(Backoff(t.failures-1, 0))
		if leads {
			p.probes++
			t.probes++ // its own failure is counted in t.failures
		}
		p.fail(started, now, o)
	}
	p.signal()
}

// fail counts a failure. Requests that were under way at the same time count as one.
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

// leave removes a request that will not be sent any more.
func (p *pace) leave(t *Turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scout != nil && p.scout.turn == t {
		p.scout = nil
		p.signal()
	}
}

// trouble returns the error for a request that stops waiting, or nil if no trouble
// kept it waiting.
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

// Backoff returns the wait before another try. It grows from 250 ms to [MaxWait],
// half of it is random, and it is at least as long as the server has asked for, up to
// the same limit.
func Backoff(try int, wish time.Duration) time.Duration {
	wait := min(retryWait<<min(try, 8), MaxWait)
	wait = wait/2 + rand.N(wait/2)
	return min(max(wait, wish), MaxWait)
}
