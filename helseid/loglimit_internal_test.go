package helseid

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLogLimit(t *testing.T) {
	t.Parallel()
	var limit logLimit
	start := time.Unix(1_000_000, 0)
	allow := func(kind string, after time.Duration) string {
		omitted, ok := limit.allow(kind, start.Add(after))
		return fmt.Sprint(omitted, ok)
	}
	require.Equal(t, "0 true", allow("a", 0), "the first at once")
	require.Equal(t, "0 false", allow("a", 0))
	require.Equal(t, "0 true", allow("b", time.Second), "another kind has a line of its own")
	require.Equal(t, "0 false", allow("a", logInterval-1))
	require.Equal(t, "2 true", allow("a", logInterval), "with the number that was left out")
	require.Equal(t, "0 false", allow("a", logInterval+1))
	require.Equal(t, "1 true", allow("a", 3*logInterval))
	require.Equal(t, "0 true", allow("a", 5*logInterval))
	require.Equal(t, "0 true", allow("a", 0), "a clock that is set back silences nothing")

	for i := range 10 * maxLogKinds {
		allow(fmt.Sprint(i), 0)
	}
	require.LessOrEqual(t, len(limit.kinds), maxLogKinds+1, "codes are HelseID's, and many")
	require.Equal(t, "0 false", allow("a new one", 0))
}
