package grpccredentials_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
)

// Each call has the token and a proof for exactly this call.
func TestCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	for range 2 {
		_, err := w.unary(t.Context())
		require.NoError(t, err)
		require.NoError(t, w.stream(t.Context()))
	}
	calls := w.received()
	require.Len(t, calls, 4)
	ids := make(map[any]bool)
	for i, call := range calls {
		claims := proof(t, call)
		require.Equal(t, "POST", claims["htm"])
		require.Equal(t, origin+[]string{unary, duplex}[i%2], claims["htu"])
		ids[claims["jti"]] = true
		require.Equal(t, calls[0].Get("authorization"), call.Get("authorization"))
	}
	require.Len(t, ids, 4)
	require.Equal(t, 1, w.tokenRequests())
}

// gRPC asks for a proof for each attempt of a call that its retry policy repeats.
func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	policy := grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
	w := newWorld(t, worldOptions{dial: []grpc.DialOption{policy}})
	w.refuses = func(_ string, call int) (metadata.MD, error) {
		if call%3 != 0 {
			return nil, status.Error(codes.Unavailable, "later")
		}
		return nil, nil
	}
	_, err := w.unary(t.Context())
	require.NoError(t, err)
	require.NoError(t, w.stream(t.Context()))
	calls := w.received()
	require.Len(t, calls, 6)
	ids := make(map[any]bool)
	for _, call := range calls {
		ids[proof(t, call)["jti"]] = true
	}
	require.Len(t, ids, 6)
}

// The same holds for the attempts that gRPC repeats by itself, because the server has
// not looked at the call.
func TestTransparentRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	proofs := make(chan string, 10)
	go refuseFirst(listener, proofs)
	made, err := grpccredentials.New(grpccredentials.Config{
		Tokens: w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}), Origin: "http://" + listener.Addr().String(), AllowPlaintextLoopback: true,
	})
	require.NoError(t, err)
	conn, err := grpc.NewClient(listener.Addr().String(), made.DialOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = testgrpc.NewTestServiceClient(conn).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	require.Equal(t, codes.Unimplemented, status.Code(err), "the second attempt is answered: %v", err)
	require.Len(t, proofs, 2)
	first, second := <-proofs, <-proofs
	require.NotEqual(t, first, second)
}

// refuseFirst serves HTTP/2 by hand. It refuses the first stream (RFC 9113 section 8.7)
// and answers the second one.
func refuseFirst(listener net.Listener, proofs chan<- string) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings()
	for seen := 0; ; {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		headers, ok := frame.(*http2.MetaHeadersFrame)
		if !ok {
			if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
				_ = framer.WriteSettingsAck()
			}
			continue
		}
		for _, field := range headers.Fields {
			if field.Name == "dpop" {
				proofs <- field.Value
			}
		}
		if seen++; seen == 1 {
			_ = framer.WriteRSTStream(headers.StreamID, http2.ErrCodeRefusedStream)
			continue
		}
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for _, field := range []hpack.HeaderField{
			{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}, {Name: "grpc-status", Value: "12"},
		} {
			_ = encoder.WriteField(field)
		}
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: headers.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
}

// The organisation is the context's.
func TestOrganization(t *testing.T) {
	t.Parallel()
	const first, second = "994598759", "999977775"
	w := newWorld(t, worldOptions{client: []helseidtest.ClientOption{helseidtest.Delegations(first, second)}})
	for range 2 {
		for _, parent := range []string{first, second} {
			got, err := w.unary(helseid.ForOrganization(t.Context(), identity.OrganizationNumber(parent), ""))
			require.NoError(t, err)
			require.Equal(t, parent, got)
			require.NoError(t, w.stream(helseid.ForOrganization(t.Context(), identity.OrganizationNumber(parent), "")))
		}
	}
	require.Equal(t, 2, w.tokenRequests())
	_, err := w.unary(helseid.ForOrganization(t.Context(), "", ""))
	require.ErrorIs(t, err, helseid.ErrConfig)
	require.ErrorIs(t, err, helseid.ErrNoToken)
}

// A bearer token goes without a proof.
func TestBearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{tokens: helseid.TokenRequest{UnboundBearerToken: true}, client: []helseidtest.ClientOption{helseidtest.Client{AllowBearer: true}}})
	w.refuses = func(string, int) (metadata.MD, error) { return nil, status.Error(codes.Aborted, "seen") }
	_, err := w.unary(t.Context())
	require.Equal(t, codes.Aborted, status.Code(err), err)
	require.Empty(t, w.received()[0].Get("dpop"))
	require.Regexp(t, "^Bearer ", w.received()[0].Get("authorization")[0])
}

// Whatever names another host than the configuration does, it gets no token.
func TestOneOriginGetsTheToken(t *testing.T) {
	t.Parallel()
	certificate, roots := certificate()
	// A resolver that sends calls to a host with a good certificate of its own.
	elsewhere := manual.NewBuilderWithScheme("elsewhere")
	elsewhere.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: "x", ServerName: "example.com"}}})
	secured := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots}))
	for name, test := range map[string]struct {
		origin  string
		target  string
		options []grpc.DialOption
		call    []grpc.CallOption
		cause   error // nil if the call may be made
	}{
		"the API":                     {"https://example.com", "passthrough:///example.com", []grpc.DialOption{secured}, nil, nil},
		"with its default port":       {"https://example.com:443", "passthrough:///example.com", []grpc.DialOption{secured}, nil, nil},
		"written in another way":      {"https://Example.com/", "passthrough:///EXAMPLE.com:443", []grpc.DialOption{secured}, nil, nil},
		"another target":              {"https://api.example.no", "passthrough:///example.com", []grpc.DialOption{secured}, nil, helseid.ErrOriginRefused},
		"another port":                {"https://example.com", "passthrough:///example.com:8443", []grpc.DialOption{secured}, nil, helseid.ErrOriginRefused},
		"another authority":           {"https://127.0.0.1", "passthrough:///127.0.0.1", []grpc.DialOption{secured, grpc.WithAuthority("example.com")}, nil, helseid.ErrOriginRefused},
		"another authority of a call": {"https://127.0.0.1", "passthrough:///127.0.0.1", []grpc.DialOption{secured}, []grpc.CallOption{grpc.CallAuthority("example.com")}, helseid.ErrOriginRefused},
		"a resolver's own name":       {"https://127.0.0.1", "elsewhere:///127.0.0.1", []grpc.DialOption{secured, grpc.WithResolvers(elsewhere)}, nil, helseid.ErrOriginRefused},
		"TLS where there is none":     {"http://127.0.0.1", "passthrough:///127.0.0.1", []grpc.DialOption{secured}, nil, helseid.ErrInsecureURL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.server.Stop()
			w.listen = bufconn.Listen(1 << 16)
			seen := make(chan metadata.MD, 1)
			server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(certificate)), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
				call, _ := metadata.FromIncomingContext(stream.Context())
				seen <- call
				return status.Error(codes.Aborted, "seen")
			}))
			listener := w.listen
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(server.Stop)
			made, err := grpccredentials.New(grpccredentials.Config{
				Tokens: w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}), Origin: test.origin, AllowPlaintextLoopback: true,
			})
			require.NoError(t, err)
			conn := w.dial(test.target, append(made.DialOptions(), test.options...)...)
			_, err = testgrpc.NewTestServiceClient(conn).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, test.call...)
			if test.cause == nil {
				require.Equal(t, codes.Aborted, status.Code(err), "%v", err)
				require.Equal(t, "https://example.com"+unary, proof(t, <-seen)["htu"])
				return
			}
			require.ErrorIs(t, err, test.cause)
			require.ErrorIs(t, err, helseid.ErrNoToken)
			require.Equal(t, codes.Unauthenticated, status.Code(err))
			require.Empty(t, seen)
		})
	}
}

// certificate is that of httptest, for 127.0.0.1 and example.com.
func certificate() (*tls.Certificate, *x509.CertPool) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &server.TLS.Certificates[0], roots
}

// Without TLS, a token stays on this machine.
func TestPlaintext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	tokens := w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}})
	secure, err := grpccredentials.New(grpccredentials.Config{Tokens: tokens, Origin: "https://localhost"})
	require.NoError(t, err)
	require.True(t, secure.RequireTransportSecurity())
	_, err = grpc.NewClient("localhost", append(secure.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.Error(t, err)
	_, err = grpc.NewClient("localhost", secure.DialOptions()...)
	require.Error(t, err, "there are no transport credentials")

	plain, err := grpccredentials.New(grpccredentials.Config{Tokens: tokens, Origin: origin, AllowPlaintextLoopback: true})
	require.NoError(t, err)
	require.False(t, plain.RequireTransportSecurity())
	call := func(conn *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return err
	}
	require.NoError(t, call(w.dial("passthrough:///localhost", plain.DialOptions()...)))
	before := len(w.received())
	err = call(w.dial("passthrough:///localhost", append(plain.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...))
	require.ErrorIs(t, err, helseid.ErrInsecureURL, "credentials that do not look where they connect to")

	// What is called localhost is somewhere else.
	remote, err := grpc.NewClient("passthrough:///localhost", append(plain.DialOptions(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := w.listen.DialContext(ctx)
		return elsewhereConn{conn}, err
	}))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = remote.Close() })
	err = call(remote)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, "only this machine is called")
	require.Len(t, w.received(), before)
}

// elsewhereConn is a connection to another machine.
type elsewhereConn struct{ net.Conn }

func (elsewhereConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

// A call without a token has a code that says whether later is better, and keeps the
// cause.
func TestNoToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault helseidtest.Fault
		cause error
		code  codes.Code
	}{
		"an outage": {helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: -1}, helseid.ErrUnavailable, codes.Unavailable},
		"a refusal": {helseidtest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_scope"}`, Times: -1}, nil, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.helseid.Inject(test.fault)
			_, err := w.unary(t.Context())
			for _, err := range []error{err, w.stream(t.Context())} {
				require.ErrorIs(t, err, helseid.ErrNoToken)
				require.Equal(t, test.code, status.Code(err), "%v", err)
				if test.cause != nil {
					require.ErrorIs(t, err, test.cause)
				} else {
					var refusal *helseid.TokenError
					require.ErrorAs(t, err, &refusal)
				}
			}
			require.Empty(t, w.received())
		})
	}
	t.Run("a caller that gives up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.helseid.Inject(helseidtest.Fault{Delay: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := w.unary(ctx)
		require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
	})
}

// The credentials are for gRPC alone.
func TestGetRequestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	made, err := grpccredentials.New(grpccredentials.Config{
		Tokens: w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}), Origin: "https://api.example.no",
	})
	require.NoError(t, err)
	secured := credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	for name, test := range map[string]struct {
		info credentials.RequestInfo
		uris []string
		in   bool
	}{
		"a call":           {credentials.RequestInfo{Method: unary, AuthInfo: secured}, []string{"https://api.example.no/x"}, true},
		"no URL":           {credentials.RequestInfo{Method: unary, AuthInfo: secured}, nil, false},
		"two":              {credentials.RequestInfo{Method: unary, AuthInfo: secured}, []string{"https://api.example.no/x", "https://api.example.no/x"}, false},
		"an odd URL":       {credentials.RequestInfo{Method: unary, AuthInfo: secured}, []string{"https://api.example.no\x00/x"}, false},
		"a user":           {credentials.RequestInfo{Method: unary, AuthInfo: secured}, []string{"https://api.example.no@evil.example.no/x"}, false},
		"no method":        {credentials.RequestInfo{AuthInfo: secured}, []string{"https://api.example.no/x"}, false},
		"weaker transport": {credentials.RequestInfo{Method: unary, AuthInfo: credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.IntegrityOnly}}}, []string{"https://api.example.no/x"}, false},
		"no transport":     {credentials.RequestInfo{Method: unary}, []string{"https://api.example.no/x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, err := made.GetRequestMetadata(credentials.NewContextWithRequestInfo(t.Context(), test.info), test.uris...)
			require.Equal(t, test.in, err == nil, "%v", err)
			require.Equal(t, test.in, len(values) == 2)
		})
	}
	_, err = made.GetRequestMetadata(t.Context(), "https://api.example.no/x")
	require.Error(t, err)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	tokens := newWorld(t, worldOptions{}).client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}})
	for name, test := range map[string]struct {
		config grpccredentials.Config
		want   []string
	}{
		"nothing":            {grpccredentials.Config{}, []string{"field Tokens", "field Origin"}},
		"a target":           {grpccredentials.Config{Tokens: tokens, Origin: "dns:///api.example.no"}, []string{"field Origin"}},
		"a host":             {grpccredentials.Config{Tokens: tokens, Origin: "api.example.no:443"}, []string{"field Origin"}},
		"a path":             {grpccredentials.Config{Tokens: tokens, Origin: "https://api.example.no/v1"}, []string{"field Origin"}},
		"a query":            {grpccredentials.Config{Tokens: tokens, Origin: "https://api.example.no?x"}, []string{"field Origin"}},
		"a user":             {grpccredentials.Config{Tokens: tokens, Origin: "https://x@api.example.no"}, []string{"field Origin"}},
		"another scheme":     {grpccredentials.Config{Tokens: tokens, Origin: "grpc://api.example.no"}, []string{"the scheme is https"}},
		"http":               {grpccredentials.Config{Tokens: tokens, Origin: "http://api.example.no", AllowPlaintextLoopback: true}, []string{"loopback hosts only"}},
		"http, not allowed":  {grpccredentials.Config{Tokens: tokens, Origin: "http://localhost:8080"}, []string{"AllowPlaintextLoopback"}},
		"all at once":        {grpccredentials.Config{Origin: "http://localhost"}, []string{"field Tokens", "AllowPlaintextLoopback"}},
		"a long s":           {grpccredentials.Config{Tokens: tokens, Origin: "http://localho\u017ft", AllowPlaintextLoopback: true}, []string{"must be ASCII"}},
		"a Kelvin sign":      {grpccredentials.Config{Tokens: tokens, Origin: "https://api.\u212a.no"}, []string{"must be ASCII"}},
		"a name of loopback": {grpccredentials.Config{Tokens: tokens, Origin: "http://localhost.example.no", AllowPlaintextLoopback: true}, []string{"loopback hosts only"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, err := grpccredentials.New(test.config)
			require.ErrorIs(t, err, grpccredentials.ErrConfig)
			require.Nil(t, made)
			for _, text := range test.want {
				require.ErrorContains(t, err, text)
			}
		})
	}
	for _, good := range []string{"http://127.0.0.1:1", "http://[::1]:8080", "http://LOCALHOST", "https://api.example.no/"} {
		_, err := grpccredentials.New(grpccredentials.Config{Tokens: tokens, Origin: good, AllowPlaintextLoopback: true})
		require.NoError(t, err, good)
	}
}
