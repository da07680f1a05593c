package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/middleware"
)

// at is a request with a proof for a URL.
func (w *world) at(method, requested, htm, htu string, changes ...func(*http.Request)) *http.Request {
	request := httptest.NewRequest(method, requested, nil)
	token := w.server.Token()
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set("DPoP", w.server.Proof(htm, htu, token))
	for _, change := range changes {
		change(request)
	}
	return request
}

// The API's address is taken from its configuration or from trusted proxies.
func TestLocation(t *testing.T) {
	t.Parallel()
	public := func(url string) func(*middleware.Config) {
		return func(c *middleware.Config) { c.PublicURL = url }
	}
	for name, test := range map[string]struct {
		config         func(*middleware.Config)
		requested, htu string
		change         func(*http.Request)
	}{
		"PublicURL":                    {public("https://api.example.no"), "http://internal:8080/x?y=z", "https://api.example.no/x", nil},
		"PublicURL with slash":         {public("https://api.example.no/"), "http://internal/x", "https://api.example.no/x", nil},
		"PublicURL with prefix":        {public("https://api.example.no/journal"), "http://internal/x", "https://api.example.no/journal/x", nil},
		"PublicURL, prefix with slash": {public("https://api.example.no/journal/"), "http://internal/x/", "https://api.example.no/journal/x/", nil},
		"PublicURL, encoded prefix":    {public("https://api.example.no/a%20b"), "http://internal/x", "https://api.example.no/a%20b/x", nil},
		"PublicURL with port":          {public("https://api.example.no:8443"), "http://internal/x", "https://api.example.no:8443/x", nil},
		"PublicURL, default port":      {public("https://api.example.no:443"), "http://internal/x", "https://api.example.no/x", nil},
		"PublicURL, capitals":          {public("HTTPS://API.example.no"), "http://internal/x", "https://api.example.no/x", nil},
		"PublicURL, loopback":          {public("http://127.0.0.1:8080"), "http://internal/x", "http://127.0.0.1:8080/x", nil},
		"PublicURL, forwarded headers mean nothing": {func(c *middleware.Config) { public("https://api.example.no")(c); trusting(middleware.XForwarded)(c) },
			"http://internal/x", "https://api.example.no/x", set("X-Forwarded-Host", "other.example.no", "X-Forwarded-Proto", "http")},

		"X-Forwarded":                          {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.no")},
		"X-Forwarded in capitals":              {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", set("X-Forwarded-Proto", "HTTPS", "X-Forwarded-Host", "API.example.no:443")},
		"X-Forwarded-Proto alone":              {trusting(middleware.XForwarded), "http://api.example.no/x", "https://api.example.no/x", set("X-Forwarded-Proto", "https")},
		"X-Forwarded-Host alone":               {trusting(middleware.XForwarded), "https://internal/x", "https://api.example.no/x", set("X-Forwarded-Host", "api.example.no")},
		"X-Forwarded, the last counts":         {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", set("X-Forwarded-Proto", "http, https", "X-Forwarded-Host", "evil.example, api.example.no")},
		"X-Forwarded, the last field counts":   {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example", "X-Forwarded-Host", "api.example.no")},
		"X-Forwarded, neither there":           {trusting(middleware.XForwarded), "http://api.example.no/x", "http://api.example.no/x", nil},
		"X-Forwarded-Proto nonsense":           {trusting(middleware.XForwarded), "https://api.example.no/x", "https://api.example.no/x", set("X-Forwarded-Proto", "wss")},
		"X-Forwarded over IPv6":                {trusting(middleware.XForwarded), "http://internal/x", "https://api.example.no/x", from("[::ffff:192.0.2.7]:1", set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.no"))},
		"a stranger's headers mean nothing":    {trusting(middleware.XForwarded), "https://api.example.no/x", "https://api.example.no/x", from("203.0.113.9:1", set("X-Forwarded-Host", "evil.example"))},
		"Forwarded":                            {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no/x", set("Forwarded", "for=203.0.113.9;proto=https;host=api.example.no")},
		"Forwarded, quoted and in capitals":    {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no:8443/x", set("Forwarded", `For="203.0.113.9"; Proto="HTTPS" ;Host="api.example.no:8443"`)},
		"Forwarded, back through a proxy":      {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no/x", set("Forwarded", "for=203.0.113.9;proto=https;host=api.example.no, for=10.1.2.3;proto=http;host=internal")},
		"Forwarded, through one with port":     {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no/x", set("Forwarded", `for=203.0.113.9;proto=https;host=api.example.no, for="10.1.2.3:4711";proto=http`)},
		"Forwarded, through two":               {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no/x", set("Forwarded", `for=203.0.113.9;proto=https;host=api.example.no, for=10.1.2.3`, "Forwarded", "for=192.0.2.4")},
		"Forwarded, not beyond a stranger":     {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no/x", set("Forwarded", "host=evil.example;proto=http, for=203.0.113.9;host=api.example.no;proto=https")},
		"Forwarded, not beyond an IPv6 client": {trusting(middleware.Forwarded), "http://internal/x", "https://api.example.no/x", set("Forwarded", `host=evil.example;proto=http, for="[2001:db8::1]:4711";host=api.example.no;proto=https`)},
		"Forwarded missing":                    {trusting(middleware.Forwarded), "https://api.example.no/x", "https://api.example.no/x", nil},
		"Forwarded empty":                      {trusting(middleware.Forwarded), "https://api.example.no/x", "https://api.example.no/x", set("Forwarded", "")},
		"Forwarded nonsense":                   {trusting(middleware.Forwarded), "https://api.example.no/x", "https://api.example.no/x", set("Forwarded", `;;,=;"`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: test.config})
			request := w.at(http.MethodGet, test.requested, http.MethodGet, test.htu)
			if test.change != nil {
				test.change(request)
			}
			w.requireOK(request)
		})
	}
}

// A trusted proxy over IPv6 is recognised, and a link-local one with a zone.
func TestTrustedIPv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
		c.ForwardedHeader = middleware.Forwarded
	}})
	w.requireOK(w.at("GET", "http://internal/x", "GET", "https://api.example.no/x",
		from("[2001:db8::1]:443", set("Forwarded", `for=203.0.113.9;host=api.example.no;proto=https, for="[2001:db8::2]:1"`))))
	w.requireRefused(w.at("GET", "http://internal/x", "GET", "https://api.example.no/x",
		from("[2001:db9::1]:443", set("Forwarded", `host=api.example.no;proto=https`))), "proof_htu")
}

// A proxy asks about requests to another service: their method and path are in headers
// that only the proxy may set.
func TestForwardAuth(t *testing.T) {
	t.Parallel()
	forwardAuth := func(auth middleware.ForwardAuth) func(*middleware.Config) {
		return func(c *middleware.Config) {
			trusting(middleware.XForwarded)(c)
			c.PublicURL = "https://api.example.no"
			c.ForwardAuth = &auth
		}
	}
	original := set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/journal/1%2F2?a=b")
	start := func(t *testing.T, auth middleware.ForwardAuth) *world {
		return newWorld(t, worldOptions{cold: true, config: forwardAuth(auth)})
	}
	t.Run("from the proxy", func(t *testing.T) {
		t.Parallel()
		w := start(t, middleware.ForwardAuth{})
		w.requireOK(w.at("GET", "http://auth/check", "DELETE", "https://api.example.no/journal/1%2F2", original))
		w.requireRefused(w.at("GET", "http://auth/check", "GET", "https://api.example.no/journal/1%2F2", original), "proof_htm")
		w.requireRefused(w.at("GET", "http://auth/check", "DELETE", "https://api.example.no/check", original), "proof_htu")
	})
	t.Run("other headers", func(t *testing.T) {
		t.Parallel()
		w := start(t, middleware.ForwardAuth{MethodHeader: "X-Original-Method", URIHeader: "X-Original-Uri"})
		w.requireOK(w.at("GET", "http://auth/check", "PUT", "https://api.example.no/x", set("X-Original-Method", "PUT", "X-Original-URI", "/x")))
		response, _ := w.requireRefused(w.at("GET", "http://auth/check", "DELETE", "https://api.example.no/journal/1%2F2", original), "original_request")
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	})
	t.Run("without PublicURL", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
			forwardAuth(middleware.ForwardAuth{})(c)
			c.PublicURL = ""
		}})
		w.requireOK(w.at("GET", "http://auth/check", "DELETE", "https://api.example.no/journal/1%2F2", original, set("X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example.no")))
	})
	for name, change := range map[string]func(*http.Request){
		"from a stranger":     from("203.0.113.9:1", original),
		"without headers":     set(),
		"method alone":        set("X-Forwarded-Method", "DELETE"),
		"URI alone":           set("X-Forwarded-Uri", "/journal/1%2F2"),
		"two methods":         set("X-Forwarded-Method", "GET", "X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/journal/1%2F2"),
		"two URIs":            set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/a", "X-Forwarded-Uri", "/journal/1%2F2"),
		"an empty method":     set("X-Forwarded-Method", "", "X-Forwarded-Uri", "/journal/1%2F2"),
		"an empty URI":        set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", ""),
		"a whole URL":         set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "https://api.example.no/journal/1%2F2"),
		"a relative path":     set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "journal/1%2F2"),
		"a broken path":       set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/%zz"),
		"an asterisk":         set("X-Forwarded-Method", "OPTIONS", "X-Forwarded-Uri", "*"),
		"a control character": set("X-Forwarded-Method", "DELETE", "X-Forwarded-Uri", "/journal/\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, middleware.ForwardAuth{})
			response, _ := w.requireRefused(w.at("GET", "http://auth/check", "DELETE", "https://api.example.no/journal/1%2F2", change), "original_request")
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
		})
	}
}

// The proof is for the URL that the client sent, whatever routers change: prefixes that
// are removed, patterns and sub-routers.
func TestBehindRouters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	inner := http.NewServeMux()
	inner.Handle("GET /journal/{id}", w.auth.Require(w.reach))
	outer := http.NewServeMux()
	outer.Handle("/v1/", http.StripPrefix("/v1", inner))
	w.handler = outer
	w.requireOK(w.at("GET", "https://api.example.no/v1/journal/1", "GET", "https://api.example.no/v1/journal/1"))
	w.requireRefused(w.at("GET", "https://api.example.no/v1/journal/1", "GET", "https://api.example.no/journal/1"), "proof_htu")
	w.requireOK(w.at("GET", "https://api.example.no/v1/journal/a%2Fb", "GET", "https://api.example.no/v1/journal/a%2Fb"))
	w.requireRefused(w.at("GET", "https://api.example.no/v1/journal/a%2Fb", "GET", "https://api.example.no/v1/journal/a/b"), "proof_htu")
}

// A request that was not read by a server has no RequestURI.
func TestWithoutRequestURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	w.requireOK(w.at("GET", "https://api.example.no/x", "GET", "https://api.example.no/x", func(r *http.Request) { r.RequestURI = "" }))
	w.requireRefused(w.at("GET", "https://api.example.no/x", "GET", "https://api.example.no/x", func(r *http.Request) { r.RequestURI = "::" }), "proof_htu")
	w.requireOK(w.at("GET", "https://api.example.no/x", "GET", "https://api.example.no", func(r *http.Request) { r.RequestURI, r.URL.Path = "", "" }))
}

// The target of a request is a path, or an absolute URL of its host (RFC 9112 section
// 3.2). Of a URL without a path that is the root; the other two forms have none.
func TestFormsOfTheTarget(t *testing.T) {
	t.Parallel()
	for target, path := range map[string]string{
		"/x": "/x", "/x?a=b": "/x", "/": "/", "/?a=/b": "/", "/x%2Fy": "/x%2Fy", "//x": "//x", "/x/../y": "/x/../y", `/a"b`: "/a%22b",
		"http://api.example.no/x": "/x", "http://api.example.no": "/", "http://api.example.no?a=/b": "/", "HTTP://API.example.no/x?a": "/x",
		"http://api.example.no/x%2Fy": "/x%2Fy", "http://api.example.no//x": "//x", "http://user@api.example.no/x": "/x",
		"*": "", "x": "", "x/y": "", "?a": "", "api.example.no:443": "", "api.example.no/x": "", "http:/x": "", "http:x": "",
		"http://": "", "http:///x": "", "http://other.example.no/x": "", "http://api.example.no:8080/x": "", "ftp://api.example.no/x": "", "%2Fx": "", "/%zz": "", "/x#y": "",
		"http://api.example.no#/x": "",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true})
			send := func(signed string) *http.Request {
				return w.at("GET", "http://api.example.no/x", "GET", "http://api.example.no"+signed, func(r *http.Request) { r.RequestURI = target })
			}
			if path != "" {
				w.requireOK(send(path))
				w.requireRefused(send(path+"x"), "proof_htu")
				return
			}
			for _, signed := range []string{"", "/", "/x", "/y"} {
				w.requireRefused(send(signed), "proof_htu")
			}
		})
	}
	// Without a target, as tests and adapters make requests, escapes are kept as well.
	w := newWorld(t, worldOptions{cold: true})
	unread := func(r *http.Request) { r.RequestURI = "" }
	w.requireOK(w.at("GET", "http://api.example.no/x%2Fy?a=b", "GET", "http://api.example.no/x%2Fy", unread))
	w.requireRefused(w.at("GET", "http://api.example.no/x%2Fy?a=b", "GET", "http://api.example.no/x/y", unread), "proof_htu")
}
