package httpx

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/helseid-go/sdk/internal/redact"
)

// ErrInsecureURL means that a credential would be sent over plain http to another
// machine.
var ErrInsecureURL = redact.Words("https is required: plain http is accepted for loopback hosts only (127.0.0.0/8, ::1, localhost)")

// errNotASCII is not a security problem by itself. But code that compares such hosts
// must map them according to RFC 5891, or it confuses different hosts.
var errNotASCII = redact.Words("the host must be ASCII: write an internationalized name in its xn-- form")

// CheckSecure accepts https, and http to a loopback host. The host must be ASCII.
func CheckSecure(u *url.URL) error {
	switch {
	case u == nil || u.Hostname() == "":
		return errors.New("the URL must be absolute")
	case !isASCII(u.Host):
		return errNotASCII
	case lowerASCII(u.Scheme) == "https", IsPlainLoopback(u):
		return nil
	}
	return ErrInsecureURL
}

// IsPlainLoopback reports whether the URL is a plain http one that [CheckSecure]
// accepts.
func IsPlainLoopback(u *url.URL) bool {
	return lowerASCII(u.Scheme) == "http" && IsLoopback(u.Hostname())
}

// IsLoopback accepts an address literal in 127.0.0.0/8, ::1, and exactly "localhost".
// It does not resolve names, so it rejects others that point to loopback.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == "" && !address.Is4In6() && address.IsLoopback()
}

// Origin returns scheme, host and port (RFC 6454), with the default port written out
// and an IPv6 address in its canonical form (RFC 5952). Only the letters A to Z are
// converted to lower case: package strings would also turn U+0130 into a text that
// begins with "i", and the Kelvin sign into "k".
func Origin(u *url.URL) string {
	scheme := lowerASCII(u.Scheme)
	port := u.Port()
	if port == "" {
		port = "443"
		if scheme == "http" {
			port = "80"
		}
	}
	host := lowerASCII(u.Hostname())
	if strings.Contains(host, ":") {
		if address, err := netip.ParseAddr(host); err == nil {
			host = address.String()
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// lowerASCII converts the letters A to Z to lower case, and no others.
func lowerASCII(text string) string {
	folded := []byte(text)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + ('a' - 'A')
		}
	}
	return string(folded)
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}
