package key

import (
	"fmt"
	"os"
	"path/filepath"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// writeSecret writes a file of mode 0600 as a whole, which is on the disk when it returns.
// Unless it may replace a file, it fails if one is there by then.
func writeSecret(path string, content []byte, replace bool) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".helseid-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temporary.Close()
			_ = os.Remove(temporary.Name())
		}
	}()
	if _, err = temporary.Write(content); err != nil {
		return err
	}
	if err = temporary.Sync(); err != nil {
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	if !replace {
		// The name is taken before the file is put there, since a rename replaces what
		// it finds, and not every file system has links.
		var taken *os.File
		if taken, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("the key was not written: %w", err)
		}
		if err = taken.Close(); err != nil {
			return err
		}
	}
	if err = os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	if folder, openErr := os.Open(filepath.Dir(path)); openErr == nil {
		_ = folder.Sync() // not every system has it; the file itself is on the disk
		_ = folder.Close()
	}
	return nil
}
