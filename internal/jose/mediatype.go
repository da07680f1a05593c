package jose

import "strings"

// MediaType brings the value of a typ header into one form: in lower case, and
// without the prefix that may be left out (RFC 7515 section 4.1.9). Media types
// are ASCII, and only ASCII letters are folded: Unicode knows others that become
// the same letter.
func MediaType(typ string) string {
	return strings.TrimPrefix(LowerASCII(typ), "application/")
}

// LowerASCII folds the letters A to Z, and nothing else.
func LowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
