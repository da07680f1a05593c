package helseid

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
)

// When a connection that net/http had kept open turns out to be closed, it sends
// an idempotent request again by itself, on another connection and with the same
// proof. The server may have read the first one. This file keeps it from that.
//
// net/http repeats requests that have no body or a GetBody, if their method is
// idempotent, which an empty body hides, or if they have an idempotency key,
// which another spelling of the header's name hides. Neither is visible in
// HTTP/1, but in HTTP/2 the empty body is. HTTP/2 repeats only what the server
// declares unprocessed. So requests are shielded towards origins that are known
// to speak HTTP/1; towards one that has not answered yet, a request that is
// about to go over an HTTP/1 connection which has been used before is stopped,
// and made anew with the shield.

// shield hides from net/http that the request could be repeated.
func shield(outgoing *http.Request) {
	for _, name := range idempotencyKeys {
		if values, ok := outgoing.Header[name]; ok {
			delete(outgoing.Header, name)
			outgoing.Header[strings.ToLower(name)] = values
		}
	}
	if !isIdempotent(outgoing.Method) {
		return
	}
	outgoing.GetBody = nil
	if outgoing.Body == nil || outgoing.Body == http.NoBody {
		outgoing.Body = emptyBody{}
	}
}

// repeatGuard watches over one attempt.
type repeatGuard struct {
	ctx      context.Context
	shielded bool
	reused   bool // the connection had been used before
}

// guard decides how an attempt is protected, if it needs to be.
func (a *apiCall) guard() *repeatGuard {
	guard := &repeatGuard{ctx: a.request.Context()}
	if !isRepeatable(a.request) {
		return guard
	}
	isHTTP1, known := a.client.protocols.isHTTP1(a.request.URL)
	guard.shielded = isHTTP1
	stop := func() {}
	if !known {
		ctx, cancel := context.WithCancelCause(guard.ctx)
		guard.ctx, stop = ctx, func() { cancel(errUnshielded) }
	}
	guard.ctx = httptrace.WithClientTrace(guard.ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		guard.reused = info.Reused
		if !known && info.Reused && !speaksHTTP2(info) {
			a.client.protocols.observe(a.request.URL, 1)
			stop()
		}
	}})
	return guard
}

func speaksHTTP2(info httptrace.GotConnInfo) bool {
	connection, ok := info.Conn.(*tls.Conn)
	return ok && connection.ConnectionState().NegotiatedProtocol == "h2"
}

// idempotencyKeys are the headers that make net/http repeat any request.
var idempotencyKeys = []string{"Idempotency-Key", "X-Idempotency-Key"}

// isRepeatable says which requests net/http considers safe to repeat.
func isRepeatable(request *http.Request) bool {
	return isIdempotent(request.Method) ||
		slices.ContainsFunc(idempotencyKeys, func(name string) bool { return len(request.Header[name]) > 0 })
}

func isIdempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }
