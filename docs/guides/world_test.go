// Package guides_test compiles and runs the code of the guides and of the README. A test of
// package pages compares the pages with it.
package guides_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

// newServer starts a HelseID in memory with a protected API beside it, which answers with
// the organisation that it was called for.
func newServer(t *testing.T, opts ...helseidtest.Option) *helseidtest.Server {
	t.Helper()
	server := helseidtest.NewServer(t, append(opts, helseidtest.InMemory())...)
	const api = "https://api.example.nhn.no"
	server.Mount("api.example.nhn.no", guard(t, server, api).Require(func(w http.ResponseWriter, r *http.Request) {
		organization := middleware.Claims(r.Context()).Organization
		fmt.Fprintf(w, "%s %s", organization.Parent, organization.Child)
	}, middleware.Scope("nhn:some-api/read")))
	return server
}

func guard(t *testing.T, server *helseidtest.Server, publicURL string) *middleware.Middleware {
	t.Helper()
	config := middleware.Config{Issuer: server.Issuer(), Audience: "nhn:some-api", PublicURL: publicURL}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	return auth
}

// clientFile writes the client's configuration as client.json, in a folder of its own that
// becomes the current one.
func clientFile(t *testing.T, server *helseidtest.Server, opts ...helseidtest.ClientOption) {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("client.json", server.ConfigFile(opts...), 0o600))
}

func newClient(t *testing.T, config helseid.Config) *helseid.Client {
	t.Helper()
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}
