package main

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/examples/stacks/stacksv1"
	"github.com/helseid-go/sdk/examples/stacks/stacksv1/stacksv1connect"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// newClient is a client of the API, with tokens of its own.
func (w *world) newClient() client {
	w.Helper()
	tokens, err := helseid.New(w.helseid.NewClient(helseidtest.Scopes(scope)))
	require.NoError(w, err)
	w.Cleanup(tokens.Close)
	api, done, err := newClient(w.stack, tokens, helseid.TokenRequest{Scopes: []string{scope}}, w.url)
	require.NoError(w, err)
	w.Cleanup(done)
	return api
}

// Each stack's client is let in, without and with a guard around the stack.
func TestClients(t *testing.T) {
	for name, around := range map[string]bool{"alone": false, "and a guard around": true} {
		t.Run(name, func(t *testing.T) {
			inEachStack(t, func() worldOptions { return worldOptions{around: around} }, func(w *world) {
				api := w.newClient()
				for range 2 {
					found, err := api.caller(w.Context())
					require.NoError(w, err)
					require.Equal(w, organization, found.Organization)
				}
				const size = 5<<20 + 1
				kept, err := api.upload(w.Context(), io.LimitReader(zeros{}, size))
				require.NoError(w, err)
				require.EqualValues(w, size, kept)
				for _, record := range w.log() {
					require.True(w, record.Allowed)
				}
			})
		})
	}
}

// A stream comes as it is made, also behind guards within guards.
func TestStream(t *testing.T) {
	for name, around := range map[string]bool{"alone": false, "and a guard around": true} {
		t.Run(name, func(t *testing.T) {
			received := make(chan string)
			news := func(ctx context.Context) iter.Seq[event] {
				return func(yield func(event) bool) {
					for _, text := range []string{"one", "two", "three"} {
						if !yield(event{text}) {
							return
						}
						select { // the next one is made when this one has arrived
						case got := <-received:
							if got != text {
								return
							}
						case <-ctx.Done():
							return
						}
					}
				}
			}
			inEachStack(t, func() worldOptions { return worldOptions{around: around, own: backend{news: news}} }, func(w *world) {
				ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
				defer cancel()
				var all []string
				require.NoError(w, w.newClient().events(ctx, func(event event) {
					all = append(all, event.Text)
					received <- event.Text
				}))
				require.Equal(w, []string{"one", "two", "three"}, all)
			})
		})
	}
}

// A stream ends when its token is not accepted any more, also while its handler waits. The
// client learns why.
func TestStreamsEndWithTheirTokens(t *testing.T) {
	waiting := backend{
		keep: measure,
		news: func(ctx context.Context) iter.Seq[event] {
			return func(yield func(event) bool) {
				if yield(event{"one"}) {
					<-ctx.Done()
					yield(event{"two"})
				}
			}
		},
	}
	for name, test := range map[string]struct {
		stack string
		http2 bool
		speak []connect.ClientOption
	}{
		"connect over HTTP/1.1": {stack: "connect"},
		"connect over HTTP/2":   {stack: "connect", http2: true},
		"connect's gRPC":        {stack: "connect", http2: true, speak: []connect.ClientOption{connect.WithGRPC()}},
		"gRPC":                  {stack: "grpc", http2: true, speak: []connect.ClientOption{connect.WithGRPC()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.stack, worldOptions{own: waiting})
			protocols := w.client.Transport.(*http.Transport).Protocols
			protocols.SetHTTP1(!test.http2)
			protocols.SetUnencryptedHTTP2(test.http2)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			const left = 2 * time.Second
			token := []mint.TokenOption{ // which the leeway of five seconds still accepts
				mint.Claim("iat", time.Now().Add(-time.Minute).Unix()), mint.Claim("nbf", time.Now().Add(-time.Minute).Unix()),
				mint.Claim("exp", time.Now().Add(left-5*time.Second).Unix()),
			}
			api := stacksv1connect.NewApiClient(&http.Client{Transport: &authorizing{w, token}}, w.url, test.speak...)
			events, err := api.Events(ctx, connect.NewRequest(&stacksv1.EventsRequest{}))
			require.NoError(t, err)
			require.True(t, events.Receive(), "%v", events.Err())
			upload := api.Upload(ctx)
			require.NoError(t, upload.Send(&stacksv1.Chunk{Data: []byte("text")}))

			require.False(t, events.Receive(), "a message has come after the token's end")
			requireExpired(t, events.Err())
			for err = nil; err == nil; <-time.After(10 * time.Millisecond) {
				err = upload.Send(&stacksv1.Chunk{Data: []byte("text")})
			}
			_, err = upload.CloseAndReceive()
			requireExpired(t, err)
			require.NoError(t, events.Close())
		})
	}
}

func requireExpired(t *testing.T, err error) {
	t.Helper()
	var refused *connect.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, connect.CodeUnauthenticated, refused.Code(), "%v", err)
	require.Equal(t, "token_expired", refused.Meta().Get("Reason"))
}

// authorizing puts tokens and proofs on requests.
type authorizing struct {
	world *world
	token []mint.TokenOption
}

func (a *authorizing) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	a.world.helseid.Authorize(request, a.world.helseid.Token(a.token...))
	return a.world.client.Transport.RoundTrip(request)
}

// Each client learns that it has been refused, in each kind of call.
func TestClientsAreRefused(t *testing.T) {
	refusing := func() worldOptions {
		return worldOptions{everybody: middleware.Scope("nhn:test-api/other"), own: backend{
			keep: func(context.Context, io.Reader) (int64, error) { panic("it was let in") },
			news: func(context.Context) iter.Seq[event] { panic("it was let in") },
		}}
	}
	inEachStack(t, refusing, func(w *world) {
		api := w.newClient()
		calls := []func() error{
			func() error { _, err := api.caller(w.Context()); return err },
			func() error { _, err := api.upload(w.Context(), bytes.NewReader([]byte("text"))); return err },
			func() error { return api.events(w.Context(), func(event) {}) },
		}
		for i, call := range calls {
			err := call()
			switch w.stack {
			case "grpc":
				var refused *grpccredentials.RefusedError
				require.ErrorAs(w, err, &refused)
				require.Equal(w, "scope", refused.Reason)
				require.Equal(w, "PermissionDenied", status.Code(err).String())
			case "connect":
				require.Equal(w, connect.CodePermissionDenied, connect.CodeOf(err), "%v", err)
			default:
				require.ErrorContains(w, err, "403 Forbidden: scope")
			}
			require.Equal(w, "scope", w.log()[i].Reason)
		}
	})
}

// A panic ends the call and nothing else. What the caller sees of it is the stack's own.
func TestPanics(t *testing.T) {
	panics := func() worldOptions {
		return worldOptions{own: backend{
			keep: func(context.Context, io.Reader) (int64, error) { panic("an archive") },
			news: func(context.Context) iter.Seq[event] { panic("a feed") },
		}}
	}
	inEachStack(t, panics, func(w *world) {
		api := w.newClient()
		_, err := api.upload(w.Context(), bytes.NewReader([]byte("text")))
		require.Error(w, err)
		require.Error(w, api.events(w.Context(), func(event) {}))
		switch w.stack {
		case "grpc":
			require.Equal(w, "Internal", status.Code(err).String())
		case "connect":
			require.Equal(w, connect.CodeInternal, connect.CodeOf(err))
		}
		_, err = api.caller(w.Context())
		require.NoError(w, err)
		for _, record := range w.log() {
			require.True(w, record.Allowed)
		}
	})
}

// A requirement that panics lets nobody in, in Connect and gRPC as in the routers.
func TestRequirementThatPanicsInRPC(t *testing.T) {
	for _, name := range []string{"connect", "grpc"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, name, worldOptions{everybody: func(context.Context, *tokenvalidation.Claims) error { panic("a requirement") }})
			api := w.newClient()
			_, err := api.caller(t.Context())
			require.Error(t, err)
			require.Error(t, api.events(t.Context(), func(event) { t.Error("it was let in") }))
			for _, record := range w.log() {
				require.False(t, record.Allowed)
				require.Equal(t, "panicked", record.Reason)
			}
		})
	}
}

// All clients answer a demand for a nonce by themselves.
func TestClientsAnswerNonces(t *testing.T) {
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	require.NoError(t, err)
	demanding := func() worldOptions {
		return worldOptions{config: func(c *middleware.Config) { c.Proof.Nonces = nonces }}
	}
	inEachStack(t, demanding, func(w *world) {
		api := w.newClient()
		_, err := api.caller(w.Context())
		require.NoError(w, err)
		_, err = api.upload(w.Context(), bytes.NewReader([]byte("text")))
		require.NoError(w, err)
		require.NoError(w, api.events(w.Context(), func(event) {}))
		require.Equal(w, "proof_nonce", w.log()[0].Reason)
		require.Len(w, w.log(), 4)
	})
}

// The organisation in a message must be the token's.
func TestOrganizationInRPC(t *testing.T) {
	for _, name := range []string{"connect", "grpc"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, name, plain())
			for path, in := range map[string]bool{"/organizations/" + organization: true, "/organizations/" + neighbour: false, "/organizations/": false} {
				request := w.newRequest(path)
				w.helseid.Authorize(request, w.helseid.Token())
				got := w.send(request)
				require.Equal(t, in, got.Status == http.StatusOK && (got.code == "" || got.code == "OK"), got)
				if !in {
					require.Equal(t, "parent_organization", got.Header.Get("Reason"))
				}
			}
			request := w.newRequest("/organizations/")
			w.helseid.Authorize(request, w.helseid.Token(mint.Organization("", "", "")))
			require.Equal(t, "parent_organization", w.send(request).Header.Get("Reason"))
		})
	}
}

// Only the check of the server's health is open.
func TestHealthOfGRPC(t *testing.T) {
	w := newWorld(t, "grpc", plain())
	conn, err := grpc.NewClient(w.url[len("http://"):], grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Empty(t, w.log())
	_, err = grpcClient{conn}.caller(t.Context())
	require.Equal(t, "Unauthenticated", status.Code(err).String())
	require.Equal(t, "Unauthenticated", status.Code(grpcClient{conn}.events(t.Context(), func(event) {})).String())
	_, err = grpcClient{conn}.upload(t.Context(), bytes.NewReader(nil))
	require.Equal(t, "Unauthenticated", status.Code(err).String())
}
