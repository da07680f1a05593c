package redisstore

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
)

// errUnverified means that a TLS configuration takes any certificate for that of the
// host.
var errUnverified = errors.New("InsecureSkipVerify without VerifyConnection or VerifyPeerCertificate lets anybody answer in the name of the host: " +
	"put the authority of its certificate into RootCAs; loopback hosts alone need none")

// skipsVerification reports that a TLS configuration takes any certificate.
func skipsVerification(config *tls.Config) bool {
	return config != nil && config.InsecureSkipVerify && config.VerifyConnection == nil && config.VerifyPeerCertificate == nil
}

// isLoopback reports that an address with a port is this machine's: in 127.0.0.0/8, ::1,
// or exactly "localhost". Names that merely resolve to loopback are not known to.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	parsed, err := netip.ParseAddr(host)
	return err == nil && parsed.Zone() == "" && !parsed.Is4In6() && parsed.IsLoopback()
}
