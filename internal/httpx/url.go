package httpx

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// ErrInsecureURL means that a credential would go over plain http to a host
// that is not this machine.
var ErrInsecureURL = redact.Words("https is required: plain http is accepted for loopback hosts only (127.0.0.0/8, ::1, localhost)")

// CheckSecure accepts https, and http to a loopback host.
func CheckSecure(u *url.URL) error {
	switch {
	case u == nil || u.Hostname() == "":
		return errors.New("the URL must be absolute")
	case strings.EqualFold(u.Scheme, "https"):
		return nil
	case strings.EqualFold(u.Scheme, "http") && IsLoopback(u.Hostname()):
		return nil
	}
	return ErrInsecureURL
}

// IsPlainLoopback reports that the URL is one of the plain http ones that
// CheckSecure lets through.
func IsPlainLoopback(u *url.URL) bool {
	return strings.EqualFold(u.Scheme, "http") && IsLoopback(u.Hostname())
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
// out.
func Origin(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	port := u.Port()
	if port == "" {
		port = "443"
		if scheme == "http" {
			port = "80"
		}
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
