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
// handlers of [Server.Mount]. For a step-up, raise the user's level before it: call
// [Server.AddUser] with the same number and another SecurityLevel.
func (s *Server) Browser(opts ...LoginOption) *http.Client {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &http.Client{Jar: jar, Transport: &browserTransport{s, jar, opts}}
}

type browserTransport struct {
	server *Server
	jar    http.CookieJar
	opts   []LoginOption
}

// RoundTrip implements http.RoundTripper.
func (t *browserTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	target := request.URL.String()
	for _, endpoint := range []Endpoint{EndpointAuthorize, EndpointEndSession} {
		if location, _, _ := strings.Cut(target, "?"); location == t.server.issuer+string(endpoint) {
			response, err := t.server.open(target, append([]LoginOption{InBrowser(t.jar)}, t.opts...))
			if err == nil {
				response.Request = request
			}
			return response, err
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
