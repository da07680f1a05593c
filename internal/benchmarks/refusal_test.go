package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/benchmarks/peers"
)

// Each refusal is for the reason that its row is about, and takes no more memory than
// the gate allows. Their time is the gate's alone: here other tests run beside them.
func TestRefusalsTakeLittleMemory(t *testing.T) {
	world, err := peers.NewWorld(3072)
	require.NoError(t, err)
	defer world.Close()
	token, err := world.Token()
	require.NoError(t, err)
	rows, end, err := refusalRows(world, token)
	require.NoError(t, err)
	defer end()
	require.Greater(t, len(rows), 40)
	require.NoError(t, measure(tasksOf(rows), 3, time.Millisecond))
	for _, r := range rows {
		require.LessOrEqual(t, r.bytesRatio(), float64(maxRefusalBytes), r.name)
		require.Equal(t, float64(maxRefusalTime), r.maxRatio, r.name)
	}
}

// A refusal that is too dear ends the gate.
func TestRefusalGate(t *testing.T) {
	t.Parallel()
	refusal := func(nanos, bytes float64) []string {
		bare, ours := fixed(0, 100), fixed(0, nanos)
		bare.bytes, ours.bytes = 1000, bytes
		return (&row{ours: ours, bare: bare, maxRatio: maxRefusalTime, maxBytes: maxRefusalBytes}).breaches()
	}
	require.Empty(t, refusal(300, 10_000))
	require.Len(t, refusal(500, 10_000), 1)
	require.Len(t, refusal(300, 10_001), 1, "bytes are not at the mercy of the machine")
}
