package inspect

import "github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"

// maxQuoted bounds what a sentence repeats of the input.
const maxQuoted = 200

// named repeats a text of the input in a sentence.
func named(text string) string {
	if runes := []rune(text); len(runes) > maxQuoted {
		text = string(runes[:maxQuoted]) + "…"
	}
	return `"` + jwtview.Printable(text) + `"`
}
