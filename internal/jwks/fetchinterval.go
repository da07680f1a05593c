package jwks

import "time"

const (
	// unknownInterval and unknownBurst bound the fetches that unknown keys cause.
	// The interval is short, since a new key is not known for so long while
	// strangers make up others; the burst is two, so that one of them cannot spend
	// the only one.
	unknownInterval = 5 * time.Second
	unknownBurst    = 2

	// A fetch that failed is made again after the first pause, and each one that
	// fails after it doubles the pause.
	firstPause   = time.Second
	longestPause = 4 * time.Second

	// renewalPause bounds the fetches in the background.
	renewalPause = 30 * time.Second
)

// pace says when the issuer may be asked about a key that is not known. What was
// asked in vain because the fetch failed costs a pause, and none of the allowance:
// else nothing is left of it when the issuer is well again.
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

// spend takes a fetch off the allowance.
func (p *pace) spend(now time.Time) {
	if now.After(p.spent) {
		p.spent = now
	}
	p.spent = p.spent.Add(unknownInterval)
}
