package grpccredentials_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/middleware"
)

const (
	testScope = mint.DefaultAudience + "/read"
	origin    = "http://localhost"
	unary     = testgrpc.TestService_UnaryCall_FullMethodName
	duplex    = testgrpc.TestService_FullDuplexCall_FullMethodName
)

// world is a HelseID in memory, a client of it and an API that checks each call.
type world struct {
	testing.TB
	helseid *helseidtest.Server
	client  *helseid.Client
	auth    *middleware.Middleware
	server  *grpc.Server
	listen  *bufconn.Listener
	conn    *grpc.ClientConn

	mu      sync.Mutex
	calls   []metadata.MD // in the order of their arrival
	refuses func(method string, call int) (answer metadata.MD, err error)
}

type worldOptions struct {
	server []helseidtest.Option
	client []helseidtest.ClientOption
	auth   func(*middleware.Config)
	tokens helseid.TokenRequest
	dial   []grpc.DialOption
}

func newWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	w := &world{TB: t, listen: bufconn.Listen(1 << 16)}
	// A HelseID that wants no nonce, so that one token is one request.
	w.helseid = helseidtest.NewServer(t, append(options.server, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce))...)
	var err error
	clientConfig := w.helseid.NewClient(append(options.client, helseidtest.Scopes(testScope))...)
	clientConfig.TokenRetries = -1
	w.client, err = helseid.New(clientConfig)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)

	config := middleware.Config{Issuer: w.helseid.Issuer(), Audience: mint.DefaultAudience}
	config.Token.HTTPClient = w.helseid.HTTPClient()
	config.Proof.AcceptProofsFromBeforeStart = true
	if options.auth != nil {
		options.auth(&config)
	}
	w.auth, err = middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(w.auth.Close)
	w.server = grpc.NewServer(grpc.UnaryInterceptor(w.unaryServer), grpc.StreamInterceptor(w.streamServer))
	testgrpc.RegisterTestServiceServer(w.server, api{})
	listener := w.listen
	go func() { _ = w.server.Serve(listener) }()
	t.Cleanup(w.server.Stop)

	options.tokens.Scopes = []string{testScope}
	made, err := grpccredentials.New(grpccredentials.Config{
		Tokens: w.client.TokenSource(options.tokens), Origin: origin, AllowPlaintextLoopback: true,
	})
	require.NoError(t, err)
	w.conn = w.dial("passthrough:///localhost", append(made.DialOptions(), options.dial...)...)
	return w
}

func (w *world) dial(target string, options ...grpc.DialOption) *grpc.ClientConn {
	w.Helper()
	conn, err := grpc.NewClient(target, append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.listen.DialContext(ctx) }))...)
	require.NoError(w, err)
	w.Cleanup(func() { _ = conn.Close() })
	return conn
}

// decide checks a call as package grpcauth does.
func (w *world) decide(ctx context.Context, method string) (context.Context, error) {
	call, _ := metadata.FromIncomingContext(ctx)
	w.mu.Lock()
	w.calls = append(w.calls, call)
	number, refuses := len(w.calls), w.refuses
	w.mu.Unlock()
	if refuses != nil {
		if answer, err := refuses(method, number); answer != nil || err != nil {
			_ = grpc.SetTrailer(ctx, answer)
			return nil, err
		}
	}
	decision := w.auth.Decide(ctx, middleware.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "http", Host: call[":authority"][0], Path: method},
		Header: http.Header(call),
	})
	if !assert.True(w, decision.Allowed(), "%+v", decision.Problem) {
		return nil, assert.AnError
	}
	return decision.Context(ctx), nil
}

func (w *world) unaryServer(ctx context.Context, message any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := w.decide(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, message)
}

func (w *world) streamServer(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if _, err := w.decide(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(server, stream)
}

// received returns the calls that have arrived.
func (w *world) received() []metadata.MD {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]metadata.MD(nil), w.calls...)
}

// unary calls the method without streams, and returns for which organisation.
func (w *world) unary(ctx context.Context) (string, error) {
	response, err := testgrpc.NewTestServiceClient(w.conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return response.GetUsername(), err
}

// stream opens a stream and exchanges one message.
func (w *world) stream(ctx context.Context) error {
	stream, err := testgrpc.NewTestServiceClient(w.conn).FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(&testgrpc.StreamingOutputCallRequest{})
	_ = stream.CloseSend()
	_, err = stream.Recv()
	return err
}

func (w *world) tokenRequests() int { return len(w.helseid.Requests(helseidtest.EndpointToken)) }

// proof returns the claims of a call's proof.
func proof(t testing.TB, call metadata.MD) map[string]any {
	t.Helper()
	require.Len(t, call.Get("authorization"), 1)
	require.Len(t, call.Get("dpop"), 1)
	parts := strings.Split(call.Get("dpop")[0], ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims
}

type api struct {
	testgrpc.UnimplementedTestServiceServer
}

func (api) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Username: string(middleware.Claims(ctx).Organization.Parent)}, nil
}

func (api) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return stream.Send(&testgrpc.StreamingOutputCallResponse{})
}
