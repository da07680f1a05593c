package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// listen serves a handler on a real socket, over HTTP/1 and HTTP/2.
func (w *world) listen(handler http.Handler) *httptest.Server {
	w.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	w.Cleanup(server.Close)
	return server
}

// call sends a request over a real socket, and returns the status and the body.
func (w *world) call(request *http.Request, protocol ...func(*http.Protocols)) (status int, body string) {
	w.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetHTTP1(true)
	for _, set := range protocol {
		set(transport.Protocols)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(w, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	return response.StatusCode, string(data)
}

// authorized is a request with a token and a proof for its URL.
func (w *world) authorized(method, target string, body io.Reader, options ...mint.TokenOption) *http.Request {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, target, body)
	require.NoError(w, err)
	w.server.Authorize(request, w.server.Token(options...))
	return request
}

func noHTTP1(p *http.Protocols) {
	p.SetHTTP1(false)
	p.SetUnencryptedHTTP2(true)
}

// A guard around a router and one at a route accept a request together, and each checks
// its own requirements.
func TestNestedGuards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	inner := http.NewServeMux()
	inner.Handle("GET /journal/{id}", w.auth.Require(w.reach, middleware.Scope(testScope)))
	inner.Handle("GET /clinicians", w.auth.Require(w.reach, middleware.User()))
	outer := http.NewServeMux()
	outer.Handle("/v1/", w.auth.Guard(middleware.AnyParentOrganization())(http.StripPrefix("/v1", inner)))
	outer.Handle("/", inner)
	server := w.listen(w.auth.Guard()(outer))
	for name, protocol := range map[string]func(*http.Protocols){"HTTP/1": func(*http.Protocols) {}, "HTTP/2": noHTTP1} {
		t.Run(name, func(t *testing.T) {
			status, body := w.call(w.authorized(http.MethodGet, server.URL+"/v1/journal/1?a=b", nil), protocol)
			require.Equal(t, http.StatusOK, status, body)
			require.Equal(t, "helseidtest-client", middleware.Claims(w.caller()).ClientID)
			require.NotEmpty(t, middleware.Token(w.caller()).Reveal())

			status, body = w.call(w.authorized(http.MethodGet, server.URL+"/v1/clinicians", nil), protocol)
			require.Equal(t, http.StatusForbidden, status)
			require.Contains(t, body, `"reason":"user"`)
			require.True(t, w.lastRecord().Nested)
			require.Equal(t, "GET /clinicians", w.lastRecord().Route)

			status, body = w.call(w.authorized(http.MethodGet, server.URL+"/v1/journal/1", nil, mint.Organization("", "", "")), protocol)
			require.Equal(t, http.StatusForbidden, status)
			require.Contains(t, body, "parent_organization")

			// The outer guard refuses the same request the second time as a replay.
			again := w.authorized(http.MethodGet, server.URL+"/journal/1", nil)
			status, _ = w.call(again.Clone(t.Context()), protocol)
			require.Equal(t, http.StatusOK, status)
			status, body = w.call(again, protocol)
			require.Equal(t, http.StatusUnauthorized, status)
			require.Contains(t, body, "proof_replayed")
		})
	}
}

// In bearer-only mode a nested guard checks as much.
func TestNestedBearerGuards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.BearerOnly = true }})
	server := w.listen(w.auth.Guard()(w.auth.Require(w.reach, middleware.Scope(testScope))))
	request := func(options ...mint.TokenOption) *http.Request {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/x", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+w.server.Token(append(options, mint.Unbound())...))
		return request
	}
	status, _ := w.call(request())
	require.Equal(t, http.StatusOK, status)
	status, body := w.call(request(mint.Scopes()))
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, `"reason":"scope"`)
}

// Another Middleware does not recognise a request that this one has accepted, even
// between two guards of this one.
func TestNestedGuardsOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	another := func(audience string) *middleware.Middleware {
		config := middleware.Config{Issuer: w.server.Issuer(), Audience: audience}
		config.Token.HTTPClient = w.server.HTTPClient()
		auth, err := middleware.New(config)
		require.NoError(t, err)
		t.Cleanup(auth.Close)
		return auth
	}
	same, other := another(mint.DefaultAudience), another("nhn:other")
	status, body := w.call(w.authorized(http.MethodGet, w.listen(w.auth.Guard()(other.Require(w.reach))).URL, nil))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "token_audience")

	status, body = w.call(w.authorized(http.MethodGet, w.listen(w.auth.Guard()(same.Guard()(w.auth.Require(w.reach, middleware.System())))).URL, nil))
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, 1, w.reached())
}

// A request other than the accepted one is checked in full, and its proof has been
// used.
func TestNestedGuardIsNotFooled(t *testing.T) {
	t.Parallel()
	proxied := func(c *middleware.Config) {
		c.PublicURL = "https://api.example.no"
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.ForwardAuth = &middleware.ForwardAuth{}
	}
	clone := func(change func(*http.Request)) func(*world, *http.Request) *http.Request {
		return func(_ *world, r *http.Request) *http.Request {
			again := r.Clone(r.Context())
			change(again)
			return again
		}
	}
	for name, test := range map[string]struct {
		config func(*middleware.Config)
		other  func(*world, *http.Request) *http.Request // what the handler sends on
		reason string
	}{
		"a request of its own with the context": {nil, func(w *world, r *http.Request) *http.Request {
			other, err := http.NewRequestWithContext(r.Context(), r.Method, "/admin", nil)
			require.NoError(w, err)
			return other
		}, "no_credentials"},
		"the same with the credentials": {nil, func(w *world, r *http.Request) *http.Request {
			other, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+"/admin", nil)
			require.NoError(w, err)
			other.Header = r.Header.Clone()
			return other
		}, "proof_htu"},
		"a clone for another path":      {nil, clone(func(r *http.Request) { r.URL.Path = "/admin" }), "proof_replayed"},
		"a clone for a longer path":     {nil, clone(func(r *http.Request) { r.URL.Path = "/admin" + r.URL.Path }), "proof_replayed"},
		"a clone for another target":    {nil, clone(func(r *http.Request) { r.RequestURI, r.URL = "/admin", &url.URL{Path: "/admin"} }), "proof_htu"},
		"a clone with another query":    {nil, clone(func(r *http.Request) { r.RequestURI += "?a=b" }), "proof_replayed"},
		"a clone with another method":   {nil, clone(func(r *http.Request) { r.Method = http.MethodDelete }), "proof_htm"},
		"a clone for another host":      {nil, clone(func(r *http.Request) { r.Host = "other.example.no" }), "proof_htu"},
		"another token":                 {nil, func(w *world, r *http.Request) *http.Request { return withToken(r, w.server.Token()) }, "proof_ath"},
		"another proof":                 {nil, clone(func(r *http.Request) { r.Header.Set("DPoP", "x.y.z") }), "proof_malformed"},
		"no proof":                      {nil, clone(func(r *http.Request) { r.Header.Del("DPoP") }), "proof_missing"},
		"two proofs":                    {nil, clone(func(r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) }), "proof_repeated"},
		"two tokens":                    {nil, clone(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }), "authorization_repeated"},
		"another original request":      {proxied, clone(func(r *http.Request) { r.Header.Set("X-Forwarded-Uri", "/admin") }), "proof_htu"},
		"another original method":       {proxied, clone(func(r *http.Request) { r.Header.Set("X-Forwarded-Method", "DELETE") }), "proof_htm"},
		"a context made for tests":      {nil, func(w *world, r *http.Request) *http.Request { return withTestContext(r) }, "proof_replayed"},
		"the context of a user's token": {nil, func(w *world, r *http.Request) *http.Request { return r.WithContext(w.foreign(r)) }, "proof_replayed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			admin := w.auth.Require(w.reach)
			server := w.listen(w.auth.Guard()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				admin.ServeHTTP(rw, test.other(w, r))
			})))
			request := w.authorized(http.MethodGet, server.URL+"/batch", nil)
			if test.config != nil {
				token := w.server.Token()
				request.Header.Set("Authorization", "DPoP "+token)
				request.Header.Set("DPoP", w.server.Proof(http.MethodGet, "https://api.example.no/batch", token))
				set("X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/batch")(request)
			}
			status, body := w.call(request)
			require.NotEqual(t, http.StatusOK, status)
			require.Contains(t, body, `"reason":"`+test.reason+`"`)
			require.Zero(t, w.reached())
		})
	}
}

func withToken(r *http.Request, token string) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "DPoP "+token)
	return r
}

// withTestContext is the request as if no guard had accepted it.
func withTestContext(r *http.Request) *http.Request {
	claims := &tokenvalidation.Claims{ClientID: "made-up"}
	return r.WithContext(middleware.NewContext(context.Background(), claims, strings.TrimPrefix(r.Header.Get("Authorization"), "DPoP ")))
}

// foreign is the context of another caller's request that the same Middleware has
// accepted.
func (w *world) foreign(r *http.Request) context.Context {
	var found context.Context
	request := httptest.NewRequest(r.Method, "http://"+r.Host+r.RequestURI, nil)
	w.server.Authorize(request, w.server.Token(mint.Clinician()))
	w.auth.Require(func(_ http.ResponseWriter, r *http.Request) { found = r.Context() }).ServeHTTP(httptest.NewRecorder(), request)
	require.NotNil(w, found)
	return found
}

// A context that outlives its request does not help another sender of the same request.
func TestNestedGuardAfterTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	var kept atomic.Pointer[context.Context]
	inner := w.auth.Require(w.reach)
	guarded := w.auth.Guard()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		detached := context.WithoutCancel(r.Context())
		kept.Store(&detached)
		inner.ServeHTTP(rw, r.WithContext(detached))
	}))
	server := w.listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if of := kept.Load(); of != nil {
			r = r.WithContext(*of)
		}
		guarded.ServeHTTP(rw, r)
	}))
	request := w.authorized(http.MethodGet, server.URL+"/x", nil)
	status, _ := w.call(request.Clone(t.Context()))
	require.Equal(t, http.StatusOK, status)
	status, body := w.call(request)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "proof_replayed")
	require.Equal(t, 1, w.reached())
}

// A route's guard sees what the router has found, and a guard without requirements
// passes the claims on.
func TestNestedGuardSeesItsOwnRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	mux := http.NewServeMux()
	mux.Handle("GET /organizations/{parent}", w.auth.Require(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, middleware.Claims(r.Context()).Organization.Parent)
	}, middleware.ParentOrganizationInPath("parent")))
	server := w.listen(w.auth.Guard()(mux))
	status, body := w.call(w.authorized(http.MethodGet, server.URL+"/organizations/994598759", nil))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "994598759", body)
	status, body = w.call(w.authorized(http.MethodGet, server.URL+"/organizations/999977775", nil))
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "parent_organization")
}
