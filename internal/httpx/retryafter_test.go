package httpx

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	const later, date = "Sat, 31 Jan 2026 12:00:30 GMT", "Sat, 31 Jan 2026 12:00:20 GMT"
	const tenYears = 87600 * time.Hour
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 86400 ": 24 * time.Hour, "-1": 0, "1.5": 0, "soon": 0,
		"99999999999999999999": tenYears, later: 30 * time.Second,
		"Fri, 30 Jan 2026 12:00:00 GMT": 0, "Sat, 31 Jan 3026 12:00:00 GMT": tenYears,
	} {
		require.Equal(t, want, RetryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
	require.Equal(t, 10*time.Second, RetryAfter(http.Header{"Retry-After": {later}, "Date": {date}}, now))
	require.Zero(t, RetryAfter(nil, now))
}
