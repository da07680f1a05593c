package doctor

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// Silence is told as such, whether the request's time is up first or the step's.
func TestSilence(t *testing.T) {
	t.Parallel()
	issuer, err := url.Parse("https://issuer.test")
	require.NoError(t, err)
	s := &state{issuer: issuer}
	for _, cause := range []error{
		fmt.Errorf("%w: no token before the caller's deadline: %w", helseid.ErrUnavailable, context.DeadlineExceeded),
		fmt.Errorf("%w: %w", helseid.ErrUnavailable, &url.Error{Op: "Post", URL: "https://issuer.test/token", Err: context.DeadlineExceeded}),
	} {
		found := s.failedRequest(cause, "the token endpoint")
		require.Len(t, found.findings, 1)
		require.Equal(t, "issuer.test takes the request, and does not answer in time", found.findings[0].problem)
	}
}
