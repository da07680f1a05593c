package httpx

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server that speaks nothing newer than TLS 1.1 is not spoken to, whatever GODEBUG
// makes the default.
func TestTLSVersion(t *testing.T) {
	t.Setenv("GODEBUG", "tls10server=1")
	for version, says := range map[uint16]string{tls.VersionTLS10: "protocol version", tls.VersionTLS11: "protocol version", tls.VersionTLS12: "unknown authority"} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version} //nolint:gosec // it is to be refused
		server.StartTLS()
		client := &http.Client{Transport: NewTransport()}
		_, err := client.Get(server.URL)
		require.ErrorContains(t, err, says)
		server.Close()
	}
	require.EqualValues(t, tls.VersionTLS12, NewTransport().TLSClientConfig.MinVersion)
}
