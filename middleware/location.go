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

const (
	// maxForwarded is how long the headers of proxies may be, in bytes, all of one
	// name together. A proxy adds some 60 to what it received.
	maxForwarded = 8 << 10

	// maxForwardedElements is how many proxies a request may have come through.
	maxForwardedElements = 32

	// maxAuthority is the longest name that a host can have (RFC 1035 section
	// 2.3.4), with room for a port.
	maxAuthority = 264
)

// errForwarded means that a proxy has passed on more than it can have added.
var errForwarded = redact.Words("the headers of the proxies are too long")

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
		if scheme, host, err = l.forwardedOrigin(r, scheme, host); err != nil {
			return "", "", err
		}
	}
	if !isAuthority(host) {
		return method, "", nil
	}
	return method, scheme + "://" + host + path, nil
}

// isAuthority accepts what a host and port consist of. What else a Host header or
// :authority can hold would be read as a path or query behind the host.
func isAuthority(host string) bool {
	return host != "" && len(host) <= maxAuthority && !strings.ContainsFunc(host, func(r rune) bool {
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
		protos, hosts := r.Header.Values("X-Forwarded-Proto"), r.Header.Values("X-Forwarded-Host")
		if tooLong(protos) || tooLong(hosts) {
			return "", "", errForwarded
		}
		proto, name = lastValue(protos), lastValue(hosts)
	}
	if proto = strings.ToLower(proto); proto == "https" || proto == "http" {
		scheme = proto
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
// is a trusted proxy too. It is not ok if that has no end.
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

// forwardedElement reads the parameters that matter here. The last of a name counts.
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
