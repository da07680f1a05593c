package grpccredentials

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxSends bounds how often a unary call is sent: once, once more for a nonce, and once
// more for a new token.
const maxSends = 3

// Unary returns the interceptor of calls without streams. It keeps the nonces of the
// API's answers. It sends a call once more if the API demands a nonce, and once more if
// the API refuses a token that has been dropped for that, by the rules of
// [helseid.TokenSource.ObserveResponse]. If the API refuses the call nevertheless, the
// error is a [*RefusedError].
func (c *Credentials) Unary() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoker grpc.UnaryInvoker, options ...grpc.CallOption) error {
		nonced := false
		for sends := 1; ; sends++ {
			current := new(attempt)
			var got answer
			err := invoker(current.in(ctx), method, request, reply, conn, append(slices.Clip(options), grpc.Header(&got.header), grpc.Trailer(&got.trailer))...)
			again := c.observe(current, got, err)
			if err == nil {
				return nil
			}
			demand := got.nonce() != ""
			if !again || demand && nonced || sends == maxSends || ctx.Err() != nil {
				return refusalOf(err, got)
			}
			nonced = nonced || demand
		}
	}
}

// Stream returns the interceptor of calls with streams. It keeps the nonces of the API's
// answers. A stream that the API refuses, or ends because its token has expired, fails
// with a [*RefusedError] when it receives: open another one then.
func (c *Credentials) Stream() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, streamer grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		current := new(attempt)
		stream, err := streamer(current.in(ctx), desc, conn, method, options...)
		if err != nil {
			return nil, err
		}
		return &observedStream{ClientStream: stream, credentials: c, attempt: current}, nil
	}
}

// observedStream is a stream whose answer is looked at.
type observedStream struct {
	grpc.ClientStream
	credentials *Credentials
	attempt     *attempt
	greeted     bool // the header has been looked at
}

// RecvMsg receives a message.
func (s *observedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil && s.greeted {
		return nil
	}
	s.greeted = true
	var got answer
	got.header, _ = s.Header()
	if err != nil {
		got.trailer = s.Trailer()
	}
	if errors.Is(err, io.EOF) {
		s.credentials.observe(s.attempt, got, nil)
		return err
	}
	s.credentials.observe(s.attempt, got, err)
	return refusalOf(err, got)
}

// attempt is the last sending of a call. It is in the context of the call.
type attempt struct {
	mu      sync.Mutex
	request *http.Request
}

type attemptKey struct{}

func (a *attempt) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// attemptOf returns nil if no interceptor sees the call.
func attemptOf(ctx context.Context) *attempt {
	found, _ := ctx.Value(attemptKey{}).(*attempt)
	return found
}

func (a *attempt) sent(request *http.Request) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.request = request
}

func (a *attempt) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.request
}

// answer is the metadata of an answer. That of a refusal is in either of the two.
type answer struct{ header, trailer metadata.MD }

func (a answer) values(key string) []string {
	if values := a.trailer.Get(key); len(values) > 0 {
		return values
	}
	return a.header.Get(key)
}

func (a answer) nonce() string {
	if values := a.values("dpop-nonce"); len(values) == 1 {
		return values[0]
	}
	return ""
}

// http returns the HTTP response that the answer is.
func (a answer) http(err error, request *http.Request) *http.Response {
	found := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Request: request}
	switch status.Code(err) {
	case codes.OK:
	case codes.Unauthenticated:
		found.StatusCode = http.StatusUnauthorized
	case codes.InvalidArgument:
		found.StatusCode = http.StatusBadRequest
	default:
		found.StatusCode = http.StatusForbidden
	}
	for _, name := range []string{"DPoP-Nonce", "WWW-Authenticate"} {
		for _, value := range a.values(name) {
			found.Header.Add(name, value)
		}
	}
	return found
}

// observe learns from an answer, and reports whether the call should be sent once more.
func (c *Credentials) observe(current *attempt, got answer, err error) (again bool) {
	request := current.last()
	return request != nil && c.tokens.ObserveResponse(got.http(err, request)) //nolint:bodyclose // it has no body
}
