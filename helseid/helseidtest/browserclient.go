package helseidtest

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
)

// Browser returns a client that behaves like a browser with a user: it keeps cookies,
// follows redirects, requests pages, and logs in and out at this server according to
// the options. This tests a web application's login in a few lines: get a page that
// needs a login, and the response is that page. In memory, the client reaches the
// handlers of [Server.Mount].
//
// Clients with the same Jar are one browser: the application's cookies are in it, and
// the single sign-on of this server. This tests a step-up, by the same person or by
// another one:
//
//	browser := server.Browser(helseidtest.AtLevel(3))
//	stronger := server.Browser(helseidtest.InBrowser(browser.Jar), helseidtest.AtLevel(4))
func (s *Server) Browser(opts ...LoginOption) *http.Client {
	b := newBrowser(opts)
	if b.jar == nil {
		b.jar, _ = cookiejar.New(nil) // never fails without options
	}
	return &http.Client{Jar: b.jar, Transport: &browserTransport{s, b.choice}}
}

type browserTransport struct {
	server *Server
	choice Choice
}

// RoundTrip implements http.RoundTripper.
func (t *browserTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	location, _, _ := strings.Cut(request.URL.String(), "?")
	for _, endpoint := range []Endpoint{EndpointAuthorize, EndpointEndSession} {
		if location == t.server.issuer+string(endpoint) {
			return t.server.open(request, t.choice)
		}
	}
	request = request.Clone(request.Context())
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", "text/html,*/*;q=0.8")
	}
	base := t.server.HTTPClient().Transport
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(request)
}
