package jwtview

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// NotShown stands for what must not be seen.
const NotShown = "[not shown]"

// secretText is a JWS, and a private key as text.
var secretText = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}|PRIVATE KEY|RSAKeyValue|"(?:d|k|p|q)"\s*:`)

// userOfURL is the user and the password in a URL.
var userOfURL = regexp.MustCompile(`://[^/?#@\s]*@`)

// Printable is a text that came from elsewhere as it may be printed in a sentence: without
// tokens, private keys and passwords of URLs, with national identity numbers masked, and with escapes for what
// does not print, since a terminal obeys it.
func Printable(text string) string { return escape(withoutSecrets(text), "") }

// Quote is the same as a JSON string.
func Quote(text string) string { return `"` + escape(withoutSecrets(text), `"\`) + `"` }

func withoutSecrets(text string) string {
	if secretText.MatchString(text) {
		return NotShown
	}
	return string(Mask([]byte(userOfURL.ReplaceAllString(text, "://"+NotShown+"@"))))
}

// escape puts a backslash before the special characters.
func escape(text, special string) string {
	if !strings.ContainsFunc(text, unprintable) && !strings.ContainsAny(text, special) {
		return text
	}
	var escaped strings.Builder
	for _, char := range text {
		switch {
		case strings.ContainsRune(special, char):
			escaped.WriteByte('\\')
			escaped.WriteRune(char)
		case unprintable(char):
			for _, unit := range utf16.Encode([]rune{char}) {
				fmt.Fprintf(&escaped, `\u%04x`, unit)
			}
		default:
			escaped.WriteRune(char)
		}
	}
	return escaped.String()
}

func unprintable(char rune) bool { return !unicode.IsPrint(char) }
