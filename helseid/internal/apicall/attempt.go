package apicall

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/helseid-go/sdk/dpop"
)

// attempt is one sending of a request to an API. Its context is a child of the
// request's own and must be released: at once if there is no answer, otherwise when
// the body has been read or closed, because net/http aborts a body whose context
// ends.
type attempt struct {
	ctx     context.Context
	release context.CancelFunc
	guard   *repeatGuard // nil if the request cannot be repeated
	wait    *headerWait
}

// newAttempt prepares to send a request. The headers of the answer must come within
// the limit; zero means no limit but the caller's.
func newAttempt(request *http.Request, limit time.Duration) *attempt {
	ctx, cancel := context.WithCancel(request.Context())
	current := &attempt{release: cancel, wait: &headerWait{limit: limit, api: request.URL, stop: cancel}}
	trace := &httptrace.ClientTrace{
		GetConn:      func(string) { current.wait.restart(waitsForConnection) },
		GotConn:      func(httptrace.GotConnInfo) { current.wait.restart(waitsForHeaders) },
		WroteRequest: func(httptrace.WroteRequestInfo) { current.wait.finish() },
	}
	if isRepeatable(request) {
		current.guard = &repeatGuard{stop: cancel}
		current.guard.watch(trace)
	}
	current.ctx = httptrace.WithClientTrace(ctx, trace)
	return current
}

// isRepeatable reports whether the request has no body or one that can be read again.
func isRepeatable(request *http.Request) bool {
	return request.Body == nil || request.Body == http.NoBody || request.GetBody != nil
}

// roundTrip sends the request. repeat says that there is no answer because net/http
// would have sent the request again with the same proof.
func (a *attempt) roundTrip(base http.RoundTripper, outgoing *http.Request) (response *http.Response, repeat bool, err error) {
	hasBody := outgoing.Body != nil && outgoing.Body != http.NoBody
	if hasBody {
		outgoing.Body = a.wait.watch(outgoing)
	}
	a.guard.protect(outgoing.Header.Get(dpop.HeaderName))
	a.wait.restart(waitsForHeaders)
	response, err = base.RoundTrip(outgoing)
	silent := a.wait.end()
	stopped := a.guard.end()
	if err == nil && response == nil {
		err = errNoResponse
	}
	if err == nil && (silent != nil || stopped) {
		_ = response.Body.Close() // too late: its context has ended
	}
	switch {
	case stopped:
		return nil, true, errConnectionLost
	case silent != nil:
		return nil, false, silent
	case err != nil:
		return nil, false, err
	}
	a.handOver(response, !hasBody)
	return response, false, nil
}

// handOver makes the end of the answer's body release the attempt.
func (a *attempt) handOver(response *http.Response, sent bool) {
	switch body := response.Body.(type) {
	case nil:
		response.Body = http.NoBody
		a.release()
	case io.ReadWriteCloser: // of an upgraded connection (RFC 9110 section 15.2.2)
		response.Body = &upgradedBody{body, a.release}
	default:
		if body == http.NoBody {
			a.release()
			return
		}
		response.Body = &answerBody{ReadCloser: body, attempt: a, sent: sent}
	}
}

// answerBody is the body of an answer.
type answerBody struct {
	io.ReadCloser
	attempt *attempt
	sent    bool // no part of the request body is still being sent
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && (err != io.EOF || b.sent || b.attempt.wait.finished()) {
		b.attempt.release()
	}
	return n, err
}

func (b *answerBody) Close() error {
	defer b.attempt.release()
	return b.ReadCloser.Close()
}

// upgradedBody is a connection that has switched to another protocol.
type upgradedBody struct {
	io.ReadWriteCloser
	release context.CancelFunc
}

func (b *upgradedBody) Close() error {
	defer b.release()
	return b.ReadWriteCloser.Close()
}

// CloseWrite forwards to net/http's body, which has this method.
func (b *upgradedBody) CloseWrite() error {
	if half, ok := b.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

func speaksHTTP2(conn net.Conn) bool {
	secured, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secured.ConnectionState().NegotiatedProtocol == "h2"
}
