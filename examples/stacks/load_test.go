package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

// echoService answers each message with it, in single calls and in streams.
type echoService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (echoService) UnaryCall(_ context.Context, request *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Payload: request.GetPayload()}, nil
}

func (echoService) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: request.GetPayload()}); err != nil {
			return err
		}
	}
}

// Tokens that live for five seconds lose no call, neither of those that make one call
// each nor of those in streams, which end with their tokens and are opened again.
func TestShortTokensLoseNoCall(t *testing.T) {
	t.Parallel()
	const (
		lifetime = 5 * time.Second
		callers  = 16  // of each kind
		calls    = 313 // by each of them, so 10 016 in all
		pause    = 3 * lifetime / 2 / calls
	)
	issuer := helseidtest.NewServer(t, helseidtest.TokenLifetime(lifetime))
	config := middleware.Config{Issuer: issuer.Issuer(), Audience: mint.DefaultAudience}
	config.Proof.AcceptProofsFromBeforeStart = true
	config.Token.Leeway = time.Second
	auth, err := middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	guard, err := grpcauth.New(grpcauth.Config{
		Auth:     auth,
		Services: map[string][]middleware.Requirement{testgrpc.TestService_ServiceDesc.ServiceName: {middleware.Scope(scope)}},
	})
	require.NoError(t, err)
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, echoService{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	tokens, err := helseid.New(issuer.NewClient(helseidtest.Scopes(scope)))
	require.NoError(t, err)
	t.Cleanup(tokens.Close)
	conn, err := newConnection(tokens, helseid.TokenRequest{Scopes: []string{scope}}, "http://"+listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	api := testgrpc.NewTestServiceClient(conn)

	var answered, ended atomic.Int64
	var group sync.WaitGroup
	for caller := range callers {
		message := func(call int) *testgrpc.Payload {
			return &testgrpc.Payload{Body: []byte{byte(caller), byte(call), byte(call >> 8)}}
		}
		group.Go(func() {
			for call := range calls {
				want := message(call)
				response, err := api.UnaryCall(t.Context(), &testgrpc.SimpleRequest{Payload: want})
				if assert.NoError(t, err) && assert.Equal(t, want.GetBody(), response.GetPayload().GetBody()) {
					answered.Add(1)
				}
				<-time.After(pause)
			}
		})
		group.Go(func() {
			var stream testgrpc.TestService_FullDuplexCallClient
			for call := 0; call < calls; {
				if stream == nil {
					var err error
					if stream, err = api.FullDuplexCall(t.Context()); !assert.NoError(t, err) {
						return
					}
				}
				want := message(call)
				_ = stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: want}) // Recv says why it failed
				response, err := stream.Recv()
				var refused *grpccredentials.RefusedError
				if errors.As(err, &refused) && refused.Reason == "token_expired" {
					ended.Add(1)
					stream = nil // and the message is sent again
					continue
				}
				if assert.NoError(t, err) && assert.Equal(t, want.GetBody(), response.GetPayload().GetBody()) {
					answered.Add(1)
				}
				call++
				<-time.After(pause)
			}
			assert.NoError(t, stream.CloseSend())
		})
	}
	group.Wait()
	require.EqualValues(t, 2*callers*calls, answered.Load())
	require.GreaterOrEqual(t, ended.Load(), int64(callers), "each stream has outlived a token")
	require.GreaterOrEqual(t, len(issuer.Requests(helseidtest.EndpointToken)), 2)
}
