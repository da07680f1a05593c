package grpcauth

import (
	"context"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/middleware"
)

// leewayStep is how often a token that has expired, but is still accepted because
// clocks differ, is looked at again.
const leewayStep = time.Second

// limitedStream is a stream that ends when its token expires.
type limitedStream struct {
	grpc.ServerStream
	guard   *Guard
	call    call
	ctx     context.Context
	cancel  context.CancelCauseFunc
	expired chan struct{} // closed when the token is not accepted any more

	mu       sync.Mutex
	timer    *time.Timer
	released bool
	refused  error // set before expired is closed, and so is panicked
	panicked any   // by Config.Audit of package middleware
}

// limit starts to watch over the token of an accepted stream.
func (g *Guard) limit(ctx context.Context, stream grpc.ServerStream, call call) *limitedStream {
	limited := &limitedStream{ServerStream: stream, guard: g, call: call, expired: make(chan struct{})}
	limited.ctx, limited.cancel = context.WithCancelCause(ctx)
	limited.mu.Lock()
	defer limited.mu.Unlock()
	limited.timer = time.AfterFunc(time.Until(middleware.Claims(ctx).Expiry), limited.look)
	return limited
}

// look ends the stream if its token is not accepted any more.
func (s *limitedStream) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released || s.ctx.Err() != nil {
		return
	}
	s.refused = errPanicked
	defer func() {
		if s.panicked = recover(); s.refused != nil {
			close(s.expired) // first, so that a handler that wakes because of its context sends nothing
			s.cancel(s.refused)
		}
	}()
	decision, accepted := s.decide()
	if accepted {
		s.refused = nil
		s.timer.Reset(leewayStep)
		return
	}
	s.refused = refuse(s.call.ctx, decision)
}

// errPanicked is what the operations of a stream get whose decision panicked.
var errPanicked = status.Error(codes.Internal, "the decision about the caller panicked")

// decide asks whether the token would be accepted in a new call.
func (s *limitedStream) decide() (decision middleware.Decision, accepted bool) {
	if _, err := s.guard.auth.Validator().Validate(s.ctx, middleware.Token(s.ctx).Reveal()); err == nil {
		return middleware.Decision{}, true
	}
	request := s.call.request()
	// The decision of a net/http guard around the server must not be taken over, so this
	// is a request for another URL. That is not noticed: the token is looked at first.
	request.URL = &url.URL{Scheme: request.URL.Scheme, Host: request.URL.Host, Path: request.URL.Path, RawQuery: "expired"}
	decision = s.guard.auth.Decide(s.call.decisionContext(), request)
	return decision, decision.Allowed()
}

// release ends the watch. Afterwards, refusal does not change.
func (s *limitedStream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = true
	s.timer.Stop()
	s.cancel(nil)
}

// refusal returns the status with which the stream ends because of its token, or nil. A
// panic of the decision goes on here, where an interceptor can recover from it.
func (s *limitedStream) refusal() error {
	s.release()
	if s.panicked != nil {
		panic(s.panicked)
	}
	return s.refused
}

// Context returns the context in which the handler finds the caller. It ends with the
// token.
func (s *limitedStream) Context() context.Context { return s.ctx }

// RecvMsg receives a message unless the token has expired.
func (s *limitedStream) RecvMsg(message any) error { return s.do(s.ServerStream.RecvMsg, message) }

// SendMsg sends a message unless the token has expired.
func (s *limitedStream) SendMsg(message any) error { return s.do(s.ServerStream.SendMsg, message) }

// outcome is how an operation of a stream has ended.
type outcome struct {
	err      error
	panicked any
}

// do waits for an operation, but no longer than the token is valid. gRPC ends an
// operation that is under way when the handler returns.
func (s *limitedStream) do(operation func(any) error, message any) error {
	select {
	case <-s.expired:
		return s.refused
	default:
	}
	ended := make(chan outcome, 1)
	go func() {
		var result outcome
		defer func() {
			if result.panicked = recover(); result.panicked != nil {
				ended <- result
			}
		}()
		result.err = operation(message)
		ended <- result
	}()
	select {
	case result := <-ended:
		if result.panicked != nil {
			panic(result.panicked) // in the goroutine whose caller may recover
		}
		return result.err
	case <-s.expired:
		return s.refused
	}
}
