package testkit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSleepIsForBubbles(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { Sleep(time.Nanosecond) })
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		Sleep(time.Hour)
		require.Equal(t, time.Hour, time.Since(start))
		Sleep(-time.Second)
	})
}
