package helseid

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
)

// hidNumbers is HelseID's list of error numbers ("Feilmeldinger", HID-1001 to
// HID-1010): there are no others.
var hidNumbers = []string{
	"HID-1001", "HID-1002", "HID-1003", "HID-1004", "HID-1005", "HID-1006", "HID-1007", "HID-1008", "HID-1009", "HID-1010",
}

// There is advice for each of HelseID's error numbers, and a decision on whether the
// refresh token can still be used.
func TestHIDNumbersAreComplete(t *testing.T) {
	t.Parallel()
	require.Equal(t, hidNumbers, slices.Sorted(maps.Keys(hidAdvice)))
	require.Equal(t, hidNumbers, slices.Sorted(maps.Keys(leavesRefreshToken)))
}

// Whether a refresh token is used up depends on error codes, not on descriptions.
func TestSpentRefreshToken(t *testing.T) {
	t.Parallel()
	sessions := &refresher{}
	for _, number := range hidNumbers {
		require.False(t, sessions.spends(&TokenError{Code: "invalid_grant", HID: number}), "%s is about the details", number)
	}
	for _, number := range []string{"", "HID-1000", "HID-1011", "HID-2001", "HID-9999"} {
		require.True(t, sessions.spends(&TokenError{Code: "invalid_grant", HID: number}), "%q is none of those", number)
	}
	for _, code := range []string{"invalid_request", "invalid_client", "invalid_scope", "access_denied", "server_error", ""} {
		require.False(t, sessions.spends(&TokenError{Code: code}), code)
		require.False(t, sessions.spends(&TokenError{Code: code, Description: "invalid_grant", HID: "HID-1001"}), code)
	}
	require.True(t, sessions.spends(exchange.ErrOutcomeUnknown))
}

// Advice for a number that is not in the set decides nothing. Not parallel: it
// changes the advice.
func TestAdviceDecidesNothing(t *testing.T) {
	hidAdvice["HID-1999"] = "some advice"
	defer delete(hidAdvice, "HID-1999")
	sessions := &refresher{}
	require.True(t, sessions.spends(&TokenError{Code: "invalid_grant", HID: "HID-1999"}))
}

func TestTokenErrorWithoutCode(t *testing.T) {
	t.Parallel()
	require.Equal(t, "HelseID refused the request with status 429: it asks for a pause of 1m0s",
		(&TokenError{StatusCode: 429, Temporary: true, RetryAfter: time.Minute}).Error())
}
