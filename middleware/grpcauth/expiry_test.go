package grpcauth_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

// bubble runs a test with a clock of its own, and ends the world's goroutines with it.
func bubble(t *testing.T, options worldOptions, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, options)
		test(t, w)
		_ = w.conn.Close()
		w.server.Stop()
		w.auth.Close()
		w.helseid.Close()
	})
}

func (w *world) duplex(ctx context.Context) testgrpc.TestService_FullDuplexCallClient {
	w.Helper()
	stream, err := testgrpc.NewTestServiceClient(w.conn).FullDuplexCall(ctx)
	require.NoError(w, err)
	return stream
}

func exchange(t *testing.T, stream testgrpc.TestService_FullDuplexCallClient) {
	t.Helper()
	require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{}))
	_, err := stream.Recv()
	require.NoError(t, err)
}

const (
	lifetime = time.Minute
	leeway   = 5 * time.Second // of tokenvalidation.Config, by default
)

// A stream ends when a new call with its token would be refused, and the client learns
// the same as by a new call.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(testgrpc.TestService_FullDuplexCallServer) error{
		"receiving": echo,
		"sending": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			exchangeOne(stream)
			for { // until the client, which reads no more, lets no more through
				if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, 1<<16)}}); err != nil {
					return err
				}
			}
		},
		"waiting": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			exchangeOne(stream)
			<-stream.Context().Done()
			return stream.Context().Err()
		},
		"nothing wrong": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			exchangeOne(stream)
			<-stream.Context().Done()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, worldOptions{}, func(t *testing.T, w *world) {
				ended := make(chan struct{})
				w.api.talk = func(stream testgrpc.TestService_FullDuplexCallServer) error {
					defer close(ended)
					err := wait(stream)
					assert.Equal(t, codes.Unauthenticated, status.Code(context.Cause(stream.Context())))
					assert.Equal(t, codes.Unauthenticated, status.Code(stream.Send(&testgrpc.StreamingOutputCallResponse{})))
					_, again := stream.Recv()
					assert.Equal(t, codes.Unauthenticated, status.Code(again))
					return err
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(w.authorized(duplex, mint.ExpiresIn(lifetime)), 10*lifetime)
				defer cancel()
				stream := w.duplex(ctx)
				exchange(t, stream)
				<-time.After(lifetime - time.Second)
				select {
				case <-ended:
					require.Fail(t, "the stream has ended early")
				default:
				}
				<-ended
				require.InDelta(t, lifetime+leeway, time.Since(start), float64(3*time.Second))
				var err error
				for err == nil {
					_, err = stream.Recv()
				}
				got := answer{trailer: stream.Trailer()}
				require.Equal(t, codes.Unauthenticated, status.Code(err))
				require.Equal(t, "token_expired", got.of("reason"))
				require.Contains(t, got.of("www-authenticate"), `error="invalid_token"`)
				last := w.log()[len(w.log())-1]
				require.Equal(t, "token_expired", last.Reason)
				require.Equal(t, duplex, last.Route)
			})
		})
	}
}

func exchangeOne(stream testgrpc.TestService_FullDuplexCallServer) {
	_, _ = stream.Recv()
	_ = stream.Send(&testgrpc.StreamingOutputCallResponse{})
}

// A handler that wakes because its context has ended sends nothing more, however long it
// takes to end the contexts below it.
func TestNothingIsSentOnceTheContextHasEnded(t *testing.T) {
	t.Parallel()
	bubble(t, worldOptions{}, func(t *testing.T, w *world) {
		w.api.talk = func(stream testgrpc.TestService_FullDuplexCallServer) error {
			exchangeOne(stream)
			for range 100_000 {
				_, cancel := context.WithCancel(stream.Context())
				defer cancel()
			}
			<-stream.Context().Done()
			return stream.Send(&testgrpc.StreamingOutputCallResponse{})
		}
		stream := w.duplex(w.authorized(duplex, mint.ExpiresIn(lifetime)))
		exchange(t, stream)
		_, err := stream.Recv()
		require.Equal(t, codes.Unauthenticated, status.Code(err), "a message has come")
	})
}

// A stream that ends before its token does is not affected, and neither are calls
// without streams.
func TestExpiryAfterTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, worldOptions{}, func(t *testing.T, w *world) {
		stream := w.duplex(w.authorized(duplex, mint.ExpiresIn(lifetime)))
		exchange(t, stream)
		require.NoError(t, stream.CloseSend())
		_, err := stream.Recv()
		require.ErrorIs(t, err, io.EOF)
		records := len(w.log())
		w.api.answer = func(ctx context.Context) error {
			<-time.After(2 * lifetime)
			return ctx.Err()
		}
		_, err = w.unary(w.authorized(unary, mint.ExpiresIn(lifetime)))
		require.NoError(t, err)
		require.Len(t, w.log(), records+1)
	})
}

// A client that gives up ends its stream: nothing is decided about it later.
func TestStreamOfAClientThatGaveUp(t *testing.T) {
	t.Parallel()
	bubble(t, worldOptions{}, func(t *testing.T, w *world) {
		ended := make(chan error, 1)
		w.api.talk = func(stream testgrpc.TestService_FullDuplexCallServer) error {
			err := echo(stream)
			ended <- err
			return err
		}
		ctx, cancel := context.WithCancel(w.authorized(duplex, mint.ExpiresIn(lifetime)))
		exchange(t, w.duplex(ctx))
		cancel()
		require.Equal(t, codes.Canceled, status.Code(<-ended))
		<-time.After(2 * lifetime)
		require.Len(t, w.log(), 1)
	})
}

func TestKeepExpiredStreams(t *testing.T) {
	t.Parallel()
	bubble(t, worldOptions{guard: func(c *grpcauth.Config) { c.KeepExpiredStreams = true }}, func(t *testing.T, w *world) {
		stream := w.duplex(w.authorized(duplex, mint.ExpiresIn(lifetime)))
		exchange(t, stream)
		<-time.After(10 * lifetime)
		exchange(t, stream)
		require.NoError(t, stream.CloseSend())
		_, err := stream.Recv()
		require.ErrorIs(t, err, io.EOF)
	})
}

// A panic when the token expires ends the stream, and goes on where an interceptor can
// recover from it.
func TestPanicWhenTheTokenExpires(t *testing.T) {
	t.Parallel()
	recovered := make(chan any, 1)
	options := worldOptions{
		config: func(c *middleware.Config) {
			audit := c.Audit
			c.Audit = func(ctx context.Context, record middleware.Record) {
				audit(ctx, record)
				if !record.Allowed {
					panic("an audit log")
				}
			}
		},
		server: []grpc.ServerOption{grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			defer func() { recovered <- recover() }()
			return handler(server, stream)
		})},
	}
	bubble(t, options, func(t *testing.T, w *world) {
		recovered = make(chan any, 1)
		stream := w.duplex(w.authorized(duplex, mint.ExpiresIn(lifetime)))
		exchange(t, stream)
		require.Equal(t, "an audit log", <-recovered)
	})
}

// A panic in the midst of sending reaches the handler that sends.
func TestPanicOfAnOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	recovered := make(chan any, 1)
	w.api.talk = func(stream testgrpc.TestService_FullDuplexCallServer) error {
		defer func() { recovered <- recover() }()
		return stream.SendMsg(panicking{})
	}
	got, err := w.streamed(w.authorized(duplex))
	require.NoError(t, err, got)
	require.ErrorContains(t, (<-recovered).(error), "a message")
}

// panicking is a message that cannot be marshalled.
type panicking struct{}

func (panicking) Reset()         { panic(errors.New("a message")) }
func (panicking) String() string { return "" }
func (panicking) ProtoMessage()  { panic(errors.New("a message")) }
func (panicking) Marshal() ([]byte, error) {
	panic(errors.New("a message"))
}
