package grpcauth_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

const (
	testScope   = mint.DefaultAudience + "/read"
	publicURL   = "https://api.example.no"
	service     = "grpc.testing.TestService"
	unary       = "/" + service + "/UnaryCall"
	emptyCall   = "/" + service + "/EmptyCall"
	download    = "/" + service + "/StreamingOutputCall"
	upload      = "/" + service + "/StreamingInputCall"
	duplex      = "/" + service + "/FullDuplexCall"
	healthCheck = "grpc.health.v1.Health"
)

// world is a HelseID in memory and a gRPC server behind a guard.
type world struct {
	testing.TB
	helseid *helseidtest.Server
	auth    *middleware.Middleware
	guard   *grpcauth.Guard
	server  *grpc.Server
	api     *api
	conn    *grpc.ClientConn

	mu      sync.Mutex
	records []middleware.Record
}

type worldOptions struct {
	config func(*middleware.Config)
	guard  func(*grpcauth.Config)
	server []grpc.ServerOption // before the guard's
}

// newWorld starts everything.
func newWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	w := newServer(t, options)
	listener := bufconn.Listen(1 << 16)
	w.serve(listener)
	w.conn = w.dial("passthrough:///bufconn", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	return w
}

// newServer makes a world that nobody can call yet.
func newServer(t testing.TB, options worldOptions) *world {
	t.Helper()
	w := &world{TB: t, helseid: helseidtest.NewServer(t, helseidtest.InMemory()), api: &api{}}
	config := middleware.Config{Issuer: w.helseid.Issuer(), Audience: mint.DefaultAudience, PublicURL: publicURL, Audit: w.audit}
	config.Token.HTTPClient = w.helseid.HTTPClient()
	config.Proof.AcceptProofsFromBeforeStart = true // proofs may be made in the second before
	if options.config != nil {
		options.config(&config)
	}
	var err error
	w.auth, err = middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(w.auth.Close)
	guarded := grpcauth.Config{
		Auth:     w.auth,
		Services: map[string][]middleware.Requirement{service: {middleware.Scope(testScope)}},
		Methods:  map[string][]middleware.Requirement{emptyCall: {middleware.User()}},
		Open:     []string{healthCheck},
	}
	if options.guard != nil {
		options.guard(&guarded)
	}
	w.guard, err = grpcauth.New(guarded)
	require.NoError(t, err)
	w.server = grpc.NewServer(append(options.server, w.guard.ServerOptions()...)...)
	w.api.guard = w.guard
	testgrpc.RegisterTestServiceServer(w.server, w.api)
	healthgrpc.RegisterHealthServer(w.server, health.NewServer())
	return w
}

func (w *world) serve(listener net.Listener) {
	go func() { _ = w.server.Serve(listener) }()
	w.Cleanup(w.server.Stop)
}

func (w *world) dial(target string, options ...grpc.DialOption) *grpc.ClientConn {
	w.Helper()
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)...)
	require.NoError(w, err)
	w.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (w *world) audit(_ context.Context, record middleware.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, record)
}

func (w *world) log() []middleware.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]middleware.Record(nil), w.records...)
}

// authorized is the context of a call with a token and a proof for the method.
func (w *world) authorized(method string, options ...mint.TokenOption) context.Context {
	w.Helper()
	token := w.helseid.Token(options...)
	return with(w.Context(), "authorization", "DPoP "+token, "dpop", w.helseid.Proof("POST", publicURL+method, token))
}

func with(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// unary calls the unary method.
func (w *world) unary(ctx context.Context) (answer, error) {
	var found answer
	_, err := testgrpc.NewTestServiceClient(w.conn).UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Header(&found.header), grpc.Trailer(&found.trailer))
	return found, err
}

// empty calls the unary method for users alone.
func (w *world) empty(ctx context.Context) (answer, error) {
	var found answer
	_, err := testgrpc.NewTestServiceClient(w.conn).EmptyCall(ctx, &testgrpc.Empty{}, grpc.Header(&found.header), grpc.Trailer(&found.trailer))
	return found, err
}

// streamed calls the method with streams in both directions, with one message.
func (w *world) streamed(ctx context.Context) (answer, error) {
	stream, err := testgrpc.NewTestServiceClient(w.conn).FullDuplexCall(ctx)
	if err != nil {
		return answer{}, err
	}
	if err := stream.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil && !errors.Is(err, io.EOF) {
		return answer{}, err
	}
	_ = stream.CloseSend()
	for {
		if _, err = stream.Recv(); err != nil {
			break
		}
	}
	header, _ := stream.Header()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return answer{header, stream.Trailer()}, err
}

type answer struct{ header, trailer metadata.MD }

// of is the only value of a key, or "".
func (a answer) of(key string) string { return strings.Join(a.trailer.Get(key), " and ") }

// requireRefused is the refusal of a call.
func (w *world) requireRefused(reason, code string, got answer, err error) {
	w.Helper()
	require.Error(w, err)
	require.Equal(w, code, status.Code(err).String(), err.Error())
	require.Equal(w, reason, got.of("reason"))
	require.Equal(w, code != "Unavailable", got.of("www-authenticate") != "")
	require.Zero(w, w.api.reached())
}

// api counts the calls that reach its methods.
type api struct {
	testgrpc.UnimplementedTestServiceServer
	guard *grpcauth.Guard

	mu      sync.Mutex
	callers []context.Context
	answer  func(ctx context.Context) error                              // of unary calls
	talk    func(stream testgrpc.TestService_FullDuplexCallServer) error // of streams
}

func (a *api) reach(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.callers = append(a.callers, ctx)
}

func (a *api) reached() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.callers)
}

func (a *api) caller() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.callers[len(a.callers)-1]
}

func (a *api) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	a.reach(ctx)
	if a.answer != nil {
		if err := a.answer(ctx); err != nil {
			return nil, err
		}
	}
	return &testgrpc.SimpleResponse{Username: middleware.Claims(ctx).ClientID}, nil
}

func (a *api) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	a.reach(ctx)
	return &testgrpc.Empty{}, nil
}

func (a *api) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	a.reach(stream.Context())
	if a.talk != nil {
		return a.talk(stream)
	}
	return echo(stream)
}

// echo answers each message with one.
func echo(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: message.Payload}); err != nil {
			return err
		}
	}
}
