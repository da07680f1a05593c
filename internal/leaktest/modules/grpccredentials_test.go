//go:build !race

package modules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/leaktest"
)

// What holds a source of tokens shows none of them.
func TestGrpccredentialsPrintsNoSecret(t *testing.T) {
	t.Parallel()
	config := func(s *leaktest.Secrets) grpccredentials.Config {
		server := helseidtest.NewServer(t, helseidtest.InMemory())
		client, err := helseid.New(server.NewClient(helseidtest.Scopes("nhn:test-api/read")))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		source := client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:test-api/read"}})
		token, err := source.Token(t.Context())
		require.NoError(t, err)
		s.Add(token.Access.Reveal())
		return grpccredentials.Config{Tokens: source, Origin: "https://api.example.no"}
	}
	leaktest.Check(t, "../../../helseid/grpccredentials",
		leaktest.Made[grpccredentials.Config](func(s *leaktest.Secrets) any { return config(s) }),
		leaktest.Made[grpccredentials.Credentials](func(s *leaktest.Secrets) any {
			made, err := grpccredentials.New(config(s))
			require.NoError(t, err)
			return made
		}),
		leaktest.Of[grpccredentials.RefusedError]("Reason", "StepUp"), // the API's words
	)
}
