package helseid

import (
	"net/url"
	"sync"

	"github.com/helseid-go/sdk/internal/httpx"
)

// maxProtocols bounds the memory of which origins speak HTTP/2.
const maxProtocols = 256

// protocols remembers which origins answered in HTTP/1.
type protocols struct {
	mu    sync.RWMutex
	http1 map[string]bool
}

func (p *protocols) observe(u *url.URL, major int) {
	origin, isHTTP1 := httpx.Origin(u), major == 1
	p.mu.RLock()
	known, ok := p.http1[origin]
	p.mu.RUnlock()
	if ok && known == isHTTP1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.http1 == nil || len(p.http1) >= maxProtocols {
		p.http1 = make(map[string]bool)
	}
	p.http1[origin] = isHTTP1
}

// isHTTP1 is true for plain http and for origins that answered in HTTP/1. Of one
// that has not answered yet nothing is known.
func (p *protocols) isHTTP1(u *url.URL) (isHTTP1, known bool) {
	if httpx.IsPlainLoopback(u) {
		return true, true
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	isHTTP1, known = p.http1[httpx.Origin(u)]
	return isHTTP1, known
}
