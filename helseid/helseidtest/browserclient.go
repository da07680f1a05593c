package helseidtest

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
)

// Browser returns a client that behaves like a browser with a user in front of it:
// it keeps cookies, follows redirects, asks for pages, and at this server it logs
// in and out as the options say. With it a web application's login is tested in a
// few lines: fetch a page that needs a login, and the answer is that page. In
// memory it reaches what Mount has mounted. A user who is to step up is made
// stronger meanwhile, by AddUser with the same number and another SecurityLevel.
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
