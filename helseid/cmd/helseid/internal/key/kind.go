package key

import (
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
)

var kinds = []clientassertion.KeyKind{
	clientassertion.RSA4096, clientassertion.RSA3072, clientassertion.P256, clientassertion.P384, clientassertion.P521,
}

// addKind declares the flag -kind.
func addKind(flags *cli.Flags) *string {
	return flags.String("kind", string(clientassertion.RSA4096), "`kind` of key: RSA-4096, RSA-3072, P-256, P-384 or P-521; EC-P256 is P-256")
}

// kindOf reads the kind in any spelling.
func kindOf(text string) (clientassertion.KeyKind, error) {
	plain := func(text string) string {
		return strings.TrimPrefix(strings.ReplaceAll(strings.ToUpper(text), "-", ""), "EC")
	}
	for _, kind := range kinds {
		if plain(text) == plain(string(kind)) {
			return kind, nil
		}
	}
	return "", cli.Usagef("-kind is one of RSA-4096, RSA-3072, P-256, P-384 and P-521")
}
