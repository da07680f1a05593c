package middleware_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

// reached from a proxy over a Unix socket, an API has its word by the named option
// alone; over TCP the option means nothing.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config func(*middleware.Config)
		in     bool
	}{
		"trusted":   {func(c *middleware.Config) { c.TrustUnixSocket = true }, true},
		"not named": {trusting(middleware.XForwarded), false},
		"not by another prefix": {func(c *middleware.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		}, false},
		"RFC 7239 is one of two": {func(c *middleware.Config) { c.TrustUnixSocket, c.ForwardedHeader = true, middleware.Forwarded }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			folder, err := os.MkdirTemp("", "api") // the path of a socket must be short
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(folder) })
			path := filepath.Join(folder, "s")
			listener, err := net.Listen("unix", path)
			require.NoError(t, err)
			server := httptest.NewUnstartedServer(w.handler)
			require.NoError(t, server.Listener.Close())
			server.Listener = listener
			server.Start()
			t.Cleanup(server.Close)
			transport := &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", path) }} //nolint:staticcheck // no context is needed
			t.Cleanup(transport.CloseIdleConnections)

			request, err := http.NewRequest(http.MethodGet, "http://internal/x", nil)
			require.NoError(t, err)
			request.Header.Set("X-Forwarded-Proto", "https")
			request.Header.Set("X-Forwarded-Host", "api.example.no")
			w.server.Authorize(request, w.server.Token(), mint.ProofClaim("htu", "https://api.example.no/x"))
			response, err := transport.RoundTrip(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, test.in, response.StatusCode == http.StatusOK, response.Header.Get("WWW-Authenticate"))
		})
	}
	t.Run("not over TCP", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.TrustUnixSocket = true }})
		for _, address := range []string{"@", "", "203.0.113.9:1", "/run/api.sock"} { // a header of the caller's may have set it
			w.requireRefused(w.at("GET", "http://internal/x", "GET", "https://api.example.no/x",
				from(address, set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.no"))), "proof_htu")
		}
	})
}

// Addresses are compared independently of their textual form.
func TestTrustedAddresses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prefix, from string
		in           bool
	}{
		"link-local with a zone":             {"fe80::/10", "[fe80::1%eth0]:4711", true},
		"one link-local address with a zone": {"fe80::1/128", "[fe80::1%2]:4711", true},
		"another one":                        {"fe80::1/128", "[fe80::2%eth0]:4711", false},
		"a zone alone":                       {"fe80::/10", "[2001:db8::1%eth0]:4711", false},
		"IPv4 written as IPv6":               {"::ffff:192.0.2.0/120", "192.0.2.7:1", true},
		"IPv4 written as IPv6, twice":        {"::ffff:192.0.2.0/120", "[::ffff:192.0.2.7]:1", true},
		"IPv4 written as IPv6, outside":      {"::ffff:192.0.2.0/120", "192.0.3.7:1", false},
		"no port":                            {"192.0.2.0/24", "192.0.2.7", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.prefix)}
			}})
			request := w.at("GET", "http://internal/x", "GET", "https://api.example.no/x",
				from(test.from, set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.no")))
			if test.in {
				w.requireOK(request)
			} else {
				w.requireRefused(request, "proof_htu")
			}
		})
	}
}

// Headers that differ between proxies are read only if they are configured, and only
// from a trusted proxy.
func TestNamedHeaders(t *testing.T) {
	t.Parallel()
	named := func(c *middleware.Config) {
		trusting(middleware.XForwarded)(c)
		c.PortHeader, c.PrefixHeader = "X-Forwarded-Port", "X-Forwarded-Prefix"
	}
	original := func(c *middleware.Config) {
		trusting(middleware.XForwarded)(c)
		c.HostHeader = "X-Original-Host"
	}
	rfc7239 := func(c *middleware.Config) {
		named(c)
		c.ForwardedHeader = middleware.Forwarded
	}
	https := func(more ...string) func(*http.Request) {
		return set(append([]string{"X-Forwarded-Proto", "https"}, more...)...)
	}
	for name, test := range map[string]struct {
		config         func(*middleware.Config)
		requested, htu string
		change         func(*http.Request)
		refused        bool
	}{
		"port":                                 {named, "http://api.example.no/x", "https://api.example.no:8443/x", https("X-Forwarded-Port", "8443"), false},
		"port in place of the host's":          {named, "http://api.example.no:8080/x", "https://api.example.no/x", https("X-Forwarded-Port", "443"), false},
		"port of a forwarded host":             {named, "http://internal/x", "https://api.example.no:8443/x", https("X-Forwarded-Host", "api.example.no", "X-Forwarded-Port", "8443"), false},
		"port of an IPv6 address":              {named, "http://[2001:db8::1]:8080/x", "https://[2001:db8::1]:8443/x", https("X-Forwarded-Port", "8443"), false},
		"port, the last counts":                {named, "http://api.example.no/x", "https://api.example.no:8443/x", https("X-Forwarded-Port", "1, 8443"), false},
		"port, the last field counts":          {named, "http://api.example.no/x", "https://api.example.no:8443/x", https("X-Forwarded-Port", "1", "X-Forwarded-Port", "8443"), false},
		"no port":                              {named, "http://api.example.no:8443/x", "https://api.example.no:8443/x", https(), false},
		"port and RFC 7239":                    {rfc7239, "http://internal/x", "https://api.example.no:8443/v1/x", set("Forwarded", "host=api.example.no;proto=https", "X-Forwarded-Port", "8443", "X-Forwarded-Prefix", "/v1"), false},
		"port that is not named":               {trusting(middleware.XForwarded), "http://api.example.no/x", "https://api.example.no:8443/x", https("X-Forwarded-Port", "8443"), true},
		"port that is not named means nothing": {trusting(middleware.XForwarded), "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Port", "8443"), false},
		"port of a stranger":                   {named, "https://api.example.no/x", "https://api.example.no:8443/x", from("203.0.113.9:1", set("X-Forwarded-Port", "8443")), true},
		"port that is none":                    {named, "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Port", "443/x"), true},
		"port zero":                            {named, "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Port", "0"), true},
		"port too large":                       {named, "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Port", "65979"), true},
		"port with a sign":                     {named, "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Port", "+443"), true},

		"prefix":                           {named, "http://api.example.no/x", "https://api.example.no/v1/x", https("X-Forwarded-Prefix", "/v1"), false},
		"prefix with a slash":              {named, "http://api.example.no/x", "https://api.example.no/v1/x", https("X-Forwarded-Prefix", "/v1/"), false},
		"prefix that is the root":          {named, "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Prefix", "/"), false},
		"prefix with an escape":            {named, "http://api.example.no/x", "https://api.example.no/a%2Fb/x", https("X-Forwarded-Prefix", "/a%2Fb"), false},
		"prefix, the last counts":          {named, "http://api.example.no/x", "https://api.example.no/v1/x", https("X-Forwarded-Prefix", "/other, /v1"), false},
		"prefix, the last field counts":    {named, "http://api.example.no/x", "https://api.example.no/v1/x", https("X-Forwarded-Prefix", "/other", "X-Forwarded-Prefix", "/v1"), false},
		"prefix is part of what is signed": {named, "http://api.example.no/x", "https://api.example.no/x", https("X-Forwarded-Prefix", "/v1"), true},
		"prefix that is not named":         {trusting(middleware.XForwarded), "http://api.example.no/x", "https://api.example.no/v1/x", https("X-Forwarded-Prefix", "/v1"), true},
		"prefix of a stranger":             {named, "https://api.example.no/x", "https://api.example.no/v1/x", from("203.0.113.9:1", set("X-Forwarded-Prefix", "/v1")), true},
		"prefix with a query":              {named, "http://api.example.no/secret", "https://api.example.no/public", https("X-Forwarded-Prefix", "/public?"), true},
		"prefix with a number sign":        {named, "http://api.example.no/secret", "https://api.example.no/public", https("X-Forwarded-Prefix", "/public#"), true},
		"prefix that is an authority":      {named, "http://api.example.no/x", "https://api.example.no.attacker.example/x", https("X-Forwarded-Prefix", ".attacker.example"), true},
		"prefix that is a port":            {named, "http://api.example.no/x", "https://api.example.no:1/x", https("X-Forwarded-Prefix", ":1"), true},

		"another host header":             {original, "http://internal/x", "https://api.example.no/x", https("X-Original-Host", "api.example.no"), false},
		"another host header, not both":   {original, "http://internal/x", "https://api.example.no/x", https("X-Forwarded-Host", "api.example.no"), true},
		"a host header that is not named": {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", https("X-Original-Host", "api.example.no"), true},

		"a WebSocket behind Traefik":       {trusting(middleware.XForwarded), "http://api.example.no/x", "https://api.example.no/x", set("X-Forwarded-Proto", "wss"), false},
		"a plain WebSocket behind Traefik": {trusting(middleware.XForwarded), "https://api.example.no/x", "http://api.example.no/x", set("X-Forwarded-Proto", "ws"), false},
		"a WebSocket is not a plain one":   {trusting(middleware.XForwarded), "http://api.example.no/x", "http://api.example.no/x", set("X-Forwarded-Proto", "wss"), true},
		"a host with a dot is that host":   {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no./x", https("X-Forwarded-Host", "api.example.no."), false},
		"a host with a dot is not another": {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", https("X-Forwarded-Host", "api.example.no."), true},
		"an IPv6 host":                     {trusting(middleware.XForwarded), "http://internal/x", "https://[2001:db8::1]/x", https("X-Forwarded-Host", "[2001:DB8:0::1]:443"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			request := w.at(http.MethodGet, test.requested, http.MethodGet, test.htu, test.change)
			if test.refused {
				w.requireRefused(request, "proof_htu")
			} else {
				w.requireOK(request)
			}
		})
	}
}

// With several public addresses, a proof must be for the one that the request used.
func TestPublicURLs(t *testing.T) {
	t.Parallel()
	urls := func(addresses ...string) func(*middleware.Config) {
		return func(c *middleware.Config) { c.PublicURLs = addresses }
	}
	two := urls("https://api.example.no/v1", "https://API.helsenett.example:8443/journal/", "https://[2001:db8::1]", "http://127.0.0.1:8080")
	proxied := func(c *middleware.Config) { two(c); trusting(middleware.XForwarded)(c) }
	prefixed := func(c *middleware.Config) {
		urls("https://api.example.no/v1", "https://api.example.no/v2", "https://api.example.no", "https://other.example.no/v1")(c)
		trusting(middleware.XForwarded)(c)
		c.PrefixHeader = "X-Forwarded-Prefix"
	}
	for name, test := range map[string]struct {
		config         func(*middleware.Config)
		requested, htu string
		change         func(*http.Request)
		refused        bool
	}{
		"the first":                       {two, "http://api.example.no/x", "https://api.example.no/v1/x", nil, false},
		"the second":                      {two, "http://api.helsenett.example:8443/x", "https://api.helsenett.example:8443/journal/x", nil, false},
		"in capitals":                     {two, "http://API.Example.No/x", "https://api.example.no/v1/x", nil, false},
		"the default port":                {two, "http://api.example.no:443/x", "https://api.example.no/v1/x", nil, false},
		"an IPv6 address":                 {two, "http://[2001:DB8:0:0::1]/x", "https://[2001:db8::1]/x", nil, false},
		"loopback":                        {two, "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x", nil, false},
		"a proof for the other one":       {two, "http://api.example.no/x", "https://api.helsenett.example:8443/journal/x", nil, true},
		"a proof for the other one, back": {two, "http://api.helsenett.example:8443/x", "https://api.example.no/v1/x", nil, true},
		"the prefix of the other one":     {two, "http://api.example.no/x", "https://api.example.no/journal/x", nil, true},
		"without its port":                {two, "http://api.helsenett.example/x", "https://api.helsenett.example:8443/journal/x", nil, true},
		"the port of http":                {two, "http://api.example.no:80/x", "https://api.example.no/v1/x", nil, true},
		"a host that is none of them":     {two, "https://internal/x", "https://internal/x", nil, true},
		"a host that looks like one":      {two, "http://api.example.no.attacker.example/x", "https://api.example.no/v1/x", nil, true},
		"a host with a dot":               {two, "http://api.example.no./x", "https://api.example.no/v1/x", nil, true},
		"a host with a query":             {two, "http://api.example.no/x", "https://api.example.no/v1/x", func(r *http.Request) { r.Host, r.RequestURI = "api.example.no?", "/x" }, true},
		"no host":                         {two, "http://api.example.no/x", "https://api.example.no/v1/x", func(r *http.Request) { r.Host, r.RequestURI = "", "/x" }, true},

		"a forwarded host":                {proxied, "http://internal/x", "https://api.example.no/v1/x", set("X-Forwarded-Host", "api.example.no"), false},
		"a forwarded host, another":       {proxied, "http://api.example.no/x", "https://api.example.no/v1/x", set("X-Forwarded-Host", "api.helsenett.example:8443"), true},
		"forwarded hosts, the last":       {proxied, "http://internal/x", "https://api.example.no/v1/x", set("X-Forwarded-Host", "api.helsenett.example:8443, api.example.no"), false},
		"a stranger's forwarded host":     {proxied, "http://api.helsenett.example:8443/x", "https://api.example.no/v1/x", from("203.0.113.9:1", set("X-Forwarded-Host", "api.example.no")), true},
		"a forwarded scheme is not asked": {proxied, "http://internal/x", "https://api.example.no/v1/x", set("X-Forwarded-Host", "api.example.no", "X-Forwarded-Proto", "http"), false},

		"by prefix":                      {prefixed, "http://api.example.no/x", "https://api.example.no/v2/x", set("X-Forwarded-Prefix", "/v2"), false},
		"by prefix, with a slash":        {prefixed, "http://api.example.no/x", "https://api.example.no/v2/x", set("X-Forwarded-Prefix", "/v2/"), false},
		"by prefix, another's":           {prefixed, "http://api.example.no/x", "https://api.example.no/v1/x", set("X-Forwarded-Prefix", "/v2"), true},
		"without a prefix":               {prefixed, "http://api.example.no/x", "https://api.example.no/x", nil, false},
		"a prefix that the host has not": {prefixed, "http://other.example.no/x", "https://other.example.no/v2/x", set("X-Forwarded-Prefix", "/v2"), true},
		"no prefix where there must be":  {prefixed, "http://other.example.no/x", "https://other.example.no/v1/x", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			request := w.at(http.MethodGet, test.requested, http.MethodGet, test.htu)
			if test.change != nil {
				test.change(request)
			}
			if test.refused {
				w.requireRefused(request, "proof_htu")
			} else {
				w.requireOK(request)
			}
		})
	}
}

// Mistakes about proxies and addresses are reported when the API starts.
func TestLocationMistakes(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*middleware.Config){
		"set one of them": func(c *middleware.Config) {
			c.PublicURL, c.PublicURLs = "https://api.example.no", []string{"https://b.example.no"}
		},
		"field PublicURLs must be an absolute URL": func(c *middleware.Config) { c.PublicURLs = []string{"https://api.example.no", "/x"} },
		"field PublicURLs must be an absolute":     func(c *middleware.Config) { c.PublicURLs = []string{""} },
		"field PublicURLs: https is required":      func(c *middleware.Config) { c.PublicURLs = []string{"http://api.example.no"} },
		"without PrefixHeader they cannot be told apart": func(c *middleware.Config) {
			c.PublicURLs = []string{"https://api.example.no/a", "https://API.example.no:443/b"}
		},
		"two addresses with the same host: without": func(c *middleware.Config) { c.PublicURLs = []string{"https://localhost:80", "http://localhost"} },
		"two addresses with the same host and prefix": func(c *middleware.Config) {
			trusting(0)(c)
			c.PrefixHeader = "X"
			c.PublicURLs = []string{"https://api.example.no/a", "https://api.example.no/a/"}
		},
		"field PortHeader needs TrustedProxies":   func(c *middleware.Config) { c.PortHeader = "X-Forwarded-Port" },
		"field PrefixHeader needs TrustedProxies": func(c *middleware.Config) { c.PrefixHeader = "X-Forwarded-Prefix" },
		"field HostHeader needs TrustedProxies":   func(c *middleware.Config) { c.HostHeader = "X-Original-Host" },
		"field PrefixHeader: it has no effect with PublicURL": func(c *middleware.Config) {
			trusting(0)(c)
			c.PublicURL, c.PrefixHeader = "https://api.example.no", "X-Forwarded-Prefix"
		},
		"field PortHeader is not the name":          func(c *middleware.Config) { trusting(0)(c); c.PortHeader = "X Forwarded" },
		"host is in the header Forwarded":           func(c *middleware.Config) { trusting(middleware.Forwarded)(c); c.HostHeader = "X-Original-Host" },
		"field TrustedProxies holds an invalid":     func(c *middleware.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::ffff:0:0/90")} },
		"ForwardAuth needs TrustedProxies":          func(c *middleware.Config) { c.ForwardAuth = &middleware.ForwardAuth{} },
		"MethodHeader or URIHeader is not the name": func(c *middleware.Config) { trusting(0)(c); c.ForwardAuth = &middleware.ForwardAuth{URIHeader: "X:"} },
		"field ForwardAuth: Routes": func(c *middleware.Config) {
			trusting(0)(c)
			c.ForwardAuth = &middleware.ForwardAuth{Routes: []string{"GET /{"}}
		},
		"field ForwardAuth: Routes: pattern \"GET /a": func(c *middleware.Config) {
			trusting(0)(c)
			c.ForwardAuth = &middleware.ForwardAuth{Routes: []string{"GET /a", "GET /a"}}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			config := middleware.Config{Issuer: "https://helseid-sts.test.nhn.no", Audience: "nhn:test-api"}
			change(&config)
			_, err := middleware.New(config)
			require.ErrorIs(t, err, middleware.ErrConfig)
			require.ErrorContains(t, err, want)
		})
	}
	config := middleware.Config{Issuer: "https://helseid-sts.test.nhn.no", Audience: "nhn:test-api", TrustUnixSocket: true, ForwardAuth: &middleware.ForwardAuth{}, PortHeader: "X-Forwarded-Port"}
	_, err := middleware.New(config)
	require.NoError(t, err)
}

// The audit record of a forward-auth request describes the original request.
func TestForwardAuthRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
		trusting(middleware.XForwarded)(c)
		c.PublicURL = "https://api.example.no"
		c.ForwardAuth = &middleware.ForwardAuth{Routes: []string{"DELETE /journal/{id}", "GET /{$}", "/patient/{id}/"}}
	}})
	mux := http.NewServeMux()
	mux.Handle("GET /check", w.auth.Require(w.reach))
	w.handler = mux
	original := func(method, uri string) func(*http.Request) {
		return set("X-Forwarded-Method", method, "X-Forwarded-Uri", uri)
	}
	recorded := func(request *http.Request) (string, string) {
		w.serve(request)
		return w.lastRecord().Method, w.lastRecord().Route
	}
	for name, test := range map[string]struct {
		change        func(*http.Request)
		method, route string
	}{
		"a known route":       {original("DELETE", "/journal/1%2F2?a=b"), "DELETE", "DELETE /journal/{id}"},
		"the root":            {original("GET", "/"), "GET", "GET /{$}"},
		"an unknown path":     {original("DELETE", "/person/06828399789"), "DELETE", ""},
		"below a known route": {original("GET", "/patient/06828399789"), "GET", "/patient/{id}/"},
		"a tunnel to a route": {original("CONNECT", "/patient/06828399789"), "CONNECT", ""},
		"another method":      {original("PUT", "/journal/1"), "PUT", ""},
		"a made-up method":    {original("06828399789", "/journal/1"), "other", ""},
		"no original":         {set(), "GET", "GET /check"},
		"a stranger's header": {from("203.0.113.9:1", original("DELETE", "/journal/1")), "GET", "GET /check"},
	} {
		t.Run(name, func(t *testing.T) {
			method, route := recorded(w.at("GET", "http://auth/check", "DELETE", "https://api.example.no/journal/1%2F2", test.change))
			require.Equal(t, [2]string{test.method, test.route}, [2]string{method, route})
		})
	}
	anonymous := httptest.NewRequest("GET", "http://auth/check", nil)
	original("DELETE", "/journal/1")(anonymous)
	method, route := recorded(anonymous) // refused before the original request is read
	require.Equal(t, [2]string{"DELETE", "DELETE /journal/{id}"}, [2]string{method, route})
}

// A token in the query of the original request is refused like one in any other query.
func TestForwardAuthTokenInQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
		trusting(middleware.XForwarded)(c)
		c.ForwardAuth = &middleware.ForwardAuth{}
	}})
	ask := func(uri string) *http.Request {
		return w.at("GET", "http://auth/check", "GET", "https://api.example.no/x", set("X-Forwarded-Method", "GET", "X-Forwarded-Uri", uri,
			"X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.no"))
	}
	w.requireOK(ask("/x?a=b"))
	w.requireRefused(ask("/x?a=b&access_token=c"), "token_in_query")
}

// The record of a proof for another URL has the origin and prefix that would have been
// right. The caller does not see them.
func TestExpectedOrigin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config          func(*middleware.Config)
		requested       string
		change          func(*http.Request)
		expected, cause string
	}{
		"the request's own": {nil, "https://api.example.no/x", nil, "https://api.example.no", ""},
		"a made-up host":    {nil, "https://06828399789.example.no/x", nil, "https://[redacted].example.no", ""},
		"PublicURL":         {func(c *middleware.Config) { c.PublicURL = "https://public.example.no/journal/" }, "http://internal/x", nil, "https://public.example.no/journal", ""},
		"a long PublicURL": {func(c *middleware.Config) {
			c.PublicURL = "https://journal-api.test.public.hospital-of-the-north.example.no"
		}, "http://internal/x", nil, "https://journal-api.test.public.hospital-of-the-north.example.no", ""},
		"a long host made up": {nil, "https://eyjhbgcioijfuzi1nij9.eyjpc3mioijqb2uifq.example.no/x", nil, "https://[redacted]", ""},
		"forwarded":           {trusting(middleware.XForwarded), "http://internal/x", set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "public.example.no"), "https://public.example.no", ""},
		"one of several": {func(c *middleware.Config) {
			c.PublicURLs = []string{"https://public.example.no/v1", "https://b.example.no"}
		}, "http://public.example.no/x", nil, "https://public.example.no/v1", ""},
		"none of several": {func(c *middleware.Config) { c.PublicURLs = []string{"https://public.example.no"} }, "http://internal/x", nil, "", "the request's host is none of those in PublicURLs"},
		"no path":         {nil, "https://api.example.no/x", func(r *http.Request) { r.RequestURI = "*" }, "", "the request target is not the path that is served"},
		"no host":         {nil, "https://api.example.no/x", func(r *http.Request) { r.Host, r.RequestURI = "", "/x" }, "", "the request's host is not a valid host"},
		"no port":         {func(c *middleware.Config) { trusting(0)(c); c.PortHeader = "X-Forwarded-Port" }, "http://internal/x", set("X-Forwarded-Port", "https"), "", "the forwarded port is not a port number"},
		"no prefix":       {func(c *middleware.Config) { trusting(0)(c); c.PrefixHeader = "X-Forwarded-Prefix" }, "http://internal/x", set("X-Forwarded-Prefix", "v1"), "", "the forwarded prefix is not a path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			request := w.at("GET", test.requested, "GET", "https://elsewhere.example.no/x")
			if test.change != nil {
				test.change(request)
			}
			response, problem := w.requireRefused(request, "proof_htu")
			record := w.lastRecord()
			require.Equal(t, [2]string{test.expected, test.cause}, [2]string{record.Expected, record.Cause})
			require.NotContains(t, response.Header.Get("WWW-Authenticate"), "public.example.no")
			require.NotContains(t, fmt.Sprint(problem.parameters), "public.example.no")
			// Other refusals do not have them.
			w.requireRefused(w.at("GET", test.requested, "POST", "https://elsewhere.example.no/x"), "proof_htm")
			require.Empty(t, w.lastRecord().Expected)
		})
	}
}
