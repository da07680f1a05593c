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
	public    *publicAddress  // nil: it depends on the request
	choice    []publicAddress // those that a request may have come by; none: any
	proxies   []netip.Prefix
	socket    bool // who connects over a Unix socket is a proxy
	forwarded ForwardedHeader
	headers   forwardedNames
	auth      *forwardAuth // nil: the requests are to this API itself
}

func newLocation(config Config) (location, error) {
	var errs []error
	fail := func(text string) { errs = append(errs, errors.New(text)) }
	found := location{socket: config.TrustUnixSocket, forwarded: config.ForwardedHeader}
	var err error
	if found.public, found.choice, err = publicAddresses(config); err != nil {
		errs = append(errs, err)
	}
	for _, prefix := range config.TrustedProxies {
		unmapped, ok := unmap(prefix)
		if !ok {
			fail("field TrustedProxies holds an invalid prefix")
		}
		found.proxies = append(found.proxies, unmapped)
	}
	if config.ForwardedHeader != XForwarded && config.ForwardedHeader != Forwarded {
		fail("field ForwardedHeader is neither XForwarded nor Forwarded")
	}
	proxied := len(config.TrustedProxies) > 0 || config.TrustUnixSocket
	if found.headers, err = newForwardedNames(config, proxied); err != nil {
		errs = append(errs, err)
	}
	if config.ForwardAuth != nil {
		if !proxied {
			fail("field ForwardAuth needs TrustedProxies or TrustUnixSocket")
		}
		if found.auth, err = newForwardAuth(*config.ForwardAuth); err != nil {
			errs = append(errs, err)
		}
	}
	return found, errors.Join(errs...)
}

// target is the request that a proof must be for.
type target struct {
	method string
	base   string // origin and path prefix, such as "https://api.example.no/v1"
	path   string
	doubt  error // why there is no URL that a proof could be for
}

// uri is the URL that the proof must name. It is compared, never requested. It is
// empty, which no proof is for, if the request does not say without doubt which path
// it is for, and at which host.
func (t target) uri() string {
	if t.doubt != nil {
		return ""
	}
	return t.base + t.path
}

// Why there is no such URL, for the audit record.
var (
	errPath      = redact.Words("the request target is not the path that is served")
	errHost      = redact.Words("the request's host is none")
	errNoAddress = redact.Words("the request came by none of PublicURLs")
	errPort      = redact.Words("the forwarded port is none")
	errPrefix    = redact.Words("the forwarded prefix is no path")
)

// target returns the request that the proof must be for. An error means that a
// forward-auth proxy has not said which one it asks about.
func (l *location) target(r *http.Request) (target, error) {
	trusted := l.trusts(r)
	found := target{method: r.Method}
	if l.auth == nil {
		found.path = requestPath(r)
	} else {
		var ok bool
		if found.method, found.path, ok = l.auth.original(r); !trusted || !ok {
			return target{}, errNoOriginal
		}
	}
	if found.path == "" {
		found.doubt = errPath
		return found, nil
	}
	found.base, found.doubt = l.base(r, trusted)
	return found, nil
}

// base is the origin and the path prefix that the request came by.
func (l *location) base(r *http.Request, trusted bool) (string, error) {
	if l.public != nil {
		return l.public.base(), nil
	}
	scheme, host, prefix := "http", r.Host, ""
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted {
		var err error
		scheme, host = l.forwardedOrigin(r, scheme, host)
		if host, err = l.headers.withPort(r, host); err != nil {
			return "", err
		}
		if prefix, err = l.headers.pathPrefix(r); err != nil {
			return "", err
		}
	}
	if !isAuthority(host) {
		return "", errHost
	}
	if len(l.choice) == 0 {
		return scheme + "://" + host + prefix, nil
	}
	for _, address := range l.choice {
		if address.isAt(host) && (l.headers.prefix == "" || address.prefix == prefix) {
			return address.base(), nil
		}
	}
	return "", errNoAddress
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

func (l *location) forwardedOrigin(r *http.Request, scheme, host string) (string, string) {
	var proto, name string
	if l.forwarded == Forwarded {
		proto, name = l.rfc7239(r.Header.Values("Forwarded"))
	} else {
		proto = lastValue(r.Header.Values("X-Forwarded-Proto"))
		name = lastValue(r.Header.Values(l.headers.host))
	}
	switch proto = strings.ToLower(proto); proto {
	case "https", "http":
		scheme = proto
	case "wss", "ws": // how Traefik reports the handshake of a WebSocket
		scheme = "http" + proto[len("ws"):]
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
