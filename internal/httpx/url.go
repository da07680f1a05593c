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

// ErrInsecureURL means that a credential would go over plain http to a host
// that is not this machine.
var ErrInsecureURL = redact.Words("https is required: plain http is accepted for loopback hosts only (127.0.0.0/8, ::1, localhost)")

// errNotASCII is not a matter of security by itself: who compares such hosts must
// map them as RFC 5891 says, or takes two for one.
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

// IsPlainLoopback reports that the URL is one of the plain http ones that
// CheckSecure lets through.
func IsPlainLoopback(u *url.URL) bool {
	return lowerASCII(u.Scheme) == "http" && IsLoopback(u.Hostname())
}

// IsLoopback accepts an address literal in 127.0.0.0/8, ::1, and exactly
// "localhost". Names that merely resolve to loopback are not known to.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == "" && !address.Is4In6() && address.IsLoopback()
}

// Origin is scheme, host and port (RFC 6454), with the default port written
// out and an IPv6 address in its canonical form (RFC 5952). Letters beyond A to Z stay as they are: to package strings, U+0130 in lower
// case begins with an "i", and the Kelvin sign is a "k".
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

// lowerASCII folds the letters A to Z, and nothing else.
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
