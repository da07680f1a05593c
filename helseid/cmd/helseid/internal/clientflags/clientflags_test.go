package clientflags_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// run parses a command line and reads the configuration.
func run(t *testing.T, stdin string, line ...string) (config helseid.Config, request helseid.TokenRequest, exit int, stderr string) {
	t.Helper()
	root := cli.Command{Name: "t", Commands: []cli.Command{{Name: "c", Setup: func(flags *cli.Flags) cli.Run {
		var (
			client clientflags.Client
			token  clientflags.Token
		)
		client.Add(flags)
		token.Add(flags)
		return func(_ context.Context, out *cli.Output, _ []string) (err error) {
			request = token.Request()
			config, err = client.Config(out)
			return err
		}
	}}}}
	var printed bytes.Buffer
	exit = cli.Main(t.Context(), root, append([]string{"c"}, line...), cli.System{
		Stdin: strings.NewReader(stdin), Stdout: &printed, Stderr: &printed, Getenv: func(string) (string, bool) { return "", false },
	})
	return config, request, exit, printed.String()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	server, err := helseidtest.Start(helseidtest.InMemory())
	require.NoError(t, err)
	defer server.Close()
	content := string(server.ConfigFile(helseidtest.Scopes("nhn:a/read")))
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))

	config, _, exit, printed := run(t, "", "-config", path)
	require.Equal(t, 0, exit, printed)
	require.Equal(t, server.Issuer(), config.Issuer)
	require.Empty(t, printed)
	config, _, exit, printed = run(t, content, "-config", "-", "-issuer", "http://localhost:1")
	require.Equal(t, 0, exit, printed)
	require.Equal(t, "http://localhost:1", config.Issuer)
	require.Contains(t, printed, "plain http")

	for name, test := range map[string]struct {
		stdin, file, want string
	}{
		"no file":    {"", path + "x", "there is no configuration file"},
		"no JSON":    {"hidden", "-", "configuration"},
		"no content": {"", "-", "configuration"},
		"too long":   {strings.Repeat("hidden", 1<<18), "-", "longer than 1 MiB"},
		"no key":     {`{"clientId":"a","privateJwk":"hidden"}`, "-", "privateJwk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, exit, printed := run(t, test.stdin, "-config", test.file)
			require.Equal(t, cli.ExitUsage, exit)
			require.Contains(t, printed, test.want)
			require.NotContains(t, printed, "hidden")
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	_, request, _, _ := run(t, "", "-scope", " a  b ", "-resource", "nhn:a", "-parent", "994598759", "-child", "999977775", "-journal-id", "j")
	require.Equal(t, helseid.TokenRequest{
		Scopes: []string{"a", "b"}, Resource: "nhn:a", JournalID: "j",
		Organization: clientassertion.Organization{Parent: "994598759", Child: "999977775"},
	}, request)
	_, request, _, _ = run(t, "")
	require.Empty(t, request.Scopes)
	require.True(t, request.Organization.IsZero())
}
