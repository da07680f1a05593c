package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/redact"
)

// Those who share a failure are told what broke, and their log lines as little of what
// others say as those of the one who had it.
func TestSharedFailureInALog(t *testing.T) {
	t.Parallel()
	broke := &url.Error{Op: "Post", URL: "https://helseid.test", Err: fmt.Errorf("proxy of Ola Nordmann: %w", context.DeadlineExceeded)}
	result := outcomeOf(t.Context(), answer{endpoint: tokenEndpoint}, &attemptError{err: errors.New("x"), cause: broke})
	require.Equal(t, verdictUnavailable, result.verdict)
	told := result.told(0)
	require.ErrorIs(t, told, ErrUnavailable)
	require.NotErrorIs(t, told, context.DeadlineExceeded, "it is not the caller's own")
	require.ErrorContains(t, told, "Ola Nordmann")
	require.Equal(t, "token_endpoint: HelseID is not available: another request has just failed: no answer in time", redact.Cause(told))
	require.NotContains(t, redact.Cause(fmt.Errorf("start a login: %w", told)), "Nordmann")
}
