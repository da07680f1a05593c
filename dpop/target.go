package dpop

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
)

// targetURI returns the htu of a request that net/http will send to u: scheme and host
// in lower case, no default port, the path escaped as it is sent, no query and no
// fragment (RFC 9449 section 4.2, RFC 3986 section 6.2).
func targetURI(u *url.URL, host string) (string, error) {
	if u == nil {
		return "", errors.New("dpop: the URL is required")
	}
	scheme := jose.LowerASCII(u.Scheme)
	if scheme != "https" && scheme != "http" {
		return "", errors.New("dpop: the URL must be absolute, with https")
	}
	if u.Opaque != "" {
		return "", errors.New("dpop: the URL must not be opaque")
	}
	if host == "" {
		host = u.Host
	}
	host, err := canonicalHost(scheme, host)
	if err != nil {
		return "", err
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if path[0] != '/' {
		return "", errors.New("dpop: the URL's path must start with a slash")
	}
	return scheme + "://" + host + path, nil
}

// canonicalHost converts a host to lower case and removes a default or empty port and
// an IPv6 zone, which is never sent.
func canonicalHost(scheme, host string) (string, error) {
	authority := url.URL{Host: host}
	name, port := jose.LowerASCII(authority.Hostname()), authority.Port()
	switch {
	case name == "":
		return "", errors.New("dpop: the URL has no host")
	case strings.ContainsAny(host, "[]") || strings.Contains(name, ":"):
		address, err := netip.ParseAddr(name)
		if err != nil || !address.Is6() || !strings.HasPrefix(host, "[") {
			return "", errors.New("dpop: the URL's host is not an IPv6 address")
		}
		name = "[" + address.WithZone("").String() + "]"
	case !isHostName(name):
		return "", errors.New("dpop: the URL's host is not a name in ASCII: write it in its xn-- form")
	}
	if strings.Trim(port, "0123456789") != "" {
		return "", errors.New("dpop: the URL's port is not a number")
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return name, nil
	}
	return name + ":" + port, nil
}

// isHostName accepts the characters of domain names and IPv4 addresses, and the
// underscore, which occurs in internal names.
func isHostName(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}
