package redact

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Placeholder is printed in place of a secret.
const Placeholder = "[redacted]"

const (
	maxText        = 300 // runes
	opaqueRun      = 40  // a run of base64url characters of this length counts as a credential
	identityDigits = 11
)

// parted is a national identity number with a separator, as people write it.
var parted = regexp.MustCompile(`\b[0-9]{6}[ \x{00a0}\x{2009}\x{202f}-][0-9]{5}\b`)

// Text makes a text from outside safe for an error or a log line: no control
// characters, at most 300 characters, and nothing that looks like a credential (a long
// run of base64url characters) or a national identity number (eleven digits, also with
// a space or dash after the sixth).
func Text(text string) string {
	var out strings.Builder
	text = parted.ReplaceAllString(text, Placeholder)
	runes := 0
	for len(text) > 0 && runes < maxText {
		run := leadingRun(text)
		if run == "" {
			char, size := utf8.DecodeRuneInString(text)
			text = text[size:]
			if !unicode.IsPrint(char) {
				char = ' '
			}
			out.WriteRune(char)
			runes++
			continue
		}
		text = text[len(run):]
		run = hide(run)
		if runes += len(run); runes > maxText {
			break
		}
		out.WriteString(run)
	}
	return strings.TrimSpace(out.String())
}

// leadingRun is the run of base64url characters and dots that text starts
// with.
func leadingRun(text string) string {
	end := 0
	for end < len(text) {
		c := text[end]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			end++
			continue
		}
		break
	}
	return text[:end]
}

func hide(run string) string {
	if len(run) >= opaqueRun {
		return Placeholder
	}
	digits := 0
	for i := 0; i <= len(run); i++ {
		if i < len(run) && run[i] >= '0' && run[i] <= '9' {
			digits++
			continue
		}
		if digits == identityDigits {
			return run[:i-digits] + Placeholder + hide(run[i:])
		}
		digits = 0
	}
	return run
}
