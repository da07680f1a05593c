package httpx

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
)

// ErrUnverified means that a TLS configuration takes any certificate for that of the
// host.
var ErrUnverified = errors.New("InsecureSkipVerify without VerifyConnection or VerifyPeerCertificate lets anybody answer in the name of the host: " +
	"put the authority of its certificate into RootCAs; loopback hosts alone need none")

// SkipsVerification reports that a TLS configuration takes any certificate.
func SkipsVerification(config *tls.Config) bool {
	return config != nil && config.InsecureSkipVerify && config.VerifyConnection == nil && config.VerifyPeerCertificate == nil
}

// wrapper is a RoundTripper around another one, as those of this library are.
type wrapper interface {
	Unwrap() http.RoundTripper
}

// TransportSkipsVerification looks into a transport as far as it can be seen into.
func TransportSkipsVerification(transport http.RoundTripper) bool {
	const maxDepth = 20
	for range maxDepth {
		switch inner := transport.(type) {
		case nil:
			transport = http.DefaultTransport
		case *http.Transport:
			return inner != nil && SkipsVerification(inner.TLSClientConfig)
		case wrapper:
			transport = inner.Unwrap()
		default:
			return false
		}
	}
	return false
}

// CheckVerified refuses a client that takes any certificate, unless all it is for are
// loopback hosts. Nil is fine. The error is ErrUnverified.
func CheckVerified(client *http.Client, targets ...string) error {
	if client == nil || !TransportSkipsVerification(client.Transport) {
		return nil
	}
	for _, target := range targets {
		if u, err := url.Parse(target); err != nil || !IsLoopback(u.Hostname()) {
			return ErrUnverified
		}
	}
	return nil
}
