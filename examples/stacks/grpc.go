package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/examples/stacks/stacksv1"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

// grpcStack is the API in gRPC. The guard comes after the interceptors that recover from
// panics.
func grpcStack(auth *middleware.Middleware, everybody middleware.Requirement, own backend) (*grpc.Server, error) {
	guard, err := grpcauth.New(grpcauth.Config{Auth: auth, Services: map[string][]middleware.Requirement{
		stacksv1.Api_ServiceDesc.ServiceName:       {everybody},
		stacksv1.Clinician_ServiceDesc.ServiceName: {everybody, middleware.SecurityLevel(4), middleware.HPRNumber()},
	}, Open: []string{healthpb.Health_ServiceDesc.ServiceName}})
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(recoverUnary),
		grpc.ChainStreamInterceptor(recoverStream),
	}, guard.ServerOptions()...)...)
	stacksv1.RegisterApiServer(server, &grpcAPI{own: own, guard: guard})
	stacksv1.RegisterClinicianServer(server, &grpcClinician{own: own})
	healthpb.RegisterHealthServer(server, health.NewServer())
	return server, guard.Check(server)
}

type grpcAPI struct {
	stacksv1.UnimplementedApiServer
	own   backend
	guard *grpcauth.Guard
}

func (a *grpcAPI) Caller(ctx context.Context, _ *stacksv1.CallerRequest) (*stacksv1.CallerResponse, error) {
	return callerMessage(ctx), nil
}

// Organization refuses by what is in the message, which an interceptor cannot know.
func (a *grpcAPI) Organization(ctx context.Context, request *stacksv1.OrganizationRequest) (*stacksv1.OrganizationResponse, error) {
	if err := checkOrganization(ctx, request.GetOrganization()); err != nil {
		return nil, a.guard.Refuse(ctx, err)
	}
	return &stacksv1.OrganizationResponse{Organization: request.GetOrganization()}, nil
}

func (a *grpcAPI) Upload(stream grpc.ClientStreamingServer[stacksv1.Chunk, stacksv1.UploadResponse]) error {
	return grpcUpload(a.own, stream)
}

func (a *grpcAPI) Events(_ *stacksv1.EventsRequest, stream grpc.ServerStreamingServer[stacksv1.Event]) error {
	for event := range a.own.news(stream.Context()) {
		if err := stream.Send(&stacksv1.Event{Text: event.Text}); err != nil {
			return err
		}
	}
	return nil
}

type grpcClinician struct {
	stacksv1.UnimplementedClinicianServer
	own backend
}

func (c *grpcClinician) Caller(ctx context.Context, _ *stacksv1.CallerRequest) (*stacksv1.CallerResponse, error) {
	return callerMessage(ctx), nil
}

func (c *grpcClinician) Upload(stream grpc.ClientStreamingServer[stacksv1.Chunk, stacksv1.UploadResponse]) error {
	return grpcUpload(c.own, stream)
}

func grpcUpload(own backend, stream grpc.ClientStreamingServer[stacksv1.Chunk, stacksv1.UploadResponse]) error {
	size, err := own.keep(stream.Context(), &chunks{receive: func() ([]byte, error) {
		chunk, err := stream.Recv()
		return chunk.GetData(), err
	}})
	switch _, refused := status.FromError(err); {
	case err == nil:
		return stream.SendAndClose(&stacksv1.UploadResponse{Size: size})
	case refused: // by the guard, because the token has expired meanwhile
		return err
	}
	return status.Error(codes.Internal, "the document cannot be kept")
}

var errPanicked = status.Error(codes.Internal, "internal error")

func recoverUnary(ctx context.Context, message any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
	defer func() {
		if recover() != nil { // log it
			err = errPanicked
		}
	}()
	return handler(ctx, message)
}

func recoverStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if recover() != nil { // log it
			err = errPanicked
		}
	}()
	return handler(server, stream)
}

// grpcClient calls the API. The connection has the options of package grpccredentials.
type grpcClient struct{ conn grpc.ClientConnInterface }

func (c grpcClient) caller(ctx context.Context) (caller, error) {
	found, err := stacksv1.NewApiClient(c.conn).Caller(ctx, &stacksv1.CallerRequest{})
	return caller{found.GetClientId(), found.GetOrganization(), found.GetHprNumber()}, err
}

func (c grpcClient) clinician(ctx context.Context) (caller, error) {
	found, err := stacksv1.NewClinicianClient(c.conn).Caller(ctx, &stacksv1.CallerRequest{})
	return caller{found.GetClientId(), found.GetOrganization(), found.GetHprNumber()}, err
}

func (c grpcClient) upload(ctx context.Context, document io.Reader) (int64, error) {
	stream, err := stacksv1.NewApiClient(c.conn).Upload(ctx)
	if err != nil {
		return 0, err
	}
	buffer := make([]byte, chunkSize)
	for {
		n, err := document.Read(buffer)
		if n > 0 {
			if stream.Send(&stacksv1.Chunk{Data: buffer[:n]}) != nil {
				break // CloseAndRecv says why
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	response, err := stream.CloseAndRecv()
	return response.GetSize(), err
}

func (c grpcClient) events(ctx context.Context, each func(event)) error {
	stream, err := stacksv1.NewApiClient(c.conn).Events(ctx, &stacksv1.EventsRequest{})
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		each(event{message.GetText()})
	}
}
