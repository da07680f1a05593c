//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// Two runs at once make one key.
func TestKeyRotateAtOnce(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t, helseidtest.Selvbetjening{KeyLifetime: 100 * 24 * time.Hour})
	var (
		running sync.WaitGroup
		results [2]result
	)
	for i := range results {
		running.Go(func() { results[i] = run(t, nil, nil, w.arguments("rotate", "-settle", "1s", "-kind", "P-256")...) })
	}
	running.Wait()
	for _, got := range results {
		require.Equal(t, 0, got.exit, got.stderr)
		requireNoSecretIn(t, got)
	}
	kids, inUse := w.listed()
	require.Len(t, kids, 2)
	require.Equal(t, w.kid(), inUse)
}
