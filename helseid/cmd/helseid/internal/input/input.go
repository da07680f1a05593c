// Package input reads what a command is given to look at: a file, or standard input. It
// refuses secrets in arguments, which end up in the shell's history.
package input

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

// Max bounds what is read, in bytes: as much as a configuration file may have.
const Max = 1 << 20

// Name is the name of the file among the arguments, or "-" for standard input without one.
func Name(arguments []string) (string, error) {
	if slices.ContainsFunc(arguments, looksSecret) {
		return "", cli.Usagef("this is the token or key itself, which stays in the shell's history: give the name of a file, or paste it to standard input")
	}
	if len(arguments) == 0 {
		return "-", nil
	}
	if len(arguments) > 1 {
		return "", cli.Usagef("one FILE at a time")
	}
	return arguments[0], nil
}

// looksSecret reports that a text can be no file's name, but a JWT, a header with one, a
// JWK or PEM.
func looksSecret(text string) bool {
	return strings.Contains(text, "eyJ") && len(text) > 20 || strings.Contains(text, "{") || strings.Contains(text, "-----BEGIN") || len(text) > 1000
}

// Read reads a file, or standard input for "-". Its error is a [cli.UsageError].
func Read(out *cli.Output, name string) ([]byte, error) {
	if _, err := Name([]string{name}); err != nil {
		return nil, err
	}
	source := out.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &cli.UsageError{Err: err}
		}
		defer func() { _ = file.Close() }()
		source = file
	} else if isTerminal(source) {
		out.Note("paste it, and end with a line break and Ctrl-D")
	}
	data, err := io.ReadAll(io.LimitReader(source, Max+1))
	switch {
	case err != nil:
		return nil, &cli.UsageError{Err: err}
	case len(data) > Max:
		return nil, &cli.UsageError{Err: errors.New("the input is longer than 1 MiB")}
	}
	return data, nil
}

func isTerminal(source io.Reader) bool {
	file, ok := source.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
