package httpx_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

// What a transport of the application's says of a body that breaks off is not logged.
func TestReadBodyInALog(t *testing.T) {
	t.Parallel()
	broke := fmt.Errorf("proxy of Ola Nordmann: %w", io.ErrUnexpectedEOF)
	_, err := httpx.ReadBody(&http.Response{Body: io.NopCloser(iotest.ErrReader(broke))})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualError(t, err, broke.Error())
	require.Equal(t, "the answer broke off: the connection broke off", redact.Cause(fmt.Errorf("the answer broke off: %w", err)))
	_, err = httpx.ReadBody(&http.Response{Body: io.NopCloser(io.LimitReader(endless{}, 2<<20))})
	require.ErrorIs(t, err, httpx.ErrTooLarge)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
