package helseid

import (
	"sync"
	"sync/atomic"
)

// pendingEnds are the session ends and logouts that failed because of the store. This
// process keeps trying them, in one goroutine for each.
type pendingEnds struct {
	going     sync.Map     // sessions' keys, and logouts
	strangers atomic.Int64 // how many of them may be invented ids
}

// maxStrangers bounds how many sessions unknown to this process it keeps trying to
// end, since anyone can invent an id. Requests by HelseID and the application do not
// count.
const maxStrangers = 1000

// begin reports whether to continue in the background. Call done when that has ended.
func (p *pendingEnds) begin(what any, stranger bool) bool {
	if stranger && p.strangers.Load() >= maxStrangers {
		return false
	}
	if _, going := p.going.LoadOrStore(what, nil); going {
		return false
	}
	if stranger {
		p.strangers.Add(1)
	}
	return true
}

func (p *pendingEnds) done(what any, stranger bool) {
	p.going.Delete(what)
	if stranger {
		p.strangers.Add(-1)
	}
}

func (p *pendingEnds) has(what any) bool {
	_, going := p.going.Load(what)
	return going
}
