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
