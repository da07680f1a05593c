package grpcauth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

func noPublicURL(c *middleware.Config) { c.PublicURL = "" }

// at is the context of a call with a proof for this URL.
func (w *world) at(url string, token ...mint.TokenOption) context.Context {
	made := w.helseid.Token(token...)
	return with(w.Context(), "authorization", "DPoP "+made, "dpop", w.helseid.Proof("POST", url, made))
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	return listener
}

// A proof is for the URL that the client called: its scheme and the authority that it
// has named.
func TestURL(t *testing.T) {
	t.Parallel()
	t.Run("plaintext", func(t *testing.T) {
		t.Parallel()
		w := newServer(t, worldOptions{config: noPublicURL})
		listener := listen(t, "tcp", "127.0.0.1:0")
		w.serve(listener)
		address := listener.Addr().String()
		w.conn = w.dial(address)
		_, err := w.unary(w.at("http://" + address + unary))
		require.NoError(t, err)
		_, err = w.unary(w.at("https://" + address + unary))
		require.Equal(t, codes.Unauthenticated, status.Code(err))
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		certificate, roots := certificate()
		w := newServer(t, worldOptions{config: noPublicURL, server: []grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(certificate))}})
		listener := listen(t, "tcp", "127.0.0.1:0")
		w.serve(listener)
		address := listener.Addr().String()
		secured := grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots}))
		w.conn = w.dial(address, secured)
		_, err := w.unary(w.at("https://" + address + unary))
		require.NoError(t, err)
		got, err := w.unary(w.at("http://" + address + unary))
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		require.Equal(t, "proof_htu", got.of("reason"))
		w.conn = w.dial(address, secured, grpc.WithAuthority("example.com"))
		_, err = w.unary(w.at("https://example.com" + unary))
		require.NoError(t, err)
	})
}

// certificate is that of httptest, for 127.0.0.1 and example.com.
func certificate() (*tls.Certificate, *x509.CertPool) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &server.TLS.Certificates[0], roots
}

// Behind a proxy, the rules of package middleware decide about the URL.
func TestProxies(t *testing.T) {
	t.Parallel()
	const authority = "inside.example.no"
	trusted := func(c *middleware.Config) {
		c.PublicURL, c.TrustedProxies = "", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	for name, test := range map[string]struct {
		config func(*middleware.Config)
		pairs  []string // what the proxy says
		url    string
		in     bool
	}{
		"Envoy, which leaves the authority": {trusted, []string{"x-forwarded-proto", "https", "x-forwarded-for", "203.0.113.7"}, "https://" + authority, true},
		"nginx, which sets another":         {trusted, []string{"x-forwarded-proto", "https", "x-forwarded-host", "api.example.no"}, "https://api.example.no", true},
		"the last of several counts":        {trusted, []string{"x-forwarded-proto", "https", "x-forwarded-host", "evil.example.no, api.example.no"}, "https://api.example.no", true},
		"a client's own":                    {trusted, []string{"x-forwarded-proto", "https", "x-forwarded-host", "evil.example.no, api.example.no"}, "https://evil.example.no", false},
		"RFC 7239":                          {func(c *middleware.Config) { trusted(c); c.ForwardedHeader = middleware.Forwarded }, []string{"forwarded", "for=203.0.113.7;proto=https;host=api.example.no"}, "https://api.example.no", true},
		"a proxy that nobody trusts":        {noPublicURL, []string{"x-forwarded-proto", "https", "x-forwarded-host", "api.example.no"}, "https://api.example.no", false},
		"its headers are ignored":           {noPublicURL, []string{"x-forwarded-proto", "https", "x-forwarded-host", "api.example.no"}, "http://" + authority, true},
		"a prefix":                          {func(c *middleware.Config) { trusted(c); c.PrefixHeader = "X-Forwarded-Prefix" }, []string{"x-forwarded-prefix", "/grpc", "x-forwarded-proto", "https"}, "https://" + authority + "/grpc", true},
		"one of several public URLs": {func(c *middleware.Config) {
			c.PublicURL, c.PublicURLs = "", []string{"https://a.example.no", "https://" + authority}
		}, nil, "https://" + authority, true},
		"another of them than the authority": {func(c *middleware.Config) {
			c.PublicURL, c.PublicURLs = "", []string{"https://a.example.no", "https://" + authority}
		}, nil, "https://a.example.no", false},
		"none of them": {func(c *middleware.Config) { c.PublicURL, c.PublicURLs = "", []string{"https://a.example.no"} }, nil, "https://" + authority, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newServer(t, worldOptions{config: test.config})
			listener := listen(t, "tcp", "127.0.0.1:0")
			w.serve(listener)
			w.conn = w.dial(listener.Addr().String(), grpc.WithAuthority(authority))
			for method, call := range calls(w) {
				got, err := call(with(w.at(test.url+method), test.pairs...))
				require.Equal(t, test.in, err == nil, "%v", err)
				if err != nil {
					w.requireRefused("proof_htu", "Unauthenticated", got, err)
				}
			}
		})
	}
}

// A proxy on a Unix socket is trusted if the configuration says so.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		w := newServer(t, worldOptions{config: func(c *middleware.Config) { c.PublicURL, c.TrustUnixSocket = "", trusted }})
		folder, err := os.MkdirTemp("", "api") // the path of a socket must be short
		require.NoError(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(folder) })
		path := filepath.Join(folder, "s")
		w.serve(listen(t, "unix", path))
		w.conn = w.dial("unix://" + path)
		_, err = w.unary(with(w.at("https://api.example.no"+unary), "x-forwarded-host", "api.example.no", "x-forwarded-proto", "https"))
		require.Equal(t, trusted, err == nil, "%v", err)
	}
}

// overHTTP serves the gRPC server with net/http, behind a guard of the same Middleware.
func (w *world) overHTTP(listener net.Listener) {
	server := &http.Server{
		Handler: w.auth.Guard()(w.server), Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute,
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	w.Cleanup(func() { _ = server.Close() })
}

// The interceptors recognise what a net/http guard around the server has accepted, and
// check their own requirements.
func TestNestedGuards(t *testing.T) {
	t.Parallel()
	w := newServer(t, worldOptions{config: noPublicURL})
	listener := listen(t, "tcp", "127.0.0.1:0")
	w.overHTTP(listener)
	origin := "http://" + listener.Addr().String()
	w.conn = w.dial(listener.Addr().String())
	for method, call := range calls(w) {
		ctx := w.at(origin + method)
		_, err := call(ctx)
		require.NoError(t, err)
		records := w.log()
		outer, inner := records[len(records)-2], records[len(records)-1]
		require.True(t, outer.Allowed && !outer.Nested)
		require.True(t, inner.Allowed && inner.Nested)
		require.Equal(t, method, inner.Route)

		_, err = call(ctx) // by the outer guard
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		last := w.log()[len(w.log())-1]
		require.Equal(t, "proof_replayed", last.Reason)
		require.False(t, last.Nested)

		got, err := call(w.at(origin+method, mint.Scopes())) // by the interceptor
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		require.Equal(t, "scope", got.of("reason"))
		require.Contains(t, got.header.Get("www-authenticate")[0], `error="insufficient_scope"`)
	}
	require.Equal(t, 2, w.api.reached())
}

// Two guards of different Middlewares know nothing of each other.
func TestNestedGuardOfAnother(t *testing.T) {
	t.Parallel()
	outer := newServer(t, worldOptions{config: noPublicURL})
	inner := newServer(t, worldOptions{config: func(c *middleware.Config) { c.PublicURL, c.Audience = "", "nhn:other" }})
	outer.server = inner.server
	listener := listen(t, "tcp", "127.0.0.1:0")
	outer.overHTTP(listener)
	outer.conn = outer.dial(listener.Addr().String())
	got, err := outer.unary(outer.at("http://" + listener.Addr().String() + unary))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.Equal(t, "token_audience", got.of("reason"))
	require.Zero(t, inner.api.reached())
}

// A stream behind two guards ends with its token, too.
func TestNestedStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newServer(t, worldOptions{config: noPublicURL})
		listener := bufconn.Listen(1 << 16)
		w.overHTTP(listener)
		w.conn = w.dial("passthrough:///api", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		ctx, cancel := context.WithTimeout(w.at("http://api"+duplex, mint.ExpiresIn(lifetime)), 10*lifetime)
		defer cancel()
		stream := w.duplex(ctx)
		exchange(t, stream)
		_, err := stream.Recv()
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		require.Equal(t, "token_expired", answer{trailer: stream.Trailer()}.of("reason"))
		_ = w.conn.Close()
		w.auth.Close()
		w.helseid.Close()
	})
}
