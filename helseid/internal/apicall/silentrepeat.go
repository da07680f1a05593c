package apicall

import (
	"net"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

// net/http sends some requests again by itself: over HTTP/1 if a connection that
// was kept open turns out to be closed, over HTTP/2 if the server resets the
// stream or goes away. The proof would go out a second time, and the server may
// have read the first one. This file prevents that.
//
// It does not predict what net/http will do, which depends on the method, the headers
// and the protocol. It observes which connection the proof has been written to
// (net/http/httptrace), and stops the attempt when net/http asks for another connection
// after that. The request is then sent again with a new proof: net/http still decides
// whether it may be repeated.

// repeatGuard watches one attempt. A nil guard does nothing.
type repeatGuard struct {
	stop func()

	mu       sync.Mutex
	proof    string // "" if there is nothing to protect
	written  bool   // the proof has been given to a connection
	answered bool   // the answer has begun: net/http does not repeat the request any more
	stopped  bool
}

// watch sets the hooks that the guard needs. net/http calls each before it continues,
// in the goroutine that does what the hook reports.
func (g *repeatGuard) watch(trace *httptrace.ClientTrace) {
	getConn, gotConn := trace.GetConn, trace.GotConn
	trace.GetConn = func(address string) {
		getConn(address)
		g.refuse()
	}
	trace.GotConn = func(info httptrace.GotConnInfo) {
		gotConn(info)
		// HTTP/2 looks at the context before it writes a header. HTTP/1 does not.
		if g.refuse() && info.Conn != nil && !speaksHTTP2(info.Conn) {
			spoil(info.Conn)
		}
	}
	trace.WroteHeaderField = func(_ string, values []string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.written = g.written || g.proof != "" && slices.Contains(values, g.proof)
	}
	trace.GotFirstResponseByte = func() { g.setAnswered(true) }
	trace.Got1xxResponse = func(int, textproto.MIMEHeader) error {
		g.setAnswered(false) // an interim response is not the answer
		return nil
	}
}

// refuse stops the attempt if the connection that net/http asks for, or has got, is
// for a repetition.
func (g *repeatGuard) refuse() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.written || g.answered {
		return false
	}
	g.stopped = true
	g.stop()
	return true
}

func (g *repeatGuard) setAnswered(answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = g.written && answered
}

// protect sets the proof that must not be sent twice.
func (g *repeatGuard) protect(proof string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proof = proof
}

// end ends the watch and reports whether the attempt has been stopped.
func (g *repeatGuard) end() (stopped bool) {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = true
	return g.stopped
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// spoil makes a connection fail before anything is written to it. Only this request
// uses the connection, which has just been assigned to it.
func spoil(conn net.Conn) {
	if conn.SetWriteDeadline(longAgo) != nil {
		_ = conn.Close()
	}
}

// errConnectionLost ends a request that net/http would have repeated but that must
// not be sent again.
var errConnectionLost = redact.Words("helseid: the connection to the API was lost before an answer came")

// errNoResponse is the error of an http.RoundTripper that returns nothing.
var errNoResponse = redact.Words("helseid: the transport of Config.HTTPClient returned neither a response nor an error")
