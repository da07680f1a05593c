package cli

import (
	"errors"
	"io"
	"os"
	"strings"
)

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 64 << 10

// ReadSecret reads a secret from a file, or from standard input for "-". White space around
// it is removed, such as the line end that editors add.
func ReadSecret(path string, stdin io.Reader) (string, error) {
	source := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		source = file
	}
	data, err := io.ReadAll(io.LimitReader(source, maxSecret+1))
	secret := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxSecret:
		return "", errors.New("it is longer than 64 KiB")
	case secret == "":
		return "", errors.New("it is empty")
	}
	return secret, nil
}
