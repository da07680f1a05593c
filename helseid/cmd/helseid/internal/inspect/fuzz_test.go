package inspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/inspect"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

// Whatever it reads, it says something that a terminal and a JSON reader can take, and
// nothing secret.
func FuzzInspect(f *testing.F) {
	server := helseidtest.NewServer(f, helseidtest.InMemory())
	token := server.Token(mint.Clinician())
	key := testkit.Must(jose.GenerateKey())
	for _, seed := range []string{
		token, server.IDToken(), server.LogoutToken(), server.Proof("GET", "https://api.example.no", token, mint.PrivateKeyInProof()),
		"Authorization: DPoP " + token + "\nDPoP: x.y.z", `-H "DPoP: a"`, string(server.ConfigFile()), string(testkit.Must(key.MarshalPrivateJWK())),
		`{"keys":[` + string(key.MarshalPublicJWK()) + `,{}]}`, string(testkit.Must(key.MarshalPrivatePEM())), `{"keys":[{"kty":"oct","k":"AA"}]}`,
		`{"HelseID":{"ClientId":"a"}} // comment`, `{"kty":1}`, "", "e30.e30.AA", "eyJhIjpbMV19.eyJhdWQiOlsxXSwiaXNzIjp7fX0.AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, flags := range [][]string{{"-json"}, nil} {
			var stdout, stderr bytes.Buffer
			exit := cli.Main(context.Background(), inspect.Command(), flags, cli.System{
				Stdin: strings.NewReader(text), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) (string, bool) { return "", false },
			})
			require.Less(t, exit, cli.ExitUsage, stderr.String())
			require.Empty(t, testkit.FindCredential(stdout.String()))
			require.NotEmpty(t, stdout.String())
			require.Empty(t, stderr.String())
			for line := range strings.Lines(stdout.String()) {
				require.False(t, strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(char rune) bool { return !unicode.IsPrint(char) }), "%q", line)
				if flags != nil {
					require.True(t, json.Valid([]byte(line)), line)
				}
			}
		}
	})
}
