package grpccredentials_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// journalServer is an API that package middleware/grpcauth would guard.
type journalServer struct {
	testgrpc.UnimplementedTestServiceServer
}

// UnaryCall says what has come with the call.
func (journalServer) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	call, _ := metadata.FromIncomingContext(ctx)
	return &testgrpc.SimpleResponse{Username: fmt.Sprintf("a token: %t, a proof: %t", len(call["authorization"]) == 1, len(call["dpop"]) == 1)}, nil
}

// A client of an API on this machine. An API elsewhere has an Origin with https, needs
// transport credentials, and no AllowPlaintextLoopback.
func Example() {
	server, err := helseidtest.Start(helseidtest.InMemory()) // in a test: helseidtest.NewServer(t)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := helseid.New(server.NewClient(helseidtest.Scopes("nhn:some-api/read")))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	tokens, err := grpccredentials.New(grpccredentials.Config{
		Tokens:                 client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}),
		Origin:                 "http://localhost",
		AllowPlaintextLoopback: true,
	})
	if err != nil {
		log.Fatal(err)
	}

	listener := bufconn.Listen(1 << 16)
	api := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(api, journalServer{})
	go func() { _ = api.Serve(listener) }()
	defer api.Stop()

	conn, err := grpc.NewClient("passthrough:///localhost", append(tokens.DialOptions(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	response, err := testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	var refused *grpccredentials.RefusedError
	switch {
	case errors.As(err, &refused):
		fmt.Println("refused:", refused.Reason)
	case errors.Is(err, helseid.ErrNoToken):
		fmt.Println("nothing was sent:", err)
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(response.GetUsername())
	}
	// Output: a token: true, a proof: true
}
