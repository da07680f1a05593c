package tokenvalidation_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/tokenvalidation"
)

type inspected struct {
	http.RoundTripper
	seen func(*http.Request)
}

func (i inspected) RoundTrip(request *http.Request) (*http.Response, error) {
	i.seen(request)
	return i.RoundTripper.RoundTrip(request)
}

// An API's requests to HelseID name this library.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.UserInfoProof))
	var agents []string
	validator, err := tokenvalidation.New(tokenvalidation.Config{
		Issuer: server.Issuer(), Audience: "nhn:agent-api",
		HTTPClient: &http.Client{Transport: inspected{server.HTTPClient().Transport, func(r *http.Request) { agents = append(agents, r.Header.Get("User-Agent")) }}},
	})
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	_, err = validator.UserInfo(t.Context(), server.Token(mint.Clinician(), mint.Audience("nhn:agent-api"), mint.Scopes("openid")))
	require.NoError(t, err)
	require.Len(t, agents, 3, "metadata, keys and UserInfo")
	for _, agent := range agents {
		require.Regexp(t, `^helseid-go/[A-Za-z0-9.+_-]+$`, agent)
	}
}
