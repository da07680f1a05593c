package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
)

// reached is the state after an answer of the issuer's, whose key set can be fetched.
func reached(t *testing.T, issuer, body string, certificate *x509.Certificate) *state {
	t.Helper()
	s := newState(options{}, nil, nil)
	key, err := jose.GenerateKey()
	require.NoError(t, err)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[`+string(key.MarshalPublicJWK())+`]}`)
	}))
	t.Cleanup(keys.Close)
	t.Cleanup(s.close)
	s.network.transport.Proxy = nil
	s.network.transport.DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, keys.Listener.Addr().String())
	}
	s.issuer, err = url.Parse(issuer)
	require.NoError(t, err)
	s.contact = &contact{target: s.issuer, status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(body)}
	if certificate != nil {
		s.contact.tls = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
	}
	return s
}

// Credentials go nowhere if the token endpoint is another server's.
func TestForeignEndpoints(t *testing.T) {
	t.Parallel()
	const others = `"jwks_uri":"https://issuer.test/a","pushed_authorization_request_endpoint":"https://issuer.test/b","authorization_endpoint":"https://issuer.test/c",` +
		`"userinfo_endpoint":"https://issuer.test/d","revocation_endpoint":"https://issuer.test/e","end_session_endpoint":"https://issuer.test/f"}`
	for endpoint, usable := range map[string]bool{"https://issuer.test/token": true, "https://attacker.example/token": false, "http://issuer.test/token": false} {
		s := reached(t, "https://issuer.test", `{"issuer":"https://issuer.test","token_endpoint":"`+endpoint+`",`+others, nil)
		found := checkMetadata(t.Context(), s)
		require.Equal(t, usable, len(found.findings) == 0, endpoint)
		require.Equal(t, usable, s.metadata, endpoint)
	}
}

// HelseID's certificates are in public logs. One that is not is that of whoever listens in,
// although the machine trusts it.
func TestPublicLog(t *testing.T) {
	t.Parallel()
	logged := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}}}}
	private := &x509.Certificate{Issuer: pkix.Name{CommonName: "Inspector"}}
	for _, environment := range []helseid.Environment{helseid.Test, helseid.Production} {
		require.Empty(t, checkTLS(t.Context(), reached(t, environment.Issuer(), "", logged)).findings)
		found := checkTLS(t.Context(), reached(t, environment.Issuer(), "", private))
		require.Len(t, found.findings, 1)
		require.Contains(t, found.findings[0].problem, `"Inspector"`)
	}
	require.Empty(t, checkTLS(t.Context(), reached(t, "https://issuer.test", "", private)).findings)
}
