package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// The program says where it listens, serves the stack, logs what guards decide, and ends
// when it is told to.
func TestProgram(t *testing.T) {
	for name := range stacks {
		t.Run(name, func(t *testing.T) {
			helseid := helseidtest.NewServer(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reader, writer := io.Pipe()
			var stderr lockedBuffer
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{
					"-stack", name, "-listen", "127.0.0.1:0", "-issuer", helseid.Issuer(), "-audience", mint.DefaultAudience, "-scope", scope,
				}, writer, &stderr)
				_ = writer.Close()
			}()
			line, err := bufio.NewReader(reader).ReadString('\n')
			require.NoError(t, err)
			url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
			require.True(t, found, line)

			file := filepath.Join(t.TempDir(), "client.json")
			require.NoError(t, os.WriteFile(file, helseid.ConfigFile(helseidtest.Scopes(scope)), 0o600))
			var stdout bytes.Buffer
			call := []string{"-stack", name, "-call", url, "-config", file, "-scope", scope}
			require.Zero(t, run(ctx, call, &stdout, &stderr), &stderr)
			require.Contains(t, stdout.String(), "organization "+organization)
			require.Contains(t, stderr.String(), `organization "994598759": let in`)
			if !slices.Contains(routers, name) {
				cancel()
				require.Zero(t, <-ended)
				return
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for path, status := range map[string]int{"/caller": http.StatusOK, "/clinician/caller": http.StatusForbidden} {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
				require.NoError(t, err)
				helseid.Authorize(request, helseid.Token())
				response, err := client.Do(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, status, response.StatusCode)
			}
			cancel()
			require.Zero(t, <-ended)
			require.Contains(t, stderr.String(), `client "helseidtest-client" organization "994598759": let in`)
			require.Contains(t, stderr.String(), "refused with 403 user")
		})
	}
}

// Without an issuer it brings its own, shows a call that is let in and one that is refused,
// and prints a command that works until it ends.
func TestDemo(t *testing.T) {
	for name := range stacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reader, writer := io.Pipe()
			var stderr lockedBuffer
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{"-stack", name, "-listen", "0.0.0.0:0"}, writer, &stderr)
				_ = writer.Close()
			}()
			lines := bufio.NewScanner(reader)
			for _, want := range []string{
				`^listening on http://127\.0\.0\.1:\d+$`,
				`^an embedded HelseID listens on http://127\.0\.0\.1:\d+$`,
				`let in: client \S+ organization ` + organization + `$`,
				`refused: .*(403|PermissionDenied: user)`,
				`another terminal`,
				`^  go -C examples/stacks run \. `,
			} {
				require.True(t, lines.Scan(), &stderr)
				require.Regexp(t, want, lines.Text())
			}
			require.Contains(t, stderr.String(), "refused with 403 user")

			_, args, _ := strings.Cut(lines.Text(), " run . ")
			command := strings.Fields(strings.ReplaceAll(args, `"`, ""))
			require.Contains(t, command, name)
			var stdout bytes.Buffer
			require.Zero(t, run(ctx, command, &stdout, &stderr), &stderr)
			require.Contains(t, stdout.String(), "organization "+organization)
			cancel()
			require.Zero(t, <-ended)
			require.NoFileExists(t, command[slices.Index(command, "-config")+1])
		})
	}
}

// A demonstration that does not go as it should is a failure.
func TestDemoThatFails(t *testing.T) {
	var stderr lockedBuffer
	require.Equal(t, 1, run(t.Context(), []string{"-listen", "127.0.0.1:0", "-audience", "nhn:another-api"}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "refused with 401 token_audience")
}

// An API that needs no scope is called with a token for it nevertheless.
func TestDemoWithoutScope(t *testing.T) {
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-listen", "127.0.0.1:0", "-scope", ""}, writer, io.Discard)
		_ = writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	for !strings.Contains(lines.Text(), "refused: ") {
		require.True(t, lines.Scan(), "it has ended")
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	cancel()
	require.Zero(t, <-ended)
}

// lockedBuffer is written to and read by several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestMistakesInTheFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown stack":    {"-stack", "cobol"},
		"an argument":         {"chi"},
		"an unknown flag":     {"-nonsense"},
		"quotation marks":     {"-scope", `"x"`},
		"an issuer of no use": {"-issuer", "http://helseid.example.no"},
		"no audience":         {"-audience", ""},
		"a call of nobody's":  {"-call", "http://127.0.0.1:1"},
		"nothing to call":     {"-config", "client.json"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			require.Equal(t, 2, run(t.Context(), append([]string{"-listen", "127.0.0.1:0"}, args...), io.Discard, &stderr))
			require.NotEmpty(t, stderr.String())
		})
	}
	require.Zero(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
	require.Equal(t, 1, run(t.Context(), []string{"-listen", "127.0.0.1:no"}, io.Discard, io.Discard))
	require.Equal(t, 2, run(t.Context(), []string{"-call", "http://127.0.0.1:1", "-config", "no-such-file.json"}, io.Discard, io.Discard))
}
