package middleware

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// ForwardAuth names the headers that describe the original request.
type ForwardAuth struct {
	// MethodHeader is the header with the method. Empty means X-Forwarded-Method.
	MethodHeader string

	// URIHeader is the header with path and query. Empty means X-Forwarded-Uri.
	URIHeader string

	// Routes are patterns such as "GET /journal/{id}", in the syntax of
	// [http.ServeMux]. The pattern that the original request matches becomes the Route
	// of its audit [Record]. Without a match, Route is empty, since paths may hold
	// personal data.
	Routes []string
}

// forwardAuth is a ForwardAuth with its defaults.
type forwardAuth struct {
	method, uri string
	routes      *http.ServeMux
	patterns    []string // of routes
}

func newForwardAuth(config ForwardAuth) (*forwardAuth, error) {
	found := &forwardAuth{
		method:   cmp.Or(config.MethodHeader, "X-Forwarded-Method"),
		uri:      cmp.Or(config.URIHeader, "X-Forwarded-Uri"),
		routes:   http.NewServeMux(),
		patterns: slices.Clone(config.Routes),
	}
	if !isHeaderName(found.method) || !isHeaderName(found.uri) {
		return nil, fmt.Errorf("field ForwardAuth: MethodHeader or URIHeader is not the name of a header")
	}
	for _, route := range config.Routes {
		if err := addRoute(found.routes, route); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// addRoute turns the panic of http.ServeMux into an error.
func addRoute(mux *http.ServeMux, route string) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("field ForwardAuth: Routes: %v", fault)
		}
	}()
	mux.Handle(route, http.NotFoundHandler())
	return nil
}

// errNoOriginal means that a request that should come from a forward-auth proxy does
// not describe the original request.
var errNoOriginal = redact.Words("the original method and path are missing")

// original reads the request that a forward-auth proxy asks about.
func (a *forwardAuth) original(r *http.Request) (method, path string, ok bool) {
	methods, uris := r.Header.Values(a.method), r.Header.Values(a.uri)
	if len(methods) != 1 || len(uris) != 1 || methods[0] == "" {
		return "", "", false
	}
	path = withoutQuery(uris[0])
	if _, err := url.ParseRequestURI(uris[0]); err != nil || !isPath(path) {
		return "", "", false
	}
	return methods[0], path, true
}

// isTooLong reports whether the target of the request, or of the original request that
// a forward-auth proxy asks about, is longer than maxTarget.
func (l *location) isTooLong(r *http.Request) bool {
	if len(r.RequestURI) > maxTarget || r.URL != nil && len(r.URL.RawQuery) > maxTarget {
		return true
	}
	return l.auth != nil && slices.ContainsFunc(r.Header.Values(l.auth.uri), func(uri string) bool { return len(uri) > maxTarget })
}

// queries returns the request's own query and that of the original request that a
// forward-auth proxy asks about, joined.
func (l *location) queries(r *http.Request) string {
	var query string
	if r.URL != nil {
		query = r.URL.RawQuery
	}
	if l.auth != nil {
		for _, uri := range r.Header.Values(l.auth.uri) {
			_, original, _ := strings.Cut(uri, "?")
			query += "&" + original
		}
	}
	return query
}

// asked returns the method and route for the audit record: those of the request, or of
// the original request that a forward-auth proxy asks about.
func (l *location) asked(r *http.Request) (method, route string) {
	if l.auth == nil || !l.trusts(r) {
		return r.Method, r.Pattern
	}
	method, path, ok := l.auth.original(r)
	if !ok {
		return r.Method, r.Pattern
	}
	return method, l.auth.route(method, path, r.Host)
}

// route is the pattern that a request matches, or empty. For a CONNECT that http.ServeMux
// would redirect to a path with a slash at its end, it returns that path as the pattern.
func (a *forwardAuth) route(method, path, host string) string {
	u, err := url.ParseRequestURI(path)
	if err != nil { // unreachable: original has read it
		return ""
	}
	_, route := a.routes.Handler(&http.Request{Method: method, URL: u, Host: host})
	if !slices.Contains(a.patterns, route) {
		return ""
	}
	return route
}
