//go:build unix && !solaris && !aix

package selvbetjening

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/internal/clock"
)

const directoryLockPause = 20 * time.Millisecond

// lockDirectory keeps other processes from replacing files in a directory. The system
// releases the lock when the process ends. A file system that has no such locks is used
// without.
func lockDirectory(ctx context.Context, path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = directory.Close() }
	for {
		err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return unlock, nil
		}
		if !clock.Sleep(ctx, directoryLockPause) {
			unlock()
			return nil, ctx.Err()
		}
	}
}
