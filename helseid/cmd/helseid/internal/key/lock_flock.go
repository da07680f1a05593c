//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package key

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/internal/clock"
)

const lockInterval = 100 * time.Millisecond

// lockFolderOf waits until no other process rotates the keys of a file in this folder: the
// file itself is replaced, and a file beside it would stay behind. A file system without
// locks has none.
func lockFolderOf(ctx context.Context, path string) (unlock func(), err error) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return func() { _ = folder.Close() }, nil
		}
		if !clock.Sleep(ctx, lockInterval) {
			_ = folder.Close()
			return nil, ctx.Err()
		}
	}
}
