package grpcauth

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/helseid-go/sdk/middleware"
)

// The keys of trailers.
const (
	keyChallenge  = "www-authenticate"
	keyNonce      = "dpop-nonce" // also a header
	keyReason     = "reason"
	keyRetryAfter = "retry-after"

	// keyPushback makes clients with a retry policy wait as long (gRFC A6).
	keyPushback = "grpc-retry-pushback-ms"
)

// codeOf returns the code of a call that net/http would refuse with this status.
func codeOf(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusBadRequest:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	case http.StatusInternalServerError:
		return codes.Internal
	}
	return codes.PermissionDenied
}

// refuse sets the trailers of a refused call and returns its status.
func refuse(ctx context.Context, decision middleware.Decision) error {
	problem := decision.Problem
	trailer := metadata.Pairs(keyReason, problem.Reason)
	if decision.Challenge != "" {
		trailer.Set(keyChallenge, decision.Challenge)
	}
	if decision.Nonce != "" {
		trailer.Set(keyNonce, decision.Nonce)
	}
	refusal := status.New(codeOf(problem.Status), problem.Detail)
	if wait := decision.RetryAfter; wait > 0 {
		trailer.Set(keyRetryAfter, strconv.FormatInt(int64(wait/time.Second), 10))
		trailer.Set(keyPushback, strconv.FormatInt(wait.Milliseconds(), 10))
		if detailed, err := refusal.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
			refusal = detailed
		}
	}
	_ = grpc.SetTrailer(ctx, trailer) // fails only outside of a server, in a test of an interceptor
	if challenge := trailer.Get(keyChallenge); len(challenge) > 0 && ctx.Value(http.ServerContextKey) != nil {
		// The server runs in net/http (ServeHTTP), which drops this field from trailers
		// (RFC 9110 section 6.5.1).
		_ = grpc.SetHeader(ctx, metadata.Pairs(keyChallenge, challenge[0]))
	}
	return refusal.Err()
}
