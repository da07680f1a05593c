package httpx

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
)

// ErrUnverified means that a TLS configuration accepts any certificate for the host.
var ErrUnverified = errors.New("InsecureSkipVerify without VerifyConnection or VerifyPeerCertificate lets anybody answer in the name of the host: " +
	"put the authority of its certificate into RootCAs; loopback hosts alone need none")

// SkipsVerification reports whether a TLS configuration accepts any certificate.
func SkipsVerification(config *tls.Config) bool {
	return config != nil && config.InsecureSkipVerify && config.VerifyConnection == nil && config.VerifyPeerCertificate == nil
}

// wrapper is a RoundTripper around another one, such as those of this library.
type wrapper interface {
	Unwrap() http.RoundTripper
}

// TransportSkipsVerification reports the same for a transport, as far as its inner
// transports are accessible.
func TransportSkipsVerification(transport http.RoundTripper) bool {
	const maxDepth = 20
	for range maxDepth {
		switch inner := transport.(type) {
		case nil:
			transport = http.DefaultTransport
		case *http.Transport:
			// Clone waits for the first request of others, which fills the configuration.
			return inner != nil && SkipsVerification(inner.Clone().TLSClientConfig)
		case wrapper:
			transport = inner.Unwrap()
		default:
			return false
		}
	}
	return false
}

// CheckVerified refuses a client that accepts any certificate, unless all targets are
// loopback hosts. A nil client is accepted. The error is [ErrUnverified].
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
