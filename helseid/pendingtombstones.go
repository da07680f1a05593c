package helseid

import (
	"sync"
	"sync/atomic"
)

// pendingEnds are the sessions that the store has not let end, and the logouts that it
// has not let be carried out. This process goes on trying, once for each.
type pendingEnds struct {
	going     sync.Map     // sessions' keys, and logouts
	strangers atomic.Int64 // how many of them anybody may have made up
}

// maxStrangers bounds how many sessions that this process does not know it tries to
// end: anybody can make up an id. What HelseID and the application ask for does not
// count.
const maxStrangers = 1000

// begin reports whether to go on with something in the background. Call done when that
// has ended.
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
