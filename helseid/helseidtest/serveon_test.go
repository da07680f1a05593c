package helseidtest_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// Behind a name of its own the server answers to this name and to loopback ones, and its
// own client needs neither the name nor the listener.
func TestServeOn(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := helseidtest.NewServer(t, helseidtest.ServeOn(listener, "https://helseid.example:8181/a"))
	require.Equal(t, "https://helseid.example:8181/a", server.Issuer())
	for host, want := range map[string]int{
		"helseid.example": 200, "HELSEID.example:1": 200, "localhost": 200, "127.0.0.1": 200, "[::1]:1": 200,
		"example": 421, "a.helseid.example": 421, "helseid.example.evil.example": 421, "": 421,
	} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+listener.Addr().String()+"/a"+string(helseidtest.EndpointMetadata), nil)
		require.NoError(t, err)
		if request.Host = host; host == "" {
			request.Host = "x"
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, response.StatusCode, host)
	}
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	config.HTTPClient = server.HTTPClient()
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)
	response, err := server.HTTPClient().Get("http://" + listener.Addr().String() + "/a" + string(helseidtest.EndpointJWKS))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "others are reached as usual")
	for range 2100 {
		response, err := server.HTTPClient().Get(server.Issuer() + string(helseidtest.EndpointJWKS))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	require.Less(t, len(server.Requests()), 2001)
}

// Test material does not take the name of another server, and no issuer that no client
// would accept. The listener is closed.
func TestServeOnRefusesIssuers(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		helseid.Production.Issuer(), helseid.Test.Issuer(), "https://NHN.no", "https://x.nhn.no.:443", "http://helseid.example", "helseid.example",
		"https://helseid.example/", "https://helseid.example/a/", "https://helseid.example?a", "https://u@helseid.example", "https://helseid.example#a", "::",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, err = helseidtest.Start(helseidtest.ServeOn(listener, issuer))
		require.ErrorContains(t, err, "helseidtest: ", issuer)
		_, err = listener.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, err = helseidtest.Start(helseidtest.Path("/b"), helseidtest.ServeOn(listener, "https://helseid.example/a"))
	require.Error(t, err)
}
