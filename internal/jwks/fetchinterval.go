package jwks

import "time"

const (
	// unknownInterval and unknownBurst bound the fetches that unknown keys cause.
	// The interval is short, since a new key may stay unknown for that long while
	// tokens with invented kids arrive; the burst is two, so that one such token
	// cannot use up the only fetch.
	unknownInterval = 5 * time.Second
	unknownBurst    = 2

	// A failed fetch is repeated after the first pause, and each further failure
	// doubles the pause.
	firstPause   = time.Second
	longestPause = 4 * time.Second

	// renewalPause bounds the fetches in the background.
	renewalPause = 30 * time.Second
)

// pace says when the issuer may be asked about an unknown key. A fetch that failed
// costs a pause and nothing of the allowance, so that the allowance is still there when
// the issuer answers again.
type pace struct {
	spent    time.Time // when the whole allowance is there again
	failures int       // in a row
	pause    time.Time // the end of it
}

// next is when a fetch is permitted.
func (p *pace) next() time.Time {
	next := p.spent.Add(-(unknownBurst - 1) * unknownInterval)
	if p.pause.After(next) {
		return p.pause
	}
	return next
}

func (p *pace) failed(now time.Time) {
	p.pause = now.Add(min(longestPause, firstPause<<min(p.failures, 10)))
	p.failures++
}

func (p *pace) succeeded() { p.failures, p.pause = 0, time.Time{} }

// spend deducts a fetch from the allowance.
func (p *pace) spend(now time.Time) {
	if now.After(p.spent) {
		p.spent = now
	}
	p.spent = p.spent.Add(unknownInterval)
}
