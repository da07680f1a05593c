package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// program is the built command.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "helseid-command-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(folder) }()
		program = filepath.Join(folder, "helseid.exe") // Windows wants the ending; others do not mind
		if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
			panic(string(output))
		}
		return m.Run()
	}())
}

type result struct {
	stdout, stderr string
	exit           int
}

// run starts the program with an environment of its own.
func run(t *testing.T, environment []string, stdin []byte, arguments ...string) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append([]string{"HOME=" + t.TempDir()}, environment...)
	command.Dir = t.TempDir()
	command.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// configFile registers a client and writes its file.
func configFile(t *testing.T, server *helseidtest.Server, client helseidtest.Client) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, server.ConfigFile(client), 0o600))
	return path
}

func TestTokenShowsClaims(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/read"}})
	got := run(t, nil, nil, "token", "-json", "-config", file, "-scope", "nhn:demo-api/read")
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, `"event":"token"`)
	require.NotContains(t, got.stdout, "eyJ")
	got = run(t, []string{"HELSEID_CONFIG=" + file}, nil, "token", "-show-token")
	require.Equal(t, 0, got.exit, got.stderr)
	require.Contains(t, got.stdout, "eyJ")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{nil, {"nothing"}, {"token", "-nothing"}, {"token", "argument"}, {"token", "-config", "missing.json"}} {
		got := run(t, nil, nil, arguments...)
		require.Equal(t, 2, got.exit, arguments)
		require.NotEmpty(t, got.stderr)
		require.Empty(t, got.stdout)
	}
	for _, arguments := range [][]string{{"-h"}, {"help", "token"}, {"token", "-h"}} {
		got := run(t, nil, nil, arguments...)
		require.Equal(t, 0, got.exit, arguments)
		require.Empty(t, got.stderr)
	}
}
