package middleware_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const grpcMethod = "/journal.v1.Journal/Get"

// rpc is a request as a gRPC interceptor sees it: no net/http, names in lower case.
func (w *world) rpc(path string, options ...mint.TokenOption) middleware.Request {
	token := w.server.Token(options...)
	return middleware.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "https", Host: "api.example.no", Path: path},
		Header: http.Header{
			"authorization": {"DPoP " + token},
			"dpop":          {w.server.Proof(http.MethodPost, "https://api.example.no"+path, token)},
		},
		Route: path,
	}
}

// Decide gives other frameworks the same decision as the guard of net/http.
func TestDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	request := w.rpc(grpcMethod, mint.Clinician())
	decision := w.auth.Decide(t.Context(), request, middleware.User())
	require.True(t, decision.Allowed())
	require.Nil(t, decision.Problem)
	require.Empty(t, decision.Challenge+decision.Nonce)
	require.Equal(t, "helseidtest-client", decision.Claims.ClientID)
	ctx := decision.Context(t.Context())
	require.Same(t, decision.Claims, middleware.Claims(ctx))
	require.Equal(t, "DPoP "+middleware.Token(ctx).Reveal(), request.Header["authorization"][0]) //nolint:staticcheck // as gRPC writes its names
	record := w.lastRecord()
	require.True(t, record.Allowed)
	require.Equal(t, http.MethodPost, record.Method)
	require.Equal(t, grpcMethod, record.Route)

	decision = w.auth.Decide(t.Context(), request)
	require.False(t, decision.Allowed())
	require.Equal(t, "proof_replayed", decision.Problem.Reason)
	require.Equal(t, http.StatusUnauthorized, decision.Problem.Status)
	require.Equal(t, "invalid_dpop_proof", parseChallenge(t, decision.Challenge).parameters["error"])
	require.Nil(t, decision.Claims)
	require.Nil(t, middleware.Claims(decision.Context(t.Context())))

	// An inner interceptor checks only its own requirements.
	require.True(t, w.auth.Decide(ctx, request, middleware.User()).Allowed())
	require.Equal(t, "system", w.auth.Decide(ctx, request, middleware.System()).Problem.Reason)
	require.True(t, w.lastRecord().Nested)
	other := request
	other.URL = &url.URL{Scheme: "https", Host: "api.example.no", Path: "/journal.v1.Journal/Delete"}
	require.Equal(t, "proof_htu", w.auth.Decide(ctx, other).Problem.Reason)

	require.False(t, middleware.Decision{}.Allowed(), "nobody has decided")
	require.Panics(t, func() { w.auth.Decide(t.Context(), request, nil) })
}

// Decide refuses what net/http would refuse, and requests that no server would accept.
func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	at := func(target url.URL) func(*middleware.Request) {
		return func(r *middleware.Request) { r.URL = &target }
	}
	public := func(c *middleware.Config) { c.PublicURL = "https://api.example.no" }
	for name, test := range map[string]struct {
		config func(*middleware.Config)
		change func(*middleware.Request)
		reason string
	}{
		"nothing":                   {public, func(r *middleware.Request) { *r = middleware.Request{} }, "original_request"},
		"no method":                 {public, func(r *middleware.Request) { r.Method = "" }, "original_request"},
		"no URL":                    {public, func(r *middleware.Request) { r.URL = nil }, "original_request"},
		"an empty URL":              {public, at(url.URL{}), "original_request"},
		"no scheme":                 {public, at(url.URL{Host: "api.example.no", Path: grpcMethod}), "original_request"},
		"another scheme":            {public, at(url.URL{Scheme: "dns", Host: "api.example.no", Path: grpcMethod}), "original_request"},
		"an opaque URL":             {public, at(url.URL{Scheme: "https", Opaque: grpcMethod}), "original_request"},
		"a path without a slash":    {public, at(url.URL{Scheme: "https", Host: "api.example.no", Path: grpcMethod[1:]}), "original_request"},
		"no host":                   {nil, at(url.URL{Scheme: "https", Path: grpcMethod}), "proof_htu"},
		"another host":              {nil, at(url.URL{Scheme: "https", Host: "other.example.no", Path: grpcMethod}), "proof_htu"},
		"a host with a path":        {nil, at(url.URL{Scheme: "https", Host: "api.example.no/journal.v1.Journal", Path: "/Get"}), "proof_htu"},
		"a host with a query":       {nil, at(url.URL{Scheme: "https", Host: "api.example.no" + grpcMethod + "?", Path: "/admin"}), "proof_htu"},
		"plain http":                {nil, at(url.URL{Scheme: "http", Host: "api.example.no", Path: grpcMethod}), "proof_htu"},
		"a number sign in the path": {public, at(url.URL{Scheme: "https", Path: grpcMethod + "#/../Delete"}), "proof_htu"},
		"an encoded slash":          {nil, at(url.URL{Scheme: "https", Host: "api.example.no", Path: grpcMethod, RawPath: "/journal.v1.Journal%2FGet"}), "proof_htu"},
		"another method":            {nil, func(r *middleware.Request) { r.Method = "GET" }, "proof_htm"},
		"a token in the query":      {nil, func(r *middleware.Request) { r.URL.RawQuery = "access_token=x" }, "token_in_query"},
		"no header":                 {nil, func(r *middleware.Request) { r.Header = nil }, "no_credentials"},
		"no proof":                  {nil, func(r *middleware.Request) { delete(r.Header, "dpop") }, "proof_missing"},
		"two tokens":                {nil, func(r *middleware.Request) { r.Header["Authorization"] = r.Header["authorization"] }, "authorization_repeated"},
		"two proofs, in two cases":  {nil, func(r *middleware.Request) { r.Header["DPoP"] = r.Header["dpop"] }, "proof_repeated"},
		"forwarded, and not by proxy": {nil, func(r *middleware.Request) {
			r.URL.Host = "internal"
			r.Header["x-forwarded-host"] = []string{"api.example.no"}
		}, "proof_htu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			request := w.rpc(grpcMethod)
			test.change(&request)
			decision := w.auth.Decide(t.Context(), request)
			require.False(t, decision.Allowed())
			require.Equal(t, test.reason, decision.Problem.Reason)
			require.Equal(t, test.reason, w.lastRecord().Reason)
			require.NotEmpty(t, decision.Challenge)
			require.Nil(t, decision.Claims)
		})
	}
}

// PublicURL and proxies have the same effect as for net/http.
func TestDecideBehindAProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}})
	request := w.rpc(grpcMethod)
	request.URL, request.RemoteAddr = &url.URL{Scheme: "http", Host: "internal:8080", Path: grpcMethod}, "192.0.2.7:443"
	request.Header["x-forwarded-host"], request.Header["x-forwarded-proto"] = []string{"api.example.no"}, []string{"https"}
	require.True(t, w.auth.Decide(t.Context(), request).Allowed())

	w = newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.PublicURL = "https://api.example.no" }})
	request = w.rpc(grpcMethod)
	request.URL = &url.URL{Scheme: "http", Host: "internal:8080", Path: grpcMethod}
	require.True(t, w.auth.Decide(t.Context(), request).Allowed())
}

// A proxy on a Unix socket is known by the local address in the context, as by a guard.
func TestDecideUnixSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.TrustUnixSocket = true }})
	for network, in := range map[string]bool{"unix": true, "tcp": false} {
		request := w.rpc(grpcMethod)
		request.URL = &url.URL{Scheme: "http", Host: "internal", Path: grpcMethod}
		request.Header["x-forwarded-host"], request.Header["x-forwarded-proto"] = []string{"api.example.no"}, []string{"https"}
		var local net.Addr = &net.UnixAddr{Name: "/run/api.sock", Net: "unix"}
		if network == "tcp" {
			local = &net.TCPAddr{}
		}
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
		require.Equal(t, in, w.auth.Decide(ctx, request).Allowed(), network)
		require.False(t, w.auth.Decide(t.Context(), request).Allowed())
	}
}

// The decision has the nonce if the request is refused for lack of one, and if it is
// accepted with an older one.
func TestDecideNonces(t *testing.T) {
	t.Parallel()
	w, nonces := newNonceWorld(t)
	decision := w.auth.Decide(t.Context(), w.rpc(grpcMethod))
	require.Equal(t, "use_dpop_nonce", decision.Problem.Code)
	require.True(t, nonces.Valid(decision.Nonce))

	signed := func(nonce string) middleware.Request {
		request := w.rpc(grpcMethod)
		token := strings.TrimPrefix(request.Header["authorization"][0], "DPoP ") //nolint:staticcheck // as gRPC writes its names
		request.Header["dpop"] = []string{w.server.Proof(http.MethodPost, "https://api.example.no"+grpcMethod, token, mint.ProofClaim("nonce", nonce))}
		return request
	}
	decision = w.auth.Decide(t.Context(), signed(olderNonce()))
	require.True(t, decision.Allowed(), "%+v", decision.Problem)
	require.True(t, nonces.Valid(decision.Nonce))
	require.NotEqual(t, olderNonce(), decision.Nonce)
}

// An outage has no challenge, and a time to wait.
func TestDecideOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	w.net.setDown(true)
	decision := w.auth.Decide(t.Context(), w.rpc(grpcMethod))
	require.Equal(t, http.StatusServiceUnavailable, decision.Problem.Status)
	require.Empty(t, decision.Challenge)
	require.Equal(t, 5*time.Second, decision.RetryAfter)
}

// A request does not print its contents, which include a token.
func TestRequestIsNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	request := w.rpc(grpcMethod)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		require.Contains(t, fmt.Sprintf(verb, request), "[redacted]")
		require.Contains(t, fmt.Sprintf(verb, &request), "[redacted]")
		require.NotRegexp(t, testkit.JWS, fmt.Sprintf(verb, w.auth.Decide(t.Context(), w.rpc(grpcMethod))))
	}
}

// A handler can be tested without a HelseID.
func TestNewContext(t *testing.T) {
	t.Parallel()
	claims := &tokenvalidation.Claims{ClientID: "the-client"}
	ctx := middleware.NewContext(t.Context(), claims, "the-token")
	require.Same(t, claims, middleware.Claims(ctx))
	require.Equal(t, "the-token", middleware.Token(ctx).Reveal())
	require.NotContains(t, fmt.Sprint(ctx), "the-token")

	// A guard ignores it.
	w := newWorld(t, worldOptions{cold: true})
	request := httptest.NewRequest(http.MethodGet, resource, nil).WithContext(ctx)
	w.requireRefused(request, "no_credentials")
}

// A requirement sees the request and the caller's token.
func TestForRequest(t *testing.T) {
	t.Parallel()
	var seen string
	own := middleware.ForRequest(func(ctx context.Context, r *middleware.Request, claims *tokenvalidation.Claims) error {
		seen = fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.URL.Query().Get("page"), " ", r.Header.Get("X-Own"), " ", r.Route, " ", r.PathValue("id"), r.PathValue("other"))
		require.Same(t, claims, middleware.Claims(ctx))
		require.NotEmpty(t, middleware.Token(ctx).Reveal())
		return nil
	})
	w := newWorld(t, worldOptions{cold: true})
	mux := http.NewServeMux()
	mux.Handle("GET /journal/{id}", w.auth.Require(w.reach, middleware.Any(middleware.User(), middleware.All(own))))
	w.handler = mux
	request := w.genuine()
	request.Header.Set("X-Own", "own")
	w.requireOK(request)
	require.Equal(t, "GET /journal/1 2 own GET /journal/{id} 1", seen)

	rpc := w.rpc(grpcMethod)
	rpc.Header["x-own"] = []string{"own"}
	rpc.PathValues = func(name string) string { return map[string]string{"id": "7"}[name] }
	require.True(t, w.auth.Decide(t.Context(), rpc, own).Allowed())
	require.Equal(t, "POST "+grpcMethod+"  own "+grpcMethod+" 7", seen)

	require.Panics(t, func() { middleware.ForRequest(nil) })
	require.Error(t, own(t.Context(), &tokenvalidation.Claims{}), "there is no request")
	require.Error(t, own(middleware.NewContext(t.Context(), &tokenvalidation.Claims{}, ""), &tokenvalidation.Claims{}))
}

// The organisation in the path must be the token's. An empty one equals nothing.
func TestOrganizationInPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	mux := http.NewServeMux()
	mux.Handle("GET /parents/{parent}", w.auth.Require(w.reach, middleware.ParentOrganizationInPath("parent")))
	mux.Handle("GET /children/{child}", w.auth.Require(w.reach, middleware.ChildOrganizationInPath("child")))
	mux.Handle("GET /rest/{parent...}", w.auth.Require(w.reach, middleware.ParentOrganizationInPath("parent")))
	server := w.listen(mux)
	both, none := mint.Organization("994598759", "999977775", ""), mint.Organization("", "", "")
	for _, test := range []struct {
		target string
		token  mint.TokenOption
		reason string
	}{
		{server.URL + "/parents/994598759", both, ""},
		{server.URL + "/parents/999977775", both, "parent_organization"},
		{server.URL + "/parents/994598759%20", both, "parent_organization"},
		{server.URL + "/parents/994598759", none, "parent_organization"},
		{server.URL + "/children/999977775", both, ""},
		{server.URL + "/children/994598759", both, "child_organization"},
		{server.URL + "/rest/994598759", both, ""},
		{server.URL + "/rest/", both, "parent_organization"},
		{server.URL + "/rest/", none, "parent_organization"},
	} {
		status, body := w.call(w.authorized(http.MethodGet, test.target, nil, test.token))
		if test.reason == "" {
			require.Equal(t, http.StatusOK, status, test.target)
			continue
		}
		require.Equal(t, http.StatusForbidden, status, test.target)
		require.Contains(t, body, `"reason":"`+test.reason+`"`)
	}
	require.Panics(t, func() { middleware.ParentOrganizationInPath("") })
	require.Panics(t, func() { middleware.ChildOrganizationInPath("") })
}

// A path parameter that the route does not have is the API's own mistake: nobody gets in,
// and the operator learns why.
func TestOrganizationInPathThatTheRouteDoesNotHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	parent := middleware.ParentOrganizationInPath("parent")
	mux := http.NewServeMux()
	mux.Handle("GET /misspelt/{parents}", w.auth.Require(w.reach, parent))
	mux.Handle("GET /shorter/{paren}", w.auth.Require(w.reach, parent))
	mux.Handle("GET /parent/{x}", w.auth.Require(w.reach, middleware.ChildOrganizationInPath("parent")))
	mux.Handle("GET /any/{x}", w.auth.Require(w.reach, middleware.Any(middleware.User(), parent, middleware.AnyChildOrganization())))
	server := w.listen(mux)
	outside := w.listen(w.auth.Guard(parent)(http.HandlerFunc(w.reach)))
	for _, target := range []string{
		server.URL + "/misspelt/994598759", server.URL + "/shorter/994598759", server.URL + "/parent/994598759", server.URL + "/any/994598759",
		outside.URL + "/parents/994598759", outside.URL + "/parents/",
	} {
		for _, token := range []mint.TokenOption{mint.Organization("994598759", "", ""), mint.Organization("", "", "")} {
			status, body := w.call(w.authorized(http.MethodGet, target, nil, token))
			require.Equal(t, http.StatusInternalServerError, status, target)
			require.Contains(t, body, `"reason":"misconfigured"`)
			require.NotContains(t, body, "path parameter", "that is for the operator")
			record := w.lastRecord()
			require.Equal(t, "misconfigured", record.Reason)
			require.Contains(t, record.Cause, `OrganizationInPath: the route has no path parameter "parent"`)
			require.NotContains(t, record.Cause, "994598759")
		}
	}
	for name, values := range map[string]func(string) string{"no parameters": nil, "others": func(string) string { return "" }} {
		request := w.rpc(grpcMethod)
		request.PathValues = values
		decision := w.auth.Decide(t.Context(), request, parent)
		require.False(t, decision.Allowed(), name)
		require.Equal(t, "misconfigured", decision.Problem.Reason, name)
		require.Empty(t, decision.Challenge, "no other token helps")
		require.Zero(t, decision.RetryAfter, "nor does another attempt")
	}
}

// A router may write its routes in another way, and let a parameter be empty: that is the
// caller's doing.
func TestEmptyOrganizationInPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	for route, reason := range map[string]string{
		"/parents/{parent}": "parent_organization", "GET /parents/{parent...}": "parent_organization", "/{parent:[0-9]*}/x": "parent_organization",
		"/parents/:parent": "parent_organization", "/:parent/x": "parent_organization", "/parents/*parent": "parent_organization",
		"/parents/:parents": "misconfigured", "/parent": "misconfigured", "/{parents}": "misconfigured", "": "misconfigured",
	} {
		request := w.rpc(grpcMethod)
		request.Route, request.PathValues = route, func(string) string { return "" }
		decision := w.auth.Decide(t.Context(), request, middleware.ParentOrganizationInPath("parent"))
		require.False(t, decision.Allowed(), route)
		require.Equal(t, reason, decision.Problem.Reason, route)
	}
}

// A requirement sees the request that a forward-auth proxy asks about, and not the
// proxy's own.
func TestForRequestBehindForwardAuth(t *testing.T) {
	t.Parallel()
	for name, bearer := range map[string]bool{"DPoP": false, "Bearer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
				trusting(middleware.XForwarded)(c)
				c.PublicURL, c.ForwardAuth, c.BearerOnly = "https://api.example.no", &middleware.ForwardAuth{}, bearer
			}})
			readOnly := middleware.ForRequest(func(_ context.Context, r *middleware.Request, _ *tokenvalidation.Claims) error {
				if r.Method != http.MethodGet || r.URL.Path != "/journal/1" || r.URL.Query().Get("a") != "b" {
					return &middleware.Denial{Reason: "read_only", Detail: "only one may be read"}
				}
				return nil
			})
			mux := http.NewServeMux()
			mux.Handle("GET /journal/{id}", w.auth.Require(w.reach, readOnly))
			mux.Handle("GET /organizations/{parent}", w.auth.Require(w.reach, middleware.ParentOrganizationInPath("parent")))
			w.handler = mux
			ask := func(own, method, uri string) *http.Request {
				request := w.at("GET", "http://auth"+own, method, "https://api.example.no"+uri, set("X-Forwarded-Method", method, "X-Forwarded-Uri", uri))
				if bearer {
					request.Header.Del("DPoP")
					request.Header.Set("Authorization", "Bearer "+w.server.Token(mint.Unbound()))
				}
				return request
			}
			w.requireOK(ask("/journal/2", "GET", "/journal/1?a=b"))
			w.requireRefused(ask("/journal/1?a=b", "DELETE", "/journal/1?a=b"), "read_only")
			w.requireRefused(ask("/journal/1?a=b", "GET", "/journal/2?a=b"), "read_only")
			w.requireRefused(ask("/organizations/994598759", "GET", "/organizations/999977775"), "misconfigured")
			without := ask("/journal/1?a=b", "GET", "/journal/1?a=b")
			without.Header.Del("X-Forwarded-Uri")
			w.requireRefused(without, "original_request")
		})
	}
}
