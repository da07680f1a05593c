package middleware

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// location finds out which request the client made, as the client saw it.
type location struct {
	public    *url.URL // nil: the request's own
	proxies   []netip.Prefix
	forwarded ForwardedHeader
	auth      *ForwardAuth
}

func newLocation(config Config) (location, error) {
	var errs []error
	public, err := parsePublicURL(config.PublicURL)
	if err != nil {
		errs = append(errs, err)
	}
	if slices.ContainsFunc(config.TrustedProxies, func(p netip.Prefix) bool { return !p.IsValid() }) {
		errs = append(errs, errors.New("field TrustedProxies holds an invalid prefix"))
	}
	if config.ForwardedHeader != XForwarded && config.ForwardedHeader != Forwarded {
		errs = append(errs, errors.New("field ForwardedHeader is neither XForwarded nor Forwarded"))
	}
	found := location{public: public, proxies: config.TrustedProxies, forwarded: config.ForwardedHeader}
	if config.ForwardAuth != nil {
		if len(config.TrustedProxies) == 0 {
			errs = append(errs, errors.New("field ForwardAuth needs TrustedProxies"))
		}
		auth := *config.ForwardAuth
		if auth.MethodHeader == "" {
			auth.MethodHeader = "X-Forwarded-Method"
		}
		if auth.URIHeader == "" {
			auth.URIHeader = "X-Forwarded-Uri"
		}
		found.auth = &auth
	}
	return found, errors.Join(errs...)
}

// errNoOriginal means that a request that should have come from a forward-auth
// proxy did not say what it is about.
var errNoOriginal = redact.Words("the original method and path are missing")

// target returns the method and the URL that the proof must be for. The URL is
// compared, never requested. It is empty, which no proof is for, if the request does
// not say without doubt which path it is for, and at which host.
func (l *location) target(r *http.Request) (method, uri string, err error) {
	trusted := l.isTrusted(remoteAddress(r))
	method, path := r.Method, ""
	if l.auth == nil {
		path = requestPath(r)
	} else {
		var ok bool
		if method, path, ok = l.original(r); !trusted || !ok {
			return "", "", errNoOriginal
		}
	}
	if path == "" {
		return method, "", nil
	}
	if l.public != nil {
		prefix := strings.TrimSuffix(l.public.EscapedPath(), "/")
		return method, l.public.Scheme + "://" + l.public.Host + prefix + path, nil
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted {
		scheme, host = l.forwardedOrigin(r, scheme, host)
	}
	if !isAuthority(host) {
		return method, "", nil
	}
	return method, scheme + "://" + host + path, nil
}

// isAuthority accepts what a host and port consist of. What else a Host header or
// :authority can hold would be read as a path or query behind the host.
func isAuthority(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:[]%", r)
	})
}

// requestPath is the path as the client sent it, byte for byte:
// http.StripPrefix and the like change r.URL, and package url re-encodes paths,
// but neither touches r.RequestURI. It is empty if that is neither a path nor an
// absolute URL of the request's host (RFC 9112 section 3.2), and if handlers were
// given another path.
func requestPath(r *http.Request) string {
	target := r.RequestURI
	if target == "" { // no server has read the request
		target = cmp.Or(r.URL.EscapedPath(), "/")
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return ""
	}
	path := withoutQuery(target)
	if parsed.IsAbs() {
		authority, ok := cutPrefixFold(path, parsed.Scheme+"://")
		if !ok || parsed.Scheme != "https" && parsed.Scheme != "http" || !strings.EqualFold(parsed.Host, r.Host) {
			return ""
		}
		path = "/"
		if slash := strings.IndexByte(authority, '/'); slash >= 0 {
			path = authority[slash:]
		}
	}
	if !isPath(path) {
		return ""
	}
	if served, err := url.PathUnescape(path); err != nil || served != cmp.Or(parsed.Path, "/") {
		return ""
	}
	return path
}

// isPath accepts a path of a request target. A number sign starts a fragment
// everywhere else, and has no place in a target.
func isPath(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' || r == '?' })
}

func cutPrefixFold(text, prefix string) (rest string, found bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return "", false
	}
	return text[len(prefix):], true
}

func withoutQuery(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

func remoteAddress(r *http.Request) netip.Addr {
	if address, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return address.Addr().Unmap()
	}
	return netip.Addr{}
}

func (l *location) isTrusted(address netip.Addr) bool {
	return address.IsValid() && slices.ContainsFunc(l.proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// original reads the request that a forward-auth proxy asks about.
func (l *location) original(r *http.Request) (method, path string, ok bool) {
	methods, uris := r.Header.Values(l.auth.MethodHeader), r.Header.Values(l.auth.URIHeader)
	if len(methods) != 1 || len(uris) != 1 || methods[0] == "" {
		return "", "", false
	}
	path = withoutQuery(uris[0])
	if _, err := url.ParseRequestURI(uris[0]); err != nil || !isPath(path) {
		return "", "", false
	}
	return methods[0], path, true
}

func (l *location) forwardedOrigin(r *http.Request, scheme, host string) (string, string) {
	var proto, name string
	if l.forwarded == Forwarded {
		proto, name = l.rfc7239(r.Header.Values("Forwarded"))
	} else {
		proto = lastValue(r.Header.Values("X-Forwarded-Proto"))
		name = lastValue(r.Header.Values("X-Forwarded-Host"))
	}
	if proto = strings.ToLower(proto); proto == "https" || proto == "http" {
		scheme = proto
	}
	if name != "" {
		host = name
	}
	return scheme, host
}

// lastValue is the last element of a comma-separated list: what the nearest
// proxy appended, after whatever the client may have made up.
func lastValue(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	field := fields[len(fields)-1]
	return strings.TrimSpace(field[strings.LastIndexByte(field, ',')+1:])
}

// rfc7239 reads the elements from the last one back. Each was added by the
// trusted host after it; the walk goes on for as long as the host that it names
// is a trusted proxy too.
func (l *location) rfc7239(fields []string) (proto, host string) {
	elements := strings.Split(strings.Join(fields, ","), ",")
	for _, element := range slices.Backward(elements) {
		parameters := forwardedElement(element)
		proto, host = parameters["proto"], parameters["host"]
		if !l.isTrusted(forwardedFor(parameters["for"])) {
			break
		}
	}
	return proto, host
}

func forwardedElement(element string) map[string]string {
	parameters := make(map[string]string)
	for pair := range strings.SplitSeq(element, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if ok {
			parameters[strings.ToLower(name)] = strings.Trim(value, `"`)
		}
	}
	return parameters
}

// forwardedFor reads a node (RFC 7239 section 6) that is an address.
func forwardedFor(node string) netip.Addr {
	if address, err := netip.ParseAddrPort(node); err == nil {
		return address.Addr().Unmap()
	}
	if address, err := netip.ParseAddr(strings.Trim(node, "[]")); err == nil {
		return address.Unmap()
	}
	return netip.Addr{}
}
