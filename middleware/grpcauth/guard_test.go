package grpcauth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

// calls are a call without streams and one with them, of the same service.
func calls(w *world) map[string]func(context.Context) (answer, error) {
	return map[string]func(context.Context) (answer, error){unary: w.unary, duplex: w.streamed}
}

// Handlers find the caller where those of net/http do.
func TestAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	for method, call := range calls(w) {
		_, err := call(w.authorized(method, mint.Clinician()))
		require.NoError(t, err)
		caller := w.api.caller()
		require.Equal(t, mint.DefaultClientID, middleware.Claims(caller).ClientID)
		require.Equal(t, "565505933", string(middleware.Claims(caller).User.HPRNumber))
		require.NotEmpty(t, middleware.Token(caller).Reveal())
		record := w.log()[len(w.log())-1]
		require.True(t, record.Allowed)
		require.Equal(t, "POST", record.Method)
		require.Equal(t, method, record.Route)
	}
}

// Each refusal has the code, the reason, the challenge and the detail of the guard's.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options      worldOptions
		call         func(w *world, method string) context.Context
		reason, code string
	}{
		"no credentials": {call: func(w *world, _ string) context.Context { return w.Context() }, reason: "no_credentials", code: "Unauthenticated"},
		"no proof": {call: func(w *world, _ string) context.Context {
			return with(w.Context(), "authorization", "DPoP "+w.helseid.Token())
		}, reason: "proof_missing", code: "Unauthenticated"},
		"two tokens": {call: func(w *world, method string) context.Context {
			return with(w.authorized(method), "authorization", "DPoP "+w.helseid.Token())
		}, reason: "authorization_repeated", code: "Unauthenticated"},
		"two proofs": {call: func(w *world, method string) context.Context {
			return with(w.authorized(method), "dpop", w.helseid.Proof("POST", publicURL+method, "x"))
		}, reason: "proof_repeated", code: "Unauthenticated"},
		"another method's proof": {call: func(w *world, _ string) context.Context { return w.authorized(emptyCall) }, reason: "proof_htu", code: "Unauthenticated"},
		"a GET's proof": {call: func(w *world, method string) context.Context {
			token := w.helseid.Token()
			return with(w.Context(), "authorization", "DPoP "+token, "dpop", w.helseid.Proof("GET", publicURL+method, token))
		}, reason: "proof_htm", code: "Unauthenticated"},
		"an expired token": {call: func(w *world, method string) context.Context { return w.authorized(method, mint.Expired()) }, reason: "token_expired", code: "Unauthenticated"},
		"another API's":    {call: func(w *world, method string) context.Context { return w.authorized(method, mint.Audience("nhn:other")) }, reason: "token_audience", code: "Unauthenticated"},
		"a long token": {call: func(w *world, _ string) context.Context {
			return with(w.Context(), "authorization", "DPoP "+string(bytes.Repeat([]byte("x"), 16<<10+1)), "dpop", "x")
		}, reason: "token_too_long", code: "ResourceExhausted"},
		"no scope": {call: func(w *world, method string) context.Context { return w.authorized(method, mint.Scopes()) }, reason: "scope", code: "PermissionDenied"},
		"a level too low": {options: worldOptions{guard: func(c *grpcauth.Config) {
			c.Services[service] = []middleware.Requirement{middleware.SecurityLevel(4)}
		}}, call: func(w *world, method string) context.Context {
			return w.authorized(method, mint.Clinician(), mint.SecurityLevel(3))
		}, reason: "security_level", code: "Unauthenticated"},
		"a proxy that tells nothing": {options: worldOptions{config: func(c *middleware.Config) {
			c.TrustUnixSocket, c.ForwardAuth = true, &middleware.ForwardAuth{}
		}}, call: func(w *world, method string) context.Context { return w.authorized(method) }, reason: "original_request", code: "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.options)
			for method, call := range calls(w) {
				got, err := call(test.call(w, method))
				w.requireRefused(test.reason, test.code, got, err)
				record := w.log()[len(w.log())-1]
				require.False(t, record.Allowed)
				require.Equal(t, test.reason, record.Reason)
				require.NotEmpty(t, status.Convert(err).Message())
				require.NotContains(t, err.Error(), "eyJ")
			}
		})
	}
}

// A method that the configuration does not name may be called by nobody, also with a
// good token, and a stranger does not learn that.
func TestUnlisted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{guard: func(c *grpcauth.Config) { c.Services, c.Methods = nil, nil }})
	for method, call := range calls(w) {
		got, err := call(w.authorized(method))
		w.requireRefused(grpcauth.ReasonUnlisted, "PermissionDenied", got, err)
		got, err = call(t.Context())
		w.requireRefused("no_credentials", "Unauthenticated", got, err)
	}
}

// A method's requirements are checked in addition to those of its service.
func TestMethodsAndServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	got, err := w.empty(w.authorized(emptyCall))
	w.requireRefused("user", "PermissionDenied", got, err)
	got, err = w.empty(w.authorized(emptyCall, mint.Clinician(), mint.Scopes()))
	w.requireRefused("scope", "PermissionDenied", got, err)
	_, err = w.empty(w.authorized(emptyCall, mint.Clinician()))
	require.NoError(t, err)

	alone := newWorld(t, worldOptions{guard: func(c *grpcauth.Config) { c.Services = nil }})
	_, err = alone.empty(alone.authorized(emptyCall, mint.Clinician(), mint.Scopes()))
	require.NoError(t, err)
}

// What is open needs no token, has no claims and no record; what is said about a method
// goes before what is said about its service.
func TestOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{guard: func(c *grpcauth.Config) { c.Open = append(c.Open, duplex) }})
	_, err := healthgrpc.NewHealthClient(w.conn).Check(t.Context(), &healthgrpc.HealthCheckRequest{})
	require.NoError(t, err)
	watch, err := healthgrpc.NewHealthClient(w.conn).Watch(t.Context(), &healthgrpc.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = watch.Recv()
	require.NoError(t, err)
	require.Empty(t, w.log())
	_, err = w.streamed(w.authorized(duplex))
	require.NoError(t, err)
	require.Nil(t, middleware.Claims(w.api.caller()))
	got, err := w.unary(t.Context())
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.Equal(t, "no_credentials", got.of("reason"))

	closed := newWorld(t, worldOptions{guard: func(c *grpcauth.Config) {
		c.Open, c.Services = []string{service}, nil
	}})
	_, err = closed.streamed(t.Context())
	require.NoError(t, err)
	_, err = closed.empty(t.Context())
	require.Equal(t, codes.Unauthenticated, status.Code(err), "the method has requirements")
}

// A proxy's handler for unknown methods is guarded, too. Its callers choose the names, and
// these do not get into the audit log.
func TestUnknownServiceHandler(t *testing.T) {
	t.Parallel()
	reached := false
	w := newWorld(t, worldOptions{
		guard: func(c *grpcauth.Config) { c.Services["proxied.v1.Any"] = nil },
		server: []grpc.ServerOption{grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			reached = true
			return nil
		})},
	})
	for method, reason := range map[string]string{
		"/proxied.v1.Any/06828399789":       "",
		"/other.v1.Any/06828399789":         grpcauth.ReasonUnlisted,
		"/proxied.v1.Any/a/06828399789":     grpcauth.ReasonUnlisted,
		"//proxied.v1.Any/06828399789":      grpcauth.ReasonUnlisted,
		"/proxied.v1.Any?x=/06828399789":    "proof_htu", // gRPC's path has a question mark, a proof's URL not
		"/grpc.health.v1.Health/x/../Check": grpcauth.ReasonUnlisted,
	} {
		reached = false
		var trailer metadata.MD
		err := w.conn.Invoke(w.authorized(method), method, &testgrpc.Empty{}, &testgrpc.Empty{}, grpc.Trailer(&trailer))
		require.Error(t, err, "the handler sends nothing")
		require.Equal(t, reason, answer{trailer: trailer}.of("reason"), method)
		require.Equal(t, reason == "", reached, method)
		require.Empty(t, w.log()[len(w.log())-1].Route)
	}
}

// A client learns how long to wait when something is down.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.helseid.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Times: -1, Status: 500})
	got, err := w.unary(w.authorized(unary))
	w.requireRefused("keys_unavailable", "Unavailable", got, err)
	require.Equal(t, "5", got.of("retry-after"))
	require.Equal(t, "5000", got.of("grpc-retry-pushback-ms"))
	details := status.Convert(err).Details()
	require.Len(t, details, 1)
	require.Equal(t, 5*time.Second, details[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
}

// A nonce comes with a refusal, and with an answer if the client has used an older one.
func TestNonces(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte("s"), 32)
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: secret})
	require.NoError(t, err)
	w := newWorld(t, worldOptions{config: func(c *middleware.Config) { c.Proof.Nonces = nonces }})
	for method, call := range calls(w) {
		got, err := call(w.authorized(method))
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		require.Equal(t, "proof_nonce", got.of("reason"))
		require.Contains(t, got.of("www-authenticate"), `error="use_dpop_nonce"`)
		require.True(t, nonces.Valid(got.of("dpop-nonce")))

		token := w.helseid.Token()
		got, err = call(with(t.Context(), "authorization", "DPoP "+token,
			"dpop", w.helseid.Proof("POST", publicURL+method, token, mint.ProofClaim("nonce", nonceBefore(secret)))))
		require.NoError(t, err)
		require.Len(t, got.header.Get("dpop-nonce"), 1)
		require.True(t, nonces.Valid(got.header.Get("dpop-nonce")[0]))
	}
}

// nonceBefore is the nonce before the newest, which still serves.
func nonceBefore(secret []byte) string {
	var step [8]byte
	binary.BigEndian.PutUint64(step[:], uint64(time.Now().Unix()/30-1))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("helseid-go/sdk dpop nonce"))
	mac.Write(step[:])
	return base64.RawURLEncoding.EncodeToString(append(step[:], mac.Sum(nil)[:16]...))
}

// A call has no path parameters, so nobody meets a requirement about them.
func TestRequirementThatNoCallCanMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{guard: func(c *grpcauth.Config) {
		c.Services[service] = []middleware.Requirement{middleware.ParentOrganizationInPath("parent")}
	}})
	got, err := w.unary(w.authorized(unary))
	require.Equal(t, codes.Internal, status.Code(err))
	require.Equal(t, "misconfigured", got.of("reason"))
	require.Empty(t, got.of("www-authenticate"))
}

// A handler that has read the request refuses as the guard does.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err          error
		reason, code string
	}{
		"a denial":    {&middleware.Denial{Reason: "sensitive", Detail: "log in at level 4", ACRValues: "Level4"}, "sensitive", "Unauthenticated"},
		"an outage":   {middleware.ErrUnavailable, "lookup_unavailable", "Unavailable"},
		"another one": {errors.New("patient 06828399789"), "requirement", "PermissionDenied"},
		"nil":         {nil, "requirement", "PermissionDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.api.answer = func(ctx context.Context) error { return w.guard.Refuse(ctx, test.err) }
			w.api.talk = func(stream testgrpc.TestService_FullDuplexCallServer) error {
				return w.guard.Refuse(stream.Context(), test.err)
			}
			for method, call := range calls(w) {
				got, err := call(w.authorized(method))
				require.Equal(t, test.code, status.Code(err).String())
				require.NotContains(t, err.Error(), "06828399789")
				require.Equal(t, test.reason, got.of("reason"))
				require.Equal(t, name == "a denial", got.of("www-authenticate") != "" && status.Code(err) == codes.Unauthenticated)
				records := w.log()
				last := records[len(records)-1]
				require.Equal(t, test.reason, last.Reason)
				require.Equal(t, mint.DefaultClientID, last.ClientID)
				require.True(t, last.Nested)
			}
		})
	}
}

// Nobody recovers from a handler's panic but an interceptor that is there for it.
func TestPanics(t *testing.T) {
	t.Parallel()
	var recovered []any
	w := newWorld(t, worldOptions{server: []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, message any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
			defer func() {
				recovered = append(recovered, recover())
				err = status.Error(codes.Internal, "panicked")
			}()
			return handler(ctx, message)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer func() {
				recovered = append(recovered, recover())
				err = status.Error(codes.Internal, "panicked")
			}()
			return handler(server, stream)
		}),
	}})
	w.api.answer = func(context.Context) error { panic("a handler") }
	w.api.talk = func(testgrpc.TestService_FullDuplexCallServer) error { panic("a handler") }
	for method, call := range calls(w) {
		_, err := call(w.authorized(method))
		require.Equal(t, codes.Internal, status.Code(err))
	}
	require.Equal(t, []any{"a handler", "a handler"}, recovered)
}

// Whatever a client sends, there is an answer.
func TestOddMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	odd := []string{
		"", " ", ",", "DPoP", "DPoP ", "DPoP  ", "dpop x", "Bearer x", "\"", "a,b", "DPoP \"x\"", "DPoP a.b.c", "=?utf-8?B?", "DPoP " + string(bytes.Repeat([]byte("."), 300)),
	}
	for method, call := range calls(w) {
		for _, value := range odd {
			for _, pairs := range [][]string{
				{"authorization", value}, {"authorization", value, "dpop", value}, {"dpop", value},
				{"authorization-bin", value, "dpop-bin", "\x00\xff" + value}, {"authorization", value, "x-forwarded-host", value, "forwarded", value},
			} {
				_, err := call(with(t.Context(), pairs...))
				require.Contains(t, []codes.Code{codes.Unauthenticated, codes.ResourceExhausted}, status.Code(err), "%s: %q: %v", method, pairs, err)
			}
		}
	}
	require.Zero(t, w.api.reached())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	auth := newServer(t, worldOptions{}).auth
	type requirements = map[string][]middleware.Requirement
	for name, test := range map[string]struct {
		config grpcauth.Config
		want   []string
	}{
		"nothing":                {grpcauth.Config{}, []string{"field Auth", "nobody may call anything"}},
		"a service with slashes": {grpcauth.Config{Auth: auth, Services: requirements{"/a.B/": nil}}, []string{"field Services"}},
		"a method without":       {grpcauth.Config{Auth: auth, Methods: requirements{"a.B/C": nil, "/a.B/": nil, "//C": nil, "C": nil, "": nil}}, []string{`"a.B/C"`, `"/a.B/"`, `"//C"`, `"C"`, `""`}},
		"nil":                    {grpcauth.Config{Auth: auth, Services: requirements{"a.B": {nil}}, Methods: requirements{"/a.B/C": {nil}}}, []string{"field Services", "field Methods"}},
		"open and not":           {grpcauth.Config{Auth: auth, Services: requirements{"a.B": nil}, Open: []string{"a.B"}}, []string{"field Open"}},
		"open, odd":              {grpcauth.Config{Auth: auth, Open: []string{"", "*", "/", "/a", "/a.B/*"}}, []string{`""`, `"*"`, `"/"`, `"/a"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard, err := grpcauth.New(test.config)
			require.ErrorIs(t, err, grpcauth.ErrConfig)
			require.Nil(t, guard)
			for _, text := range test.want {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

// Check finds what has been forgotten and what has been misspelt.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := newServer(t, worldOptions{})
	require.NoError(t, w.guard.Check(w.server))
	guard, err := grpcauth.New(grpcauth.Config{Auth: w.auth, Methods: map[string][]middleware.Requirement{unary: nil, unary + "s": nil}, Open: []string{"grpc.health.v1.Helth"}})
	require.NoError(t, err)
	err = guard.Check(w.server)
	require.ErrorIs(t, err, grpcauth.ErrConfig)
	for _, text := range []string{duplex + " is not named", unary + "s is not registered", "grpc.health.v1.Helth is not registered", "/grpc.health.v1.Health/Check is not named"} {
		require.ErrorContains(t, err, text)
	}
	require.NotContains(t, err.Error(), unary+" is")
}
