package httpx

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckVerified(t *testing.T) {
	t.Parallel()
	with := func(config *tls.Config) http.RoundTripper { return &http.Transport{TLSClientConfig: config} }
	skips := &tls.Config{InsecureSkipVerify: true}
	nested := NoRedirect(NoRedirect(&http.Client{Transport: with(skips)}))
	for name, test := range map[string]struct {
		transport http.RoundTripper
		refused   bool
	}{
		"none":                  {nil, false},
		"of this library":       {NewTransport(), false},
		"no TLS configuration":  {&http.Transport{}, false},
		"verifies":              {with(&tls.Config{}), false},
		"skips":                 {with(skips), true},
		"skips, inside of ours": {nested.Transport, true},
		"VerifyConnection":      {with(&tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }}), false},
		"VerifyPeerCertificate": {with(&tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }}), false},
		"a nil transport":       {(*http.Transport)(nil), false},
		"what cannot be seen":   {roundTrip(nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := &http.Client{Transport: test.transport}
			for _, local := range []string{"https://localhost", "https://127.0.0.1:8443/oidc", "https://[::1]", "http://127.0.0.1"} {
				require.NoError(t, CheckVerified(client, local))
			}
			for _, targets := range [][]string{{"https://issuer.test"}, {"https://localhost.issuer.test"}, {"https://127.0.0.1", "https://issuer.test"}, {"https://10.0.0.1"}, {""}, {"::"}} {
				err := CheckVerified(client, targets...)
				if test.refused {
					require.ErrorIs(t, err, ErrUnverified, targets)
				} else {
					require.NoError(t, err)
				}
			}
		})
	}
	require.NoError(t, CheckVerified(nil, "https://issuer.test"))
}

// A program that has spoilt the default transport is found out, too. Not parallel: it
// changes what others use.
func TestCheckVerifiedOfTheDefaultTransport(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it is to be refused
	require.ErrorIs(t, CheckVerified(&http.Client{}, "https://issuer.test"), ErrUnverified)
	require.ErrorIs(t, CheckVerified(NoRedirect(&http.Client{}), "https://issuer.test"), ErrUnverified)
}

// A transport can be in use already: net/http fills its configuration at the first
// request.
func TestVerificationOfATransportInUse(t *testing.T) {
	t.Parallel()
	for range 20 {
		transport := &http.Transport{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			response, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil))
			if err == nil {
				_ = response.Body.Close()
			}
		}()
		require.False(t, TransportSkipsVerification(transport))
		<-done
	}
}
