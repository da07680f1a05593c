package dpop

import (
	"container/list"
	"net/http"
	"net/url"
	"sync"

	"github.com/helseid-go/sdk/internal/httpx"
)

const (
	maxOrigins     = 256
	maxNonceLength = 1024
)

// Nonces remembers the newest nonce of each origin (scheme, host and port), so that the
// next proof for it needs no extra round trip. HelseID and an API are different origins
// with different nonces. It holds 256 origins and discards the least recently used. The
// zero value is ready to use. It is safe for concurrent use.
type Nonces struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of *nonceEntry, newest first
}

type nonceEntry struct {
	origin string
	nonce  string
}

// Get returns the newest nonce for the origin of u, or "".
func (n *Nonces) Get(u *url.URL) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	element, ok := n.entries[httpx.Origin(u)]
	if !ok {
		return ""
	}
	n.recent.MoveToFront(element)
	return element.Value.(*nonceEntry).nonce
}

// Observe stores the nonce of a response from u, whatever its status: successful
// responses renew the nonce, too (RFC 9449 section 8.2). It returns the nonce, or "" if
// the response has none that is valid: more than one, or one outside the grammar of RFC
// 9449 section 8.1.
func (n *Nonces) Observe(u *url.URL, header http.Header) string {
	values := header.Values(NonceHeaderName)
	if len(values) != 1 || !validNonce(values[0]) {
		return ""
	}
	n.put(httpx.Origin(u), values[0])
	return values[0]
}

func (n *Nonces) put(origin, nonce string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if element, ok := n.entries[origin]; ok {
		element.Value.(*nonceEntry).nonce = nonce
		n.recent.MoveToFront(element)
		return
	}
	if n.entries == nil {
		n.entries = make(map[string]*list.Element)
	}
	n.entries[origin] = n.recent.PushFront(&nonceEntry{origin, nonce})
	if n.recent.Len() > maxOrigins {
		oldest := n.recent.Back()
		n.recent.Remove(oldest)
		delete(n.entries, oldest.Value.(*nonceEntry).origin)
	}
}

// validNonce checks 1*NQCHAR.
func validNonce(nonce string) bool {
	if nonce == "" || len(nonce) > maxNonceLength {
		return false
	}
	for i := range len(nonce) {
		if c := nonce[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
