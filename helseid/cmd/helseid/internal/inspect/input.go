package inspect

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

// maxInput bounds what is read, in bytes: as much as a configuration file may have.
const maxInput = 1 << 20

// checkArguments refuses secrets in the arguments, which end up in the shell's history, and
// does not repeat them.
func checkArguments(arguments []string) error {
	if slices.ContainsFunc(arguments, looksSecret) {
		return cli.Usagef("this is the token or key itself, which stays in the shell's history: give the name of a file, or paste it to standard input")
	}
	for _, argument := range arguments[min(1, len(arguments)):] {
		if strings.HasPrefix(argument, "-") {
			return cli.Usagef("flags come before FILE")
		}
	}
	if len(arguments) > 1 {
		return cli.Usagef("one FILE at a time")
	}
	return nil
}

// looksSecret reports that a text can be no file's name, but a JWT, a header with one, a
// JWK or PEM.
func looksSecret(text string) bool {
	return strings.Contains(text, "eyJ") && len(text) > 20 || strings.Contains(text, "{") || strings.Contains(text, "-----BEGIN") || len(text) > 1000
}

// readInput reads a file, or standard input for "-".
func readInput(out *cli.Output, name string) ([]byte, error) {
	if looksSecret(name) {
		return nil, checkArguments([]string{name})
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
	data, err := io.ReadAll(io.LimitReader(source, maxInput+1))
	switch {
	case err != nil:
		return nil, &cli.UsageError{Err: err}
	case len(data) > maxInput:
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

var (
	// headerLine is a header as in a request or in the output of curl -v, or in quotes as
	// an argument of curl.
	headerLine = regexp.MustCompile(`^[>\s]*(['"]?)([A-Za-z-]+)\s*:(.*)$`)

	// curlHeader stands before a header in the arguments of curl.
	curlHeader = regexp.MustCompile(`(^|\s)(-H|--header)[\s=]*(['"])`)

	scheme = regexp.MustCompile(`(?i)^\s*(?:dpop|bearer)\s+`)
)

// jwtCharacters are those of base64url and the dot, and those that are there by mistake.
const jwtCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/="

// headers finds the headers Authorization and DPoP in a text, whose values may go on in
// the next lines.
func headers(text string) (authorization, proof string) {
	var (
		current *string
		quote   string // that ends the value
	)
	for line := range strings.Lines(curlHeader.ReplaceAllString(text, "\n$3")) {
		line = strings.TrimRight(line, "\r\n")
		if found := headerLine.FindStringSubmatch(line); found != nil {
			quote, line = found[1], found[3]
			switch strings.ToLower(found[2]) {
			case "authorization":
				current = &authorization
			case "dpop":
				current = &proof
			default:
				current = nil
			}
		} else if strings.Trim(line, jwtCharacters+" \t'\"\\") != "" {
			current = nil
		}
		if current == nil {
			continue
		}
		ended := false
		if quote != "" {
			line, _, ended = strings.Cut(line, quote)
		}
		if *current += line; ended {
			current = nil
		}
	}
	return jwtIn(authorization), jwtIn(proof)
}

// jwtIn is a JWT without the scheme in front of it, and without what pasting has put in and
// around it.
func jwtIn(text string) string {
	text = scheme.ReplaceAllString(strings.Trim(text, " \t\r\n'\"`\\,;"), "")
	return strings.Join(strings.Fields(text), "")
}

// onlyToken is the access token in a text.
func onlyToken(text string) string {
	if token, _ := headers(text); token != "" {
		return token
	}
	return jwtIn(text)
}
