package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// certificateFinding says what is wrong with a server's certificate, and who has signed it.
func certificateFinding(err error, target, proxy *url.URL) (finding, bool) {
	refused, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(refused.UnverifiedCertificates) == 0 {
		return finding{}, false
	}
	leaf := refused.UnverifiedCertificates[0]
	host := target.Hostname()
	signer := signerOf(leaf)
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return finding{"the certificate that answers for " + host + " is of another name (signed by " + signer + ")", []string{
			"Look at the host in the address.", "If it is right, something else answers in its place: ask the network's owner about a proxy that inspects TLS."}}, true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return finding{fmt.Sprintf("the certificate of %s (signed by %s) is valid from %s to %s, and this machine's clock says %s",
			host, signer, leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly), time.Now().UTC().Format(time.DateTime)),
			[]string{"If the clock is wrong, synchronise it.", "Otherwise the owner of " + host + " must renew the certificate."}}, true
	}
	between := "a proxy that inspects TLS is in the way"
	if proxy != nil {
		between = "the proxy " + proxy.Host + ", or another one behind it, inspects TLS"
	}
	return finding{"the certificate of " + host + " is signed by " + signer + ", which this machine does not trust: it is not " + host + " that answers, or its authority is a private one",
		[]string{"If " + signer + " is your network's, " + between + ": ask its owner to let " + host + " pass without inspection. Whoever inspects reads the tokens.",
			"If it is the authority of your own server, trust it on this machine (on Linux also with SSL_CERT_FILE; in a program with RootCAs of Config.HTTPClient)."}}, true
}

func signerOf(certificate *x509.Certificate) string {
	issuer := certificate.Issuer
	names := append([]string{issuer.CommonName}, issuer.Organization...)
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(names) == 0 {
		return "nobody with a name"
	}
	return `"` + redact.Text(strings.Join(slices.Compact(names), ", ")) + `"`
}

func isNotTLS(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// checkTLS says who has signed the certificate.
func checkTLS(ctx context.Context, s *state) result {
	return s.stageResult(ctx, "tls", func(c *contact) result {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.target.Scheme == "http" {
			return good("none: plain http, for loopback only")
		}
		if c.tls == nil || len(c.tls.PeerCertificates) == 0 {
			return good("there is one")
		}
		leaf := c.tls.PeerCertificates[0]
		text := fmt.Sprintf("certificate signed by %s, until %s", signerOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
		if isLogged(c.tls) {
			return good("%s", text)
		}
		issuer := s.issuerText()
		if issuer == helseid.Production.Issuer() || issuer == helseid.Test.Issuer() {
			return bad("the certificate of "+c.target.Hostname()+" is signed by "+signerOf(leaf)+", and is in no public log: a proxy that inspects TLS is in the way, and reads the tokens",
				"Ask the network's owner to let "+c.target.Hostname()+" pass without inspection.")
		}
		return good("%s; in no public log: its authority is a private one, or a proxy inspects TLS", text)
	})
}

// certificateTransparency is the extension with which a public authority shows that a
// certificate is in a public log (RFC 6962 section 3.3). Browsers demand that, so the
// certificates of HelseID's have it.
const certificateTransparency = "1.3.6.1.4.1.11129.2.4.2"

// isLogged reports that a certificate comes with a proof of its log, in any of the three
// ways.
func isLogged(state *tls.ConnectionState) bool {
	return len(state.SignedCertificateTimestamps) > 0 || len(state.OCSPResponse) > 0 ||
		slices.ContainsFunc(state.PeerCertificates[0].Extensions, func(extension pkix.Extension) bool {
			return extension.Id.String() == certificateTransparency
		})
}
