package middleware

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
)

// Request is the request that a decision is about, independent of protocol and
// framework. It is passed to [Middleware.Decide] and to requirements that look at the
// request ([ForRequest]). Printed, logged or marshalled it reads "[redacted]".
type Request struct {
	unprintable

	// Method is the HTTP method; for gRPC it is POST. Required. With
	// Config.ForwardAuth, requirements see the method of the original request.
	Method string

	// URL is the URL that the request was sent to: scheme, host and path, and the query
	// if there is one. Required. The proof must be for this URL, as corrected by
	// Config.PublicURL and Config.TrustedProxies. Requirements behind a net/http guard
	// see the URL that handlers get and, with Config.ForwardAuth, the path and query of
	// the original request.
	URL *url.URL

	// Header holds the header fields; the case of the names does not matter.
	// Authorization and DPoP are required, and the headers of Config.TrustedProxies and
	// Config.ForwardAuth if these are set. A metadata.MD of gRPC can be converted:
	// http.Header(md).
	Header http.Header

	// RemoteAddr is the address and port of the sender, for Config.TrustedProxies.
	RemoteAddr string

	// Route is the pattern that a router has matched, for the audit record. Empty means
	// that it is not known.
	Route string

	// PathValues returns the value of a path parameter by its name in the route, or ""
	// for a name that the route does not have. Nil means that there are no path
	// parameters.
	PathValues func(name string) string

	http *http.Request
}

// PathValue returns the value of a path parameter by its name in the route. It returns
// "" for a name that the route does not have, and if the guard wraps the router. So do
// not compare the result with a value that may also be empty.
func (r *Request) PathValue(name string) string {
	if r.PathValues == nil {
		return ""
	}
	return r.PathValues(name)
}

// ofHTTP makes a Request of one from net/http.
func ofHTTP(r *http.Request) *Request {
	return &Request{
		Method: r.Method, URL: r.URL, Header: r.Header, RemoteAddr: r.RemoteAddr,
		Route: r.Pattern, PathValues: r.PathValue, http: r,
	}
}

// ofOriginal replaces the request by the original one that a forward-auth proxy asks
// about, for requirements that look at it. The path parameters of the proxy's own
// request do not apply to the original one.
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

// asHTTP converts the request to the form that the checks read, with the context of the
// decision. It is not complete if a server would not have accepted it.
func (r *Request) asHTTP(ctx context.Context) (complete bool) {
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
	r.http = (&http.Request{
		Method: r.Method, URL: target, Host: target.Host, Header: header, RemoteAddr: r.RemoteAddr, Pattern: r.Route,
	}).WithContext(ctx)
	if isTLS {
		r.http.TLS = &tls.ConnectionState{}
	}
	return complete
}
