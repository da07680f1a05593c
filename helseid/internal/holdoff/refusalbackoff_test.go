package holdoff_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/holdoff"
)

func TestHoldOff(t *testing.T) {
	t.Parallel()
	var h holdoff.HoldOff
	now := time.Now()
	refusal := errors.New("no")
	require.NoError(t, h.Check(now))
	h.Observe(now, now, refusal)
	require.NoError(t, h.Check(now), "one refusal has no effect")
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		h.Observe(now, now, refusal)
		require.Equal(t, refusal, h.Check(now.Add(wait*time.Second-1)))
		require.NoError(t, h.Check(now.Add(wait*time.Second)))
	}
	for range 100 { // no shift overflows
		h.Observe(now, now, refusal)
		require.Equal(t, refusal, h.Check(now.Add(30*time.Second-1)))
	}
	h.Observe(now, now, nil)
	require.NoError(t, h.Check(now))
	h.Observe(now, now, refusal)
	require.NoError(t, h.Check(now))
}
