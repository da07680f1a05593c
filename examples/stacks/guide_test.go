package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/helseid-go/sdk/examples/stacks/stacksv1"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

// The code of the guide to gRPC.

// newGuideAPI is the server of the guide.
func newGuideAPI(t *testing.T, issuer, publicURL string) *grpc.Server {
	t.Helper()
	// region server
	config := middleware.Config{Issuer: helseid.Test.Issuer(), Audience: "nhn:some-api", PublicURL: "https://api.example.no"}
	config.Issuer, config.PublicURL, config.Token.Leeway = issuer, publicURL, time.Second // hide
	auth, err := middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(auth.Close) // hide
	read := middleware.Scope("nhn:some-api/read")
	guard, err := grpcauth.New(grpcauth.Config{
		Auth: auth,
		Services: map[string][]middleware.Requirement{
			stacksv1.Api_ServiceDesc.ServiceName:       {read},
			stacksv1.Clinician_ServiceDesc.ServiceName: {read, middleware.SecurityLevel(4)},
		},
		Methods: map[string][]middleware.Requirement{ // in addition
			stacksv1.Clinician_Caller_FullMethodName: {middleware.HPRNumber()},
		},
		Open: []string{healthpb.Health_ServiceDesc.ServiceName}, // to everybody
	})
	require.NoError(t, err)
	server := grpc.NewServer(guard.ServerOptions()...) // with grpc.Creds, or behind a proxy with TLS
	stacksv1.RegisterApiServer(server, &api{guard: guard})
	stacksv1.RegisterClinicianServer(server, clinician{})
	healthpb.RegisterHealthServer(server, health.NewServer())
	err = guard.Check(server) // a name that is misspelt, a method that was forgotten
	// endregion
	require.NoError(t, err)
	return server
}

type api struct {
	stacksv1.UnimplementedApiServer
	guard *grpcauth.Guard
}

// region handler

func (a *api) Organization(ctx context.Context, request *stacksv1.OrganizationRequest) (*stacksv1.OrganizationResponse, error) {
	parent := middleware.Claims(ctx).Organization.Parent // Claims is nil in Open methods alone
	if parent == "" || request.GetOrganization() != string(parent) {
		return nil, a.guard.Refuse(ctx, &middleware.Denial{Reason: "organization", Detail: "ask for your own organisation"})
	}
	return &stacksv1.OrganizationResponse{Organization: string(parent)}, nil
}

// endregion

// Events sends one event and then waits until it may not go on.
func (a *api) Events(_ *stacksv1.EventsRequest, stream grpc.ServerStreamingServer[stacksv1.Event]) error {
	if err := stream.Send(&stacksv1.Event{Text: "begun"}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

type clinician struct {
	stacksv1.UnimplementedClinicianServer
}

func (clinician) Caller(ctx context.Context, _ *stacksv1.CallerRequest) (*stacksv1.CallerResponse, error) {
	return callerMessage(ctx), nil
}

// A client needs no connection before it calls.
func TestGuideClient(t *testing.T) {
	issuer := helseidtest.NewServer(t)
	client, err := helseid.New(issuer.NewClient(helseidtest.Scopes("nhn:some-api/read")))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	// region client
	tokens, err := grpccredentials.New(grpccredentials.Config{
		Tokens: client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}),
		Origin: "https://api.example.no", // no other host gets a token
	})
	require.NoError(t, err)
	conn, err := grpc.NewClient("api.example.no:443", append(tokens.DialOptions(),
		grpc.WithTransportCredentials(credentials.NewTLS(nil)))...)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	api := stacksv1.NewApiClient(conn)
	// endregion
	require.NotNil(t, api)
}

// A stream ends with its token, and the client opens another one.
func TestGuideStreams(t *testing.T) {
	t.Parallel()
	newAPI := func(issuer, publicURL string) *grpc.Server { return newGuideAPI(t, issuer, publicURL) }
	// region clienttest
	server := helseidtest.NewServer(t, helseidtest.TokenLifetime(2*time.Second)) // so that streams end soon
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	origin := "http://" + listener.Addr().String()
	api := newAPI(server.Issuer(), origin)
	go func() { _ = api.Serve(listener) }()
	defer api.Stop()
	client, err := helseid.New(server.NewClient(helseidtest.Scopes("nhn:some-api/read")))
	require.NoError(t, err)
	defer client.Close() // hide
	tokens, err := grpccredentials.New(grpccredentials.Config{
		Tokens:                 client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}),
		Origin:                 origin,
		AllowPlaintextLoopback: true,
	})
	require.NoError(t, err)
	conn, err := grpc.NewClient(listener.Addr().String(), tokens.DialOptions()...)
	// endregion
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	calls := stacksv1.NewApiClient(conn)

	ctx, cancel := context.WithCancel(t.Context())
	var begun atomic.Int32
	err = follow(ctx, calls, func(*stacksv1.Event) {
		if begun.Add(1) == 2 {
			cancel()
		}
	})
	require.ErrorContains(t, err, "canceled")
	require.EqualValues(t, 2, begun.Load())

	var refused *grpccredentials.RefusedError
	_, err = calls.Organization(t.Context(), &stacksv1.OrganizationRequest{Organization: neighbour})
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "organization", refused.Reason)
	found, err := calls.Organization(t.Context(), &stacksv1.OrganizationRequest{Organization: organization})
	require.NoError(t, err)
	require.Equal(t, organization, found.GetOrganization())
}

// region stream

// follow receives events until the API has sent all of them, across the ends of tokens.
func follow(ctx context.Context, api stacksv1.ApiClient, handle func(*stacksv1.Event)) error {
	for {
		opened := time.Now()
		stream, err := api.Events(ctx, &stacksv1.EventsRequest{})
		for err == nil {
			var event *stacksv1.Event
			if event, err = stream.Recv(); err == nil {
				handle(event)
			}
		}
		var refused *grpccredentials.RefusedError
		expired := errors.As(err, &refused) && refused.Reason == "token_expired"
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case !expired || time.Since(opened) < time.Second: // if a clock is wrong, new tokens are refused at once
			return err
		}
	}
}

// endregion

func TestGuideTest(t *testing.T) {
	t.Parallel()
	newAPI := func(issuer, publicURL string) *grpc.Server { return newGuideAPI(t, issuer, publicURL) }
	// region test
	server := helseidtest.NewServer(t)
	api := newAPI(server.Issuer(), "https://api.example.no") // your own *grpc.Server, and its PublicURL
	listener := bufconn.Listen(1 << 20)
	go func() { _ = api.Serve(listener) }()
	defer api.Stop()
	conn, err := grpc.NewClient("passthrough:///api.example.no", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	for level, want := range map[identity.SecurityLevel]string{4: "", 3: "security_level"} {
		token := server.Token(mint.Clinician(), mint.Audience("nhn:some-api"), mint.SecurityLevel(int(level)))
		method := stacksv1.Clinician_Caller_FullMethodName
		proof := server.Proof("POST", "https://api.example.no"+method, token)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "DPoP "+token, "dpop", proof)
		var trailer metadata.MD
		_, err := stacksv1.NewClinicianClient(conn).Caller(ctx, &stacksv1.CallerRequest{}, grpc.Trailer(&trailer))
		reason := strings.Join(trailer.Get("reason"), "")
		if reason != want || (err == nil) != (want == "") {
			t.Error(level, reason, err)
		}
	}
	// endregion
}
