package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/helseid-go/sdk/examples/stacks/stacksv1"
	"github.com/helseid-go/sdk/examples/stacks/stacksv1/stacksv1connect"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// connectStack is the API in Connect, whose handlers are net/http's. The guards are
// around them, so clients of all of Connect's protocols are guarded. A guard decides when
// a call begins: that a stream ends with its token is untilExpiry's concern.
func connectStack(auth *middleware.Middleware, everybody middleware.Requirement, own backend) http.Handler {
	guarded := auth.Guard(everybody)
	clinician := auth.Guard(middleware.SecurityLevel(4), middleware.HPRNumber())

	options := connect.WithHandlerOptions(connect.WithRecover(connectRecover), connect.WithInterceptors(untilExpiry{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	path, handler := stacksv1connect.NewApiHandler(&connectAPI{own: own}, options)
	mux.Handle(path, guarded(readUntilExpiry(handler)))
	path, handler = stacksv1connect.NewClinicianHandler(&connectClinician{own: own}, options)
	mux.Handle(path, guarded(clinician(readUntilExpiry(handler))))
	return mux
}

type connectAPI struct{ own backend }

func (a *connectAPI) Caller(ctx context.Context, _ *connect.Request[stacksv1.CallerRequest]) (*connect.Response[stacksv1.CallerResponse], error) {
	return connect.NewResponse(callerMessage(ctx)), nil
}

// Organization refuses by what is in the message, which a guard cannot know.
func (a *connectAPI) Organization(ctx context.Context, request *connect.Request[stacksv1.OrganizationRequest]) (*connect.Response[stacksv1.OrganizationResponse], error) {
	if err := checkOrganization(ctx, request.Msg.GetOrganization()); err != nil {
		refused := connect.NewError(connect.CodePermissionDenied, err)
		refused.Meta().Set("Reason", middleware.ReasonParentOrganization)
		return nil, refused
	}
	return connect.NewResponse(&stacksv1.OrganizationResponse{Organization: request.Msg.GetOrganization()}), nil
}

func (a *connectAPI) Upload(ctx context.Context, stream *connect.ClientStream[stacksv1.Chunk]) (*connect.Response[stacksv1.UploadResponse], error) {
	return connectUpload(ctx, a.own, stream)
}

func (a *connectAPI) Events(ctx context.Context, _ *connect.Request[stacksv1.EventsRequest], stream *connect.ServerStream[stacksv1.Event]) error {
	for event := range a.own.news(ctx) {
		if err := stream.Send(&stacksv1.Event{Text: event.Text}); err != nil {
			return err
		}
	}
	return nil
}

type connectClinician struct{ own backend }

func (c *connectClinician) Caller(ctx context.Context, _ *connect.Request[stacksv1.CallerRequest]) (*connect.Response[stacksv1.CallerResponse], error) {
	return connect.NewResponse(callerMessage(ctx)), nil
}

func (c *connectClinician) Upload(ctx context.Context, stream *connect.ClientStream[stacksv1.Chunk]) (*connect.Response[stacksv1.UploadResponse], error) {
	return connectUpload(ctx, c.own, stream)
}

func connectUpload(ctx context.Context, own backend, stream *connect.ClientStream[stacksv1.Chunk]) (*connect.Response[stacksv1.UploadResponse], error) {
	size, err := own.keep(ctx, &chunks{receive: func() ([]byte, error) {
		if stream.Receive() {
			return stream.Msg().GetData(), nil
		}
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}})
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, errors.New("the document cannot be kept"))
	}
	return connect.NewResponse(&stacksv1.UploadResponse{Size: size}), nil
}

// connectRecover makes an error of a handler's panic.
func connectRecover(context.Context, connect.Spec, http.Header, any) error {
	return connect.NewError(connect.CodeInternal, errors.New("internal error")) // log it
}

// expiryOf returns when the guard would refuse another call with the caller's token. The
// leeway is the default of tokenvalidation.Config.
func expiryOf(ctx context.Context) time.Time {
	return middleware.Claims(ctx).Expiry.Add(5 * time.Second)
}

// readUntilExpiry ends the reading of a request when its token expires, so that no handler
// waits for messages longer than that.
func readUntilExpiry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(expiryOf(r.Context()))
		next.ServeHTTP(w, r)
	})
}

// untilExpiry ends streams when their tokens expire, as package grpcauth does: the
// handler's context ends, receiving and sending fail, and the client learns why. Only a
// message that is being sent to a client that does not read is not given up.
type untilExpiry struct{}

func (untilExpiry) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

func (untilExpiry) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (untilExpiry) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		stream := &expiringStream{conn, expiryOf(ctx)}
		ctx, cancel := context.WithDeadline(ctx, stream.expiry)
		defer cancel()
		return stream.unlessExpired(next(ctx, stream))
	}
}

type expiringStream struct {
	connect.StreamingHandlerConn
	expiry time.Time
}

func (s *expiringStream) Receive(message any) error {
	return s.unlessExpired(s.StreamingHandlerConn.Receive(message))
}

func (s *expiringStream) Send(message any) error {
	if err := s.unlessExpired(nil); err != nil {
		return err
	}
	return s.StreamingHandlerConn.Send(message)
}

// unlessExpired returns the error or, if the token has expired, the refusal for that.
func (s *expiringStream) unlessExpired(err error) error {
	if time.Now().Before(s.expiry) {
		return err
	}
	refused := connect.NewError(connect.CodeUnauthenticated, errors.New("the access token has expired"))
	refused.Meta().Set("Reason", string(tokenvalidation.ReasonExpired))
	return refused
}

// connectClient calls the API. Its HTTP client is that of package helseid.
type connectClient struct {
	api        stacksv1connect.ApiClient
	clinicians stacksv1connect.ClinicianClient
}

func newConnectClient(client *http.Client, url string) connectClient {
	return connectClient{stacksv1connect.NewApiClient(client, url), stacksv1connect.NewClinicianClient(client, url)}
}

func (c connectClient) caller(ctx context.Context) (caller, error) {
	return connectCaller(c.api.Caller(ctx, connect.NewRequest(&stacksv1.CallerRequest{})))
}

func (c connectClient) clinician(ctx context.Context) (caller, error) {
	return connectCaller(c.clinicians.Caller(ctx, connect.NewRequest(&stacksv1.CallerRequest{})))
}

func connectCaller(response *connect.Response[stacksv1.CallerResponse], err error) (caller, error) {
	if err != nil {
		return caller{}, err
	}
	found := response.Msg
	return caller{found.GetClientId(), found.GetOrganization(), found.GetHprNumber()}, nil
}

func (c connectClient) upload(ctx context.Context, document io.Reader) (int64, error) {
	stream := c.api.Upload(ctx)
	buffer := make([]byte, chunkSize)
	for {
		n, err := document.Read(buffer)
		if n > 0 {
			if stream.Send(&stacksv1.Chunk{Data: buffer[:n]}) != nil {
				break // CloseAndReceive says why
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	response, err := stream.CloseAndReceive()
	if err != nil {
		return 0, err
	}
	return response.Msg.GetSize(), nil
}

func (c connectClient) events(ctx context.Context, each func(event)) error {
	stream, err := c.api.Events(ctx, connect.NewRequest(&stacksv1.EventsRequest{}))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		each(event{stream.Msg().GetText()})
	}
	return stream.Err()
}
