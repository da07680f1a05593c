package selvbetjening

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
)

// noNetwork fails the test if anything is sent.
type noNetwork struct{ testing.TB }

func (n noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	n.Error("a constructor has sent a request")
	return nil, errors.New("there is no network")
}

func clientOf(t *testing.T, issuer string) *helseid.Client {
	t.Helper()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.NoError(t, err)
	client, err := helseid.New(helseid.Config{Issuer: issuer, ClientID: "some-client", Key: key, HTTPClient: &http.Client{Transport: noNetwork{t}}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// Test never meets production.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	const production, test = "https://api.selvbetjening.nhn.no", "https://api.selvbetjening.test.nhn.no"
	const mismatch = "of another environment"
	for _, c := range []struct{ issuer, base, want, problem string }{
		{"https://helseid-sts.nhn.no", "", production, ""},
		{"https://helseid-sts.test.nhn.no", "", test, ""},
		{"https://helseid-sts.test.nhn.no/", "", test, ""},
		{"https://helseid-sts.nhn.no", production, production, ""},
		{"https://helseid-sts.nhn.no", production + "/", production, ""},
		{"https://helseid-sts.test.nhn.no", test, test, ""},

		{"https://helseid-sts.nhn.no", test, "", mismatch},
		{"https://helseid-sts.test.nhn.no", production, "", mismatch},
		{"https://helseid-sts.test.nhn.no", production + ":443", "", mismatch},
		{"https://helseid-sts.test.nhn.no", "https://API.Selvbetjening.NHN.no/v2", "", mismatch},
		{"https://helseid-sts.test.nhn.no:443", production, "", mismatch},
		{"https://helseid-sts.test.nhn.no", "https://elsewhere.example.no", "", mismatch},
		{"https://helseid-sts.nhn.no", "https://elsewhere.example.no", "", mismatch},
		{"https://helseid-sts.nhn.no", "http://127.0.0.1:8080", "", mismatch},
		{"https://helseid-sts.nhn.no", "https://api.selvbetjening.nhn.no.example.no", "", mismatch},
		{"https://other.example.no", production, "", mismatch},
		{"https://other.example.no", production + ":443/v2", "", mismatch},
		{"https://other.example.no", "https://API.Selvbetjening.NHN.no", "", mismatch},
		{"https://other.example.no", "https://API.Selvbetjening.Test.NHN.no:443", "", mismatch},
		{"http://127.0.0.1:8080", test, "", mismatch},

		{"https://other.example.no", "", "", "is required"},
		{"https://other.example.no", "https://self.example.no/api", "https://self.example.no/api", ""},
		{"https://other.example.no", "http://127.0.0.1:8080/self", "http://127.0.0.1:8080/self", ""},
		{"https://other.example.no", "http://self.example.no", "", "https is required"},
		{"https://other.example.no", "self.example.no", "", "absolute URL"},
		{"https://other.example.no", "https://user@self.example.no", "", "absolute URL"},
		{"https://other.example.no", "https://self.example.no/?x=y", "", "absolute URL"},
		{"https://other.example.no", "https://self.example.no/#x", "", "absolute URL"},
		{"https://other.example.no", "https://[::1", "", "absolute URL"},
		{"https://other.example.no", "https://\u017felf.example.no", "", "ASCII"},
	} {
		client, err := New(Config{Client: clientOf(t, c.issuer), BaseURL: c.base})
		if c.problem != "" {
			require.ErrorIs(t, err, helseid.ErrConfig, "%s at %s", c.issuer, c.base)
			require.ErrorContains(t, err, "field BaseURL")
			require.ErrorContains(t, err, c.problem)
			continue
		}
		require.NoError(t, err, "%s at %s", c.issuer, c.base)
		require.Equal(t, c.want, client.base.String())
		require.Equal(t, c.want+"/v1/client", client.address(pathClient))
		request := client.config.tokenRequest(client.base)
		require.Equal(t, []string{Scope}, request.Scopes)
		require.Equal(t, []string{httpx.Origin(client.base)}, request.AllowedOrigins, "the token goes nowhere else")
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Timeout: -1})
	require.ErrorIs(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "field Client")
	require.ErrorContains(t, err, "field Timeout")

	_, err = New(Config{
		Client: clientOf(t, helseid.Test.Issuer()), Timeout: -1,
		Organization: clientassertion.Organization{Parent: "12"},
	})
	require.ErrorIs(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "field Organization")
	require.ErrorContains(t, err, "field Timeout")

	for given, want := range map[int]int{0: 2, 5: 5, -1: 0} {
		client, err := New(Config{Client: clientOf(t, helseid.Test.Issuer()), Retries: given})
		require.NoError(t, err)
		require.Equal(t, want, client.config.Retries)
		require.Equal(t, defaultTimeout, client.config.Timeout)
	}
}
