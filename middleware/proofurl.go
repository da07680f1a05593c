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

// location finds out which URL and method the client used, as the client saw it.
type location struct {
	public    *publicAddress  // nil means that it depends on the request
	choice    []publicAddress // the permitted addresses; empty means any
	proxies   []netip.Prefix
	socket    bool // peers on a Unix socket are trusted proxies
	forwarded ForwardedHeader
	headers   forwardedNames
	auth      *forwardAuth // nil if the requests are to this API itself
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

const (
	// maxForwarded bounds the proxies' headers, in bytes, all fields of one name
	// together. A proxy adds some 60 bytes to what it received.
	maxForwarded = 8 << 10

	// maxForwardedElements is the largest number of proxies that a request may have
	// passed.
	maxForwardedElements = 32

	// maxAuthority is the longest name of a host (RFC 1035 section 2.3.4) with room for
	// a port.
	maxAuthority = 264
)

// target is the request that a proof must be for.
type target struct {
	method string
	base   string // origin and path prefix, such as "https://api.example.no/v1"
	path   string
	doubt  error // why there is no URL that a proof could be for

	configured bool // the base is the API's own, and nothing of it a caller's
}

// uri returns the URL that the proof must name. It is only compared, never requested.
// It is empty, and so matches no proof, if the request does not clearly say for which
// path and host it is.
func (t target) uri() string {
	if t.doubt != nil {
		return ""
	}
	return t.base + t.path
}

// The reasons why there is no such URL, for the audit record.
var (
	errPath      = redact.Words("the request target is not the path that is served")
	errHost      = redact.Words("the request's host is not a valid host")
	errNoAddress = redact.Words("the request's host is none of those in PublicURLs")
	errPort      = redact.Words("the forwarded port is not a port number")
	errPrefix    = redact.Words("the forwarded prefix is not a path")
	errForwarded = redact.Words("the headers of the proxies are too long")
)

// target returns the request that the proof must be for. It fails if a forward-auth
// proxy has not described the original request, or if the proxies' headers are too
// long.
func (l *location) target(r *http.Request) (target, error) {
	trusted := l.trusts(r)
	found := target{method: r.Method, configured: l.public != nil || len(l.choice) > 0}
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
	if found.base, found.doubt = l.base(r, trusted); errors.Is(found.doubt, errForwarded) {
		return target{}, errForwarded
	}
	return found, nil
}

// base returns the origin and the path prefix that the client used.
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
		if scheme, host, err = l.forwardedOrigin(r, scheme, host); err != nil {
			return "", err
		}
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

// isAuthority accepts the characters of a host and port. A Host header or :authority
// can hold others, which would be read as a path or query after the host.
func isAuthority(host string) bool {
	return host != "" && len(host) <= maxAuthority && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:[]%", r)
	})
}

// requestPath returns the path as the client sent it, byte for byte. [http.StripPrefix]
// and the like change r.URL, and package url re-encodes paths, but neither changes
// r.RequestURI. The result is empty if RequestURI is neither a path nor an absolute URL
// of the request's host (RFC 9112 section 3.2), or if handlers see a different path.
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

// isPath accepts the path of a request target. A number sign is not allowed in a
// target: everywhere else it would start a fragment.
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

func (l *location) forwardedOrigin(r *http.Request, scheme, host string) (string, string, error) {
	var proto, name string
	if l.forwarded == Forwarded {
		fields := r.Header.Values("Forwarded")
		if tooLong(fields) {
			return "", "", errForwarded
		}
		var ok bool
		if proto, name, ok = l.rfc7239(fields); !ok {
			return "", "", errForwarded
		}
	} else {
		protos, hosts := r.Header.Values("X-Forwarded-Proto"), r.Header.Values(l.headers.host)
		if tooLong(protos) || tooLong(hosts) {
			return "", "", errForwarded
		}
		proto, name = lastValue(protos), lastValue(hosts)
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
	return scheme, host, nil
}

func tooLong(fields []string) bool {
	length := 0
	for _, field := range fields {
		if length += len(field); length > maxForwarded {
			return true
		}
	}
	return false
}

// lastValue returns the last element of a comma-separated list. The nearest proxy has
// appended it; the client may have invented the earlier ones.
func lastValue(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	field := fields[len(fields)-1]
	return strings.TrimSpace(field[strings.LastIndexByte(field, ',')+1:])
}

// rfc7239 reads the elements from the last one backwards. Each was added by the trusted
// host that the element after it names. The loop continues while the named host is a
// trusted proxy, too. ok is false if there are too many elements.
func (l *location) rfc7239(fields []string) (proto, host string, ok bool) {
	walked := 0
	for _, rest := range slices.Backward(fields) {
		for more := true; more; walked++ {
			if walked == maxForwardedElements {
				return "", "", false
			}
			comma := strings.LastIndexByte(rest, ',')
			element := rest[comma+1:]
			more = comma >= 0
			rest = rest[:max(comma, 0)]
			var node string
			node, proto, host = forwardedElement(element)
			if !l.isTrusted(forwardedFor(node)) {
				return proto, host, true
			}
		}
	}
	return proto, host, true
}

// forwardedElement reads the parameters that matter here. If a name is repeated, the
// last one counts.
func forwardedElement(element string) (node, proto, host string) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value = strings.Trim(value, `"`)
		switch {
		case strings.EqualFold(name, "for"):
			node = value
		case strings.EqualFold(name, "proto"):
			proto = value
		case strings.EqualFold(name, "host"):
			host = value
		}
	}
	return node, proto, host
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
