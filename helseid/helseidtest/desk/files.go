package desk

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/helseid-go/sdk/internal/httpx"
)

// output is a file to write.
type output struct {
	path    string // empty: one with the name in a temporary folder
	name    string
	content []byte
	mode    os.FileMode
	isOld   func(content []byte) bool  // what is there is an earlier run's, and may be replaced
	inUse   func(content []byte) error // nil, or says why it may not after all
}

// write replaces a file of an earlier run or makes one. Another file stays: it may hold the
// only copy of a key. cleanup removes the temporary folder.
func (o output) write() (written string, cleanup func(), err error) {
	path := o.path
	cleanup = func() {}
	if path == "" {
		folder, err := os.MkdirTemp("", "localhelseid-")
		if err != nil {
			return "", cleanup, err
		}
		path, cleanup = filepath.Join(folder, o.name), func() { _ = os.RemoveAll(folder) }
	}
	if err = o.checkReplaced(path); err == nil {
		err = replaceFile(path, o.content, o.mode)
	}
	if err != nil {
		cleanup()
		return "", func() {}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return path, cleanup, nil
}

// maxReplaced bounds what is read of a file that may be replaced, in bytes.
const maxReplaced = 1 << 20

func (o output) checkReplaced(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Size() == 0:
		return nil
	}
	content := []byte{}
	if info.Size() <= maxReplaced {
		if content, err = os.ReadFile(path); err != nil {
			return err
		}
	}
	if !o.isOld(content) {
		return fmt.Errorf("%s is there, and no earlier run has written it: name another file, or remove it", path)
	}
	if o.inUse == nil {
		return nil
	}
	if err := o.inUse(content); err != nil {
		return fmt.Errorf("%s is there: %w: name another file, or stop that server", path, err)
	}
	return nil
}

// isClientOf reports that a configuration file is for a server at the issuer, or for one
// on this machine.
func isClientOf(issuer string) func(content []byte) bool {
	return func(content []byte) bool {
		var file struct{ Authority string }
		if json.Unmarshal(content, &file) != nil {
			return false
		}
		address, err := url.Parse(file.Authority)
		return err == nil && (file.Authority == issuer || httpx.IsLoopback(address.Hostname()))
	}
}

// isAuthority reports that a file is the certificate of an authority of newAuthority's, and
// nothing else.
func isAuthority(content []byte) bool {
	block, rest := pem.Decode(content)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return err == nil && certificate.Subject.CommonName == authorityName
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
