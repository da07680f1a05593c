package desk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writeFile replaces a file or, without a path, makes one in a temporary folder that
// cleanup removes.
func writeFile(path, name string, content []byte, mode os.FileMode) (written string, cleanup func(), err error) {
	cleanup = func() {}
	if path == "" {
		folder, err := os.MkdirTemp("", "localhelseid-")
		if err != nil {
			return "", cleanup, err
		}
		path, cleanup = filepath.Join(folder, name), func() { _ = os.RemoveAll(folder) }
	}
	if err := replaceFile(path, content, mode); err != nil {
		cleanup()
		return "", func() {}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return path, cleanup, nil
}

// replaceFile makes a new file, so neither the permissions nor a symbolic link of an old
// one are kept.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".localhelseid-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
