//go:build !race

package modules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/leaktest"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/middleware/grpcauth"
)

// What holds the guard's decisions shows no key that these use.
func TestGrpcauthPrintsNoSecret(t *testing.T) {
	t.Parallel()
	config := func(s *leaktest.Secrets) grpcauth.Config {
		nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: []byte(s.Text())})
		require.NoError(t, err)
		auth, err := middleware.New(middleware.Config{
			Issuer: "https://helseid-sts.test.nhn.no", Audience: "nhn:test-api", Proof: dpop.VerifierConfig{Nonces: nonces},
		})
		require.NoError(t, err)
		t.Cleanup(auth.Close)
		return grpcauth.Config{
			Auth: auth, Open: []string{"grpc.health.v1.Health"},
			Services: map[string][]middleware.Requirement{"journal.v1.Journal": {middleware.Scope("nhn:test-api/read")}},
		}
	}
	leaktest.Check(t, "../../../middleware/grpcauth",
		leaktest.Made[grpcauth.Config](func(s *leaktest.Secrets) any { return config(s) }),
		leaktest.Made[grpcauth.Guard](func(s *leaktest.Secrets) any {
			guard, err := grpcauth.New(config(s))
			require.NoError(t, err)
			return guard
		}),
	)
}
