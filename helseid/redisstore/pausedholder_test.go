//go:build unix

package redisstore

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A holder that pauses for longer than the lock lasts saves nothing over what others have
// done meanwhile.
func TestPausedHolder(t *testing.T) {
	t.Parallel()
	w := newRotationWorld(t, helseidtest.Selvbetjening{})
	survivor := w.start(t, true)
	process, in, out := w.startRotator(t)
	require.NoError(t, process.Process.Signal(syscall.SIGSTOP))
	require.NoError(t, survivor.rotation.Rotate(t.Context()), "it finishes what the other has begun")
	begun := survivor.kid()
	require.NoError(t, survivor.rotation.Rotate(t.Context()))
	require.NotEqual(t, begun, survivor.kid())
	_, err := in.Write([]byte("\n"))
	require.NoError(t, err)
	require.NoError(t, process.Process.Signal(syscall.SIGCONT))
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, survivor.kid()+"\n", line, "the one that paused takes over what is stored")
	require.Equal(t, 3, w.registered())
	restarted := w.start(t, true)
	require.Equal(t, survivor.kid(), restarted.kid())
}
