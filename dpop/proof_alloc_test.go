//go:build !race

// The race detector allocates for itself, so that only a build without it can
// count.

package dpop

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProofAllocations does not run beside other tests, whose allocations it
// would count.
func TestProofAllocations(t *testing.T) {
	prover := newProver(t, keyFor(t, "ES256"))
	target := Target{Method: "GET", URL: parseURL(t, apiURI+"?page=2"), AccessToken: accessToken, Nonce: "n"}
	allocations := testing.AllocsPerRun(200, func() {
		if _, err := prover.Proof(context.Background(), target); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.0f allocations", allocations)
	require.LessOrEqual(t, allocations, 70.0)
}
