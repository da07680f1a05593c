package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/identity"
)

// A national identity number is masked however a claim holds it, and what is left is JSON.
func TestClaimsAreMasked(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	for name, claims := range map[string]string{
		"a text":              `{"pid":"06828399789"}`,
		"a number":            `{"pid":16828399789}`,
		"escaped digits":      `{"pid":"\u00306828399789"}`,
		"a member's own name": `{"06828399789":true}`,
		"in a list":           `{"pid":["06828399789",{"a":16828399789}]}`,
	} {
		token := &helseid.Token{Type: "DPoP", Access: identity.NewSecret(encode([]byte(`{}`)) + "." + encode([]byte(claims)) + ".")}
		for _, flags := range [][]string{nil, {"-json"}} {
			var stdout, stderr bytes.Buffer
			exit := cli.Main(t.Context(), cli.Command{Name: "token", Setup: func(*cli.Flags) cli.Run {
				return func(_ context.Context, out *cli.Output, _ []string) error {
					printToken(out, token, false)
					return nil
				}
			}}, flags, cli.System{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) (string, bool) { return "", false }})
			require.Zero(t, exit, name)
			require.NotContains(t, stdout.String(), "6828399789", name)
			require.Contains(t, stdout.String(), "***********", name)
			if flags == nil {
				continue
			}
			var event struct{ Claims map[string]any }
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &event), name)
			require.NotEmpty(t, event.Claims, name)
		}
	}
}
