package grpcauth

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// ReasonUnlisted is the reason for refusing a call of a method that the configuration
// does not name. It does not change.
const ReasonUnlisted = "method_unlisted"

// ServerOptions returns the two interceptors as options of [grpc.NewServer]. They run
// after interceptors that are named before them there: name one that recovers from
// panics first.
func (g *Guard) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.Unary()), grpc.ChainStreamInterceptor(g.Stream())}
}

// Unary returns the interceptor of methods without streams. gRPC has already read and
// decoded the request when it runs: limit its size with [grpc.MaxRecvMsgSize].
func (g *Guard) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, message any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		call := callOf(ctx, info.FullMethod, true)
		admitted, err := g.admit(call)
		if err != nil {
			return nil, err
		}
		return handler(admitted, message)
	}
}

// Stream returns the interceptor of methods with streams. When the token of a stream
// expires, the context of its handler is cancelled, sending and receiving fail, and the
// client gets the same refusal as for a new call with that token, unless the handler
// has returned before. The validator's leeway applies.
func (g *Guard) Stream() grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		call := callOf(stream.Context(), info.FullMethod, server != nil)
		admitted, err := g.admit(call)
		if err != nil {
			return err
		}
		if g.keepExpired || middleware.Claims(admitted) == nil {
			return handler(server, &contextStream{stream, admitted})
		}
		limited := g.limit(admitted, stream, call)
		defer limited.release()
		err = handler(server, limited)
		if refusal := limited.refusal(); refusal != nil {
			return refusal
		}
		return err
	}
}

// admit returns the context for the handler, or the refusal as the status of the call.
func (g *Guard) admit(call call) (context.Context, error) {
	rule, listed := g.ruleOf(call.method)
	if rule.open {
		return call.ctx, nil
	}
	requirements := rule.requirements
	if !listed {
		requirements = []middleware.Requirement{unlisted}
	}
	decision := g.auth.Decide(call.decisionContext(), call.request(), requirements...)
	if !decision.Allowed() {
		return nil, refuse(call.ctx, decision)
	}
	if decision.Nonce != "" {
		_ = grpc.SetHeader(call.ctx, metadata.Pairs(keyNonce, decision.Nonce))
	}
	return decision.Context(call.ctx), nil
}

// unlisted is met by nobody.
func unlisted(context.Context, *tokenvalidation.Claims) error {
	return &middleware.Denial{Reason: ReasonUnlisted, Detail: "this API does not say who may call this method"}
}

// Refuse returns the status for a handler that finds out, after reading the request,
// that the caller may not do this. The error is treated like one of a
// [middleware.Requirement], as by [middleware.Middleware.Refuse], and a second audit
// record is written. The context is the handler's. A handler returns what Refuse
// returns.
func (g *Guard) Refuse(ctx context.Context, err error) error {
	if err == nil {
		err = &middleware.Denial{Reason: middleware.ReasonRequirement, Detail: "the caller does not meet a requirement of this API"}
	}
	method, _ := grpc.Method(ctx)
	call := callOf(ctx, method, true)
	decision := g.auth.Decide(call.decisionContext(), call.request(), func(context.Context, *tokenvalidation.Claims) error { return err })
	return refuse(ctx, decision)
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context in which the handler finds the caller.
func (s *contextStream) Context() context.Context { return s.ctx }
