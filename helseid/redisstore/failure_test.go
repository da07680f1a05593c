package redisstore

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the SDK's log lines may quote, and what it answers with 503, it tells from two
// methods, since it cannot know this module's types.
func TestErrorsTellTheSDKWhatTheyAre(t *testing.T) {
	t.Parallel()
	for err, outage := range map[error]bool{ErrUnavailable: true, ErrDecrypt: false, ErrEviction: false, ErrConfig: false} {
		logs, ok := err.(slog.LogValuer)
		require.True(t, ok, err)
		require.Equal(t, err.Error(), logs.LogValue().String())
		down, ok := err.(interface{ Unavailable() bool })
		require.True(t, ok, err)
		require.Equal(t, outage, down.Unavailable(), err)
		require.ErrorIs(t, fmt.Errorf("%w: more", err), err)
	}
}

// Names that resolve to loopback, and addresses that a resolver or proxy may read in
// another way, are not loopback.
func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for address, local := range map[string]bool{
		"127.0.0.1:6379": true, "127.9.9.9:1": true, "[::1]:6379": true, "localhost:6379": true,
		"localhost": false, "localhost.example.no:1": false, "LOCALHOST:1": false, "[::ffff:127.0.0.1]:1": false,
		"[::1%eth0]:1": false, "127.1:1": false, "10.0.0.1:1": false, "": false,
	} {
		require.Equal(t, local, isLoopback(address), address)
	}
}
