package middleware_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

// A request that is larger than any genuine one is refused before it is parsed.
func TestBoundedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: trusting(middleware.Forwarded)})
	target := func(target string) *http.Request {
		return w.at("GET", "http://api.example.no"+target, "GET", "http://api.example.no/x")
	}
	refused := func(request *http.Request, status int, reason string) {
		t.Helper()
		response, _ := w.requireRefused(request, reason)
		require.Equal(t, status, response.StatusCode)
	}
	const long = 500_000
	w.requireOK(target("/x?q=" + strings.Repeat("a", 32<<10-100)))
	refused(target("/x?q="+strings.Repeat("a", 32<<10)), http.StatusRequestURITooLong, "target_too_long")
	refused(target("/x?"+strings.Repeat("&", long)), http.StatusRequestURITooLong, "target_too_long")
	refused(target("/"+strings.Repeat("a", long)), http.StatusRequestURITooLong, "target_too_long")
	refused(target("/x?"+strings.Repeat("&", 100)+"%61ccess%5ftoken=t"), http.StatusBadRequest, "token_in_query")

	header := func(name string, values ...string) *http.Request {
		request := w.at("GET", "http://api.example.no/x", "GET", "http://api.example.no/x")
		request.Header[name] = values
		return request
	}
	refused(header("Authorization", "DPoP "+strings.Repeat(" ", long)), http.StatusRequestHeaderFieldsTooLarge, "token_too_long")
	refused(header("Authorization", "DPoP "+strings.Repeat("a", 16<<10+1)), http.StatusRequestHeaderFieldsTooLarge, "token_too_long")
	trusted := strings.TrimSuffix(strings.Repeat("for=10.1.2.3,", 31), ",")
	w.requireOK(header("Forwarded", trusted))
	refused(header("Forwarded", trusted+",for=10.1.2.3,for=10.1.2.3"), http.StatusBadRequest, "original_request")
	refused(header("Forwarded", strings.Repeat(",", long)), http.StatusBadRequest, "original_request")
	refused(header("Forwarded", strings.Repeat("a=b;", long/4)), http.StatusBadRequest, "original_request")
	refused(header("Forwarded", strings.Split(strings.Repeat("for=10.1.2.3,", 5000), ",")...), http.StatusBadRequest, "original_request")
}

func TestBoundedForwardedHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: trusting(middleware.XForwarded)})
	send := func(name, value string) *http.Request {
		return w.at("GET", "http://api.example.no/x", "GET", "http://api.example.no/x", set(name, value))
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		w.requireRefused(send(name, strings.Repeat("a", 500_000)), "original_request")
	}
	w.requireRefused(send("X-Forwarded-Host", strings.Repeat("a", 300)), "proof_htu")
}

// A record of the audit log has a bounded length.
func TestBoundedRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	w.requireOK(w.genuine(mint.Claim("jti", strings.Repeat("å", 3000)), mint.Claim("client_id", strings.Repeat("c", 3000))))
	record := w.lastRecord()
	require.Equal(t, strings.Repeat("å", 128), record.TokenID)
	require.Equal(t, strings.Repeat("c", 256), record.ClientID)
}
