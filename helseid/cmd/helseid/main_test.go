package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/internal/testkit"
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

// run starts the program with an environment of its own, and looks for secrets in what it
// prints, unless a flag -show-… asks for them.
func run(t *testing.T, environment []string, stdin []byte, arguments ...string) result {
	t.Helper()
	return runIn(t, t.TempDir(), environment, stdin, arguments...)
}

func runIn(t *testing.T, folder string, environment []string, stdin []byte, arguments ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := command(ctx, t, folder, environment, arguments...)
	command.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	asked := func(argument string) bool { return strings.HasPrefix(argument, "-show-") }
	if !slices.ContainsFunc(arguments, asked) {
		requireNoSecret(t, stdout.String()+stderr.String())
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

func command(ctx context.Context, t *testing.T, folder string, environment []string, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append([]string{"HOME=" + t.TempDir()}, environment...)
	command.Dir = folder
	return command
}

// process is the program while it runs.
type process struct {
	testing.TB
	command *exec.Cmd
	lines   chan string
	stderr  testkit.Log
}

// begin starts a command that goes on until it is stopped.
func begin(t *testing.T, folder string, environment []string, arguments ...string) *process {
	t.Helper()
	p := &process{TB: t, command: command(context.Background(), t, folder, environment, arguments...), lines: make(chan string, 100)}
	stdout, err := p.command.StdoutPipe()
	require.NoError(t, err)
	p.command.Stderr = &p.stderr
	require.NoError(t, p.command.Start())
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	return p
}

// next is the next line that it prints.
func (p *process) next() string {
	p.Helper()
	select {
	case line, ok := <-p.lines:
		require.True(p, ok, "it has ended: %s", p.stderr.String())
		requireNoSecret(p, line)
		return line
	case <-time.After(30 * time.Second):
		require.FailNow(p, "it prints nothing")
		return ""
	}
}

// event is the next line as JSON.
func (p *process) event() map[string]any {
	p.Helper()
	var event map[string]any
	require.NoError(p, json.Unmarshal([]byte(p.next()), &event))
	return event
}

// stop asks it to end, and returns its exit code.
func (p *process) stop() int {
	p.Helper()
	require.NoError(p, p.command.Process.Signal(os.Interrupt))
	for line := range p.lines {
		requireNoSecret(p, line)
	}
	_ = p.command.Wait()
	requireNoSecret(p, p.stderr.String())
	return p.command.ProcessState.ExitCode()
}

// privateKeys are the private parts of the keys in all configuration files of the tests.
var privateKeys struct {
	sync.Mutex
	parts []string
}

// privatePart also finds it in a JWK that is a text.
var privatePart = regexp.MustCompile(`\\?"d\\?" *: *\\?"([A-Za-z0-9_-]{20,})`)

func rememberKeys(t testing.TB, configuration []byte) {
	t.Helper()
	found := privatePart.FindAllSubmatch(configuration, -1)
	require.NotEmpty(t, found)
	privateKeys.Lock()
	defer privateKeys.Unlock()
	for _, match := range found {
		privateKeys.parts = append(privateKeys.parts, string(match[1]))
	}
}

func requireNoSecret(t testing.TB, text string) {
	t.Helper()
	require.Empty(t, testkit.FindCredential(text), text)
	privateKeys.Lock()
	defer privateKeys.Unlock()
	for _, part := range privateKeys.parts {
		require.NotContains(t, text, part)
	}
}

// configFile registers a client and writes its file.
func configFile(t *testing.T, server *helseidtest.Server, client helseidtest.Client) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.json")
	content := server.ConfigFile(client)
	rememberKeys(t, content)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
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
