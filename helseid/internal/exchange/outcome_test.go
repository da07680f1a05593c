package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

type refusalError struct{ Refusal }

func (e *refusalError) Error() string { return e.Code }

var ex = &Exchange{Refused: func(refusal Refusal) error { return &refusalError{refusal} }}

// Requests that share a failure get its cause, but their log lines contain no more of
// foreign texts than those of the request that failed.
func TestSharedFailureInALog(t *testing.T) {
	t.Parallel()
	broke := &url.Error{Op: "Post", URL: "https://helseid.test", Err: fmt.Errorf("proxy of Ola Nordmann: %w", context.DeadlineExceeded)}
	result := ex.outcomeOf(t.Context(), Answer{Endpoint: TokenEndpoint}, &attemptError{err: errors.New("x"), cause: broke})
	require.Equal(t, bulkhead.Unavailable, result.Verdict)
	told := result.Told(0)
	require.ErrorIs(t, told, metadata.ErrUnavailable)
	require.NotErrorIs(t, told, context.DeadlineExceeded, "it is not the caller's own")
	require.ErrorContains(t, told, "Ola Nordmann")
	require.Equal(t, "token_endpoint: HelseID is not available: another request has just failed: no answer in time", redact.Cause(told))
	require.NotContains(t, redact.Cause(fmt.Errorf("start a login: %w", told)), "Nordmann")
}

// Requests that share a refusal each get an error of their own, with the remaining time.
func TestSharedRefusal(t *testing.T) {
	t.Parallel()
	told := ex.shared(Answer{Status: 429, Header: http.Header{"Retry-After": {"60"}}, Body: []byte(`{"error":"slow_down"}`)})
	var one, other *refusalError
	require.ErrorAs(t, told(30*time.Second), &one)
	require.ErrorAs(t, told(20*time.Second), &other)
	require.NotSame(t, one, other)
	require.Equal(t, "slow_down", one.Code)
	require.Equal(t, 30*time.Second, one.RetryAfter)
	require.Equal(t, 20*time.Second, other.RetryAfter)
}

// What a round trip says about HelseID.
func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	broken := &attemptError{err: errors.Join(ErrOutcomeUnknown, metadata.ErrUnavailable), cause: context.DeadlineExceeded}
	for name, test := range map[string]struct {
		ctx    context.Context
		status int
		err    error
		want   bulkhead.Verdict
	}{
		"success":            {t.Context(), 200, nil, bulkhead.Answered},
		"refusal":            {t.Context(), 400, nil, bulkhead.Answered},
		"redirect":           {t.Context(), 302, nil, bulkhead.Answered},
		"429":                {t.Context(), 429, nil, bulkhead.Throttled},
		"429, caller gone":   {gone, 429, nil, bulkhead.Throttled},
		"503":                {t.Context(), 503, nil, bulkhead.Unavailable},
		"broken":             {t.Context(), 0, broken, bulkhead.Unavailable},
		"broken by caller":   {gone, 0, broken, bulkhead.None},
		"could not be built": {t.Context(), 0, errors.New("no key"), bulkhead.None},
	} {
		got := ex.outcomeOf(test.ctx, Answer{Status: test.status, Endpoint: TokenEndpoint}, test.err)
		require.Equal(t, test.want, got.Verdict, name)
		if errors.Is(test.err, broken) && got.Told != nil { // another request's fate is not this one's
			err := got.Told(0)
			require.ErrorIs(t, err, metadata.ErrUnavailable)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, ErrOutcomeUnknown)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "4": 4 * time.Second, "5": 4 * time.Second, "86400": 4 * time.Second,
		"-1": 0, "1.5": 0, "x": 0, "99999999999999999999": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}), value)
	}
}
