package weblogin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A time in the future is not young.
func TestYounger(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for ago, want := range map[time.Duration]bool{
		0: true, time.Minute: true, time.Hour - 1: true, time.Hour: false, 1000 * time.Hour: false,
		-30 * time.Second: true, -time.Minute: false, -time.Hour: false, -1000 * time.Hour: false,
	} {
		require.Equal(t, want, younger(now.Add(-ago), now, time.Hour), ago)
	}
}
