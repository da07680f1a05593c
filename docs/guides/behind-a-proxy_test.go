package guides_test

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/middleware"
)

// behind says what an API answers to a request for target that arrives as seen.
func behind(t *testing.T, server *helseidtest.Server, config middleware.Config, target, seen string, header http.Header) int {
	t.Helper()
	config.Issuer, config.Audience = server.Issuer(), "nhn:some-api"
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	outside := httptest.NewRequest(http.MethodGet, target, nil)
	server.Authorize(outside, server.Token(mint.Audience("nhn:some-api")))
	inside := httptest.NewRequest(http.MethodGet, seen, nil)
	inside.RemoteAddr = "10.1.2.3:1234"
	inside.Header = outside.Header
	maps.Copy(inside.Header, header)
	response := httptest.NewRecorder()
	auth.Require(export).ServeHTTP(response, inside)
	return response.Code
}

func TestPublicURL(t *testing.T) {
	server := newServer(t)
	// region public
	config := middleware.Config{
		PublicURL: "https://api.example.no/journal", // the proxy takes /journal off
	}
	// endregion
	require.Equal(t, 200, behind(t, server, config, "https://api.example.no/journal/v1/things", "http://10.0.0.7:8080/v1/things", nil))
	// region several
	config = middleware.Config{
		PublicURLs: []string{"https://api.example.no", "https://api.helsenett.example.no"},
	}
	// endregion
	require.Equal(t, 200, behind(t, server, config, "https://api.helsenett.example.no/v1", "http://api.helsenett.example.no/v1", nil))
	require.Equal(t, 401, behind(t, server, config, "https://other.example.no/v1", "http://other.example.no/v1", nil))
	// region trusted
	config = middleware.Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		PrefixHeader:   "X-Forwarded-Prefix", // only if the proxy sets or removes it in every request
	}
	// endregion
	header := http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example.no"}, "X-Forwarded-Prefix": {"/journal"}}
	require.Equal(t, 200, behind(t, server, config, "https://api.example.no/journal/v1", "http://10.0.0.7:8080/v1", header))
}

func TestForwardAuth(t *testing.T) {
	server := newServer(t)
	// region forward
	config := middleware.Config{
		PublicURL:      "https://api.example.no",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		ForwardAuth:    &middleware.ForwardAuth{Routes: []string{"GET /journal/{id}"}}, // for the audit record
	}
	// endregion
	header := http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/journal/1"}}
	require.Equal(t, 200, behind(t, server, config, "https://api.example.no/journal/1", "http://10.0.0.7:8080/check", header))
}

func TestUnixSocket(t *testing.T) {
	server := helseidtest.NewServer(t)
	folder := t.TempDir()
	handler := http.NewServeMux()
	serving := make(chan error, 1)
	// region socket
	auth, err := middleware.New(middleware.Config{
		Issuer:          server.Issuer(),
		Audience:        "nhn:some-api",
		TrustUnixSocket: true, // whoever may open the socket is the proxy
	})
	require.NoError(t, err)
	listener, err := net.Listen("unix", filepath.Join(folder, "api.sock")) // in a folder that the proxy alone may enter
	require.NoError(t, err)
	// endregion
	t.Cleanup(auth.Close)
	handler.Handle("GET /v1", auth.Require(export))
	web := &http.Server{Handler: handler}
	go func() { serving <- web.Serve(listener) }()
	proxy := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", listener.Addr().String())
	}}}
	request, err := http.NewRequest(http.MethodGet, "http://inside/v1", nil)
	require.NoError(t, err)
	token := server.Token(mint.Audience("nhn:some-api"))
	request.Header = http.Header{
		"Authorization": {"DPoP " + token}, "Dpop": {server.Proof(http.MethodGet, "https://api.example.no/v1", token)},
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example.no"},
	}
	response, err := proxy.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, body(t, response))
	require.NoError(t, web.Close())
	require.ErrorIs(t, <-serving, http.ErrServerClosed)
}

func TestWebApplicationBehindAPrefix(t *testing.T) {
	server := newServer(t)
	client := newClient(t, server.NewClient(helseidtest.RedirectURI("https://host.example.no/app/callback")))
	// region web
	web, err := weblogin.New(weblogin.Config{
		Client:    client, // its redirect URI is https://host.example.no/app/callback
		PublicURL: "https://host.example.no/app",
		Login:     helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile}},
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	web.Mount(mux) // at /login, /logout and /callback, as the proxy passes them on
	// endregion
	mux.Handle("GET /me", web.Require(me))
	server.Mount("host.example.no", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside := r.Clone(r.Context()) // as a proxy passes it on
		inside.URL.Path = strings.TrimPrefix(r.URL.Path, "/app")
		inside.RequestURI = inside.URL.RequestURI()
		mux.ServeHTTP(w, inside)
	}))
	response, err := server.Browser().Get("https://host.example.no/app/me")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(body(t, response), "KVART GREVLING"))
}

func TestOutgoingProxy(t *testing.T) {
	server := newServer(t)
	config := server.NewClient()
	// region outgoing
	proxy, err := url.Parse("http://proxy.example.no:3128")
	require.NoError(t, err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(proxy) // or set HTTPS_PROXY, which needs no code
	config.HTTPClient = &http.Client{Transport: transport}
	// endregion
	newClient(t, config)
}
