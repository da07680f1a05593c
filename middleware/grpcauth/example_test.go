package grpcauth_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
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

// journal is a service: generated code for it would come from your own .proto file.
type journal struct {
	testgrpc.UnimplementedTestServiceServer
	guard *grpcauth.Guard
}

// UnaryCall finds the caller in its context.
func (j journal) UnaryCall(ctx context.Context, request *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	caller := middleware.Claims(ctx)
	if sensitive := request.GetResponseSize() > 0; sensitive && caller.User.SecurityLevel < 4 {
		return nil, j.guard.Refuse(ctx, &middleware.Denial{Reason: "sensitive", Detail: "log in at level 4", ACRValues: "Level4"})
	}
	return &testgrpc.SimpleResponse{Username: "HPR number " + string(caller.User.HPRNumber)}, nil
}

// exampleAuth is a HelseID and the decisions of an API that trusts it.
func exampleAuth() (*helseidtest.Server, *middleware.Middleware) {
	server, err := helseidtest.Start(helseidtest.InMemory()) // in a test: helseidtest.NewServer(t)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	config := middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience, PublicURL: "https://api.example.no"}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	return server, auth
}

// exampleGuard says who may call what.
func exampleGuard(auth *middleware.Middleware) *grpcauth.Guard {
	guard, err := grpcauth.New(grpcauth.Config{
		Auth: auth,
		Services: map[string][]middleware.Requirement{
			testgrpc.TestService_ServiceDesc.ServiceName: {middleware.User()},
		},
		Methods: map[string][]middleware.Requirement{
			testgrpc.TestService_UnaryCall_FullMethodName: {middleware.HPRNumber()},
		},
		Open: []string{healthgrpc.Health_ServiceDesc.ServiceName},
	})
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	return guard
}

// A server and the outcomes of three calls.
func Example() {
	helseid, auth := exampleAuth()
	defer helseid.Close()
	defer auth.Close()
	guard := exampleGuard(auth)
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, journal{guard: guard})
	listener := bufconn.Listen(1 << 16) // in a program: net.Listen("tcp", "127.0.0.1:8080")
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	conn, err := grpc.NewClient("passthrough:///api.example.no", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// Package helseid/grpccredentials does this for clients.
	call := func(token string, size int32) {
		proof := helseid.Proof("POST", "https://api.example.no"+testgrpc.TestService_UnaryCall_FullMethodName, token)
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "DPoP "+token, "dpop", proof)
		var trailer metadata.MD
		response, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseSize: size}, grpc.Trailer(&trailer))
		if err != nil {
			fmt.Println(status.Code(err), strings.Join(trailer.Get("reason"), ""))
			return
		}
		fmt.Println(response.GetUsername())
	}
	call(helseid.Token(mint.Clinician()), 0)
	call(helseid.Token(), 0)
	call(helseid.Token(mint.Clinician(), mint.SecurityLevel(3)), 1)
	// Output:
	// HPR number 565505933
	// PermissionDenied user
	// Unauthenticated sensitive
}

// The interceptors, for a server that has others.
func ExampleGuard_Unary() {
	helseid, auth := exampleAuth()
	defer helseid.Close()
	defer auth.Close()
	guard := exampleGuard(auth)
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(recoverUnary, guard.Unary()),
		grpc.ChainStreamInterceptor(recoverStream, guard.Stream()),
	)
	fmt.Println(len(server.GetServiceInfo()), "services")
	// Output: 0 services
}

func recoverUnary(ctx context.Context, message any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(ctx, message) // with a deferred recover
}

func recoverStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(server, stream) // with a deferred recover
}

// A method that nobody has been named for is found when the server starts.
func ExampleGuard_Check() {
	helseid, auth := exampleAuth()
	defer helseid.Close()
	defer auth.Close()
	guard, err := grpcauth.New(grpcauth.Config{Auth: auth, Open: []string{"/grpc.health.v1.Health/Check"}})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	healthgrpc.RegisterHealthServer(server, healthgrpc.UnimplementedHealthServer{})
	fmt.Println(guard.Check(server))
	// Output:
	// grpcauth: configuration: /grpc.health.v1.Health/List is not named: nobody may call it
	// /grpc.health.v1.Health/Watch is not named: nobody may call it
}
