package middleware

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
)

// Request is what a decision is made about, of whatever protocol or framework the
// request is. It goes into [Middleware.Decide], and requirements that look at the
// request get it ([ForRequest]). Printed, logged or marshalled it reads "[redacted]".
type Request struct {
	unprintable

	// Method is the HTTP method, which is POST for gRPC. Required. For requirements it
	// is with Config.ForwardAuth that of the original request.
	Method string

	// URL is where the request was sent to: scheme, host and path, and the query if
	// there is one. Required. The proof must be for this URL, as Config.PublicURL and
	// Config.TrustedProxies correct it. For requirements behind a guard of net/http
	// it is the URL that handlers get, and with Config.ForwardAuth the original one's
	// path and query.
	URL *url.URL

	// Header holds the header fields, with names in any case. Authorization and DPoP
	// are required, and those of Config.TrustedProxies and Config.ForwardAuth if these
	// are set. gRPC's metadata.MD is converted: http.Header(md).
	Header http.Header

	// RemoteAddr is the address and port that the request has come from, for
	// Config.TrustedProxies.
	RemoteAddr string

	// Route is the pattern that a router has matched, for the audit record. Empty
	// means that it is not known.
	Route string

	// PathValues looks up the value of a part of the path that a router has matched,
	// by the part's name in the route, and returns "" for a name that the route does
	// not have. Nil means that there are none.
	PathValues func(name string) string

	http *http.Request
}

// PathValue is the value of a part of the path by its name in the route. It is "" for
// a name that the route does not have, and where the guard stands outside of the
// router: compare it with nothing that may be empty, too.
func (r *Request) PathValue(name string) string {
	if r.PathValues == nil {
		return ""
	}
	return r.PathValues(name)
}

// ofHTTP is a request as net/http hands it to handlers.
func ofHTTP(r *http.Request) *Request {
	return &Request{
		Method: r.Method, URL: r.URL, Header: r.Header, RemoteAddr: r.RemoteAddr,
		Route: r.Pattern, PathValues: r.PathValue, http: r,
	}
}

// ofOriginal makes it the request that a forward-auth proxy asks about, for requirements
// that look at it. What a router has found in the path of the proxy's own request has
// nothing to do with that one.
func (r *Request) ofOriginal(l *location) error {
	if l.auth == nil {
		return nil
	}
	method, _, ok := l.auth.original(r.http)
	target, err := url.ParseRequestURI(r.http.Header.Get(l.auth.uri))
	if !ok || err != nil || !l.trusts(r.http) {
		return errNoOriginal
	}
	r.Method, r.URL, r.PathValues = method, target, nil
	return nil
}

// asHTTP gives the request the form in which everything here reads one. It refuses
// what a server would not have read.
func (r *Request) asHTTP() (complete bool) {
	if r.http != nil {
		return true
	}
	header := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		name = http.CanonicalHeaderKey(name)
		header[name] = append(header[name], values...)
	}
	r.Header = header
	target := r.URL
	if target == nil {
		target = &url.URL{}
	}
	isTLS := strings.EqualFold(target.Scheme, "https")
	complete = r.Method != "" && (isTLS || strings.EqualFold(target.Scheme, "http")) && target.Opaque == "" &&
		(target.Path == "" || strings.HasPrefix(target.Path, "/"))
	r.http = &http.Request{
		Method: r.Method, URL: target, Host: target.Host, Header: header, RemoteAddr: r.RemoteAddr, Pattern: r.Route,
	}
	if isTLS {
		r.http.TLS = &tls.ConnectionState{}
	}
	return complete
}
