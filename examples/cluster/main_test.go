package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The four processes are this test program, too.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runProcess(context.Background(), role, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

type output struct {
	code           int
	stdout, stderr string
}

var (
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
)

func cluster(t *testing.T, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	out := output{code, stdout.String(), stderr.String()}
	for _, text := range []string{out.stdout, out.stderr} {
		require.NotRegexp(t, jwsLike, text)
		require.NotRegexp(t, identityNumber, text)
	}
	return out
}

// requireRedis fails without a Redis: the program is about nothing else.
func requireRedis(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("this test needs a Redis: apt-get install redis-server")
	return ""
}

// event is a line of the output.
type event struct {
	Event, Text, Role, Reason string
	SeenBy                    string  `json:"seen_by"`
	SentTo                    string  `json:"sent_to"`
	TokenRequests             int     `json:"token_requests"`
	ByProcess                 []int64 `json:"by_process"`
	Status, PID               int
	Calls, Repeated, Failed   int
	Attacks                   tries
	OK                        bool
}

func events(t *testing.T, out output) map[string][]event {
	t.Helper()
	found := make(map[string][]event)
	for line := range strings.Lines(out.stdout) {
		var event event
		require.NoError(t, json.Unmarshal([]byte(line), &event), "not JSON: %s", line)
		require.NotEmpty(t, event.Event)
		require.NotEmpty(t, event.Text)
		found[event.Event] = append(found[event.Event], event)
	}
	return found
}

// requireShown looks for all that the program is to show.
func requireShown(t *testing.T, out output) {
	t.Helper()
	require.Zero(t, out.code, out.stderr)
	require.Empty(t, out.stderr)
	shown := events(t, out)

	pids := map[int]bool{os.Getpid(): true}
	for _, process := range shown["process"] {
		pids[process.PID] = true
	}
	require.Len(t, pids, 5, "four processes beside this one")

	require.Equal(t, 1, shown["shared_token"][0].TokenRequests)
	require.Equal(t, []int64{1, 0}, shown["shared_token"][0].ByProcess)

	require.Len(t, shown["replay"], 2)
	require.NotEqual(t, shown["replay"][0].SeenBy, shown["replay"][0].SentTo)
	for _, replay := range shown["replay"] {
		require.Equal(t, 401, replay.Status)
		require.Equal(t, "proof_replayed", replay.Reason)
	}

	require.Equal(t, 401, shown["restart"][0].Status)
	load := shown["load"][0]
	require.Zero(t, load.Failed)
	require.Zero(t, load.Attacks.LetThrough)
	require.Positive(t, load.Calls)
	require.Positive(t, load.Repeated)
	require.Positive(t, load.Attacks.Used)
	require.Positive(t, load.Attacks.Unchecked)
	require.True(t, shown["summary"][0].OK)

	requireGone(t, shown["process"])
}

func requireGone(t *testing.T, processes []event) {
	t.Helper()
	require.Len(t, processes, 4)
	for _, process := range processes {
		found, err := os.FindProcess(process.PID)
		require.NoError(t, err)
		require.Error(t, found.Signal(syscall.Signal(0)), "a process stays behind")
	}
}

func TestRun(t *testing.T) {
	requireRedis(t)
	requireShown(t, cluster(t, "-json"))

	out := cluster(t)
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "→ 401 proof_replayed")
	require.Contains(t, out.stdout, "0 were let through")
	require.Contains(t, out.stdout, "Everything was as it should be.")
}

// A Redis that is there already is used, and left alone.
func TestRunWithRedis(t *testing.T) {
	requireRedis(t)
	redis, err := startRedis(t.Context())
	require.NoError(t, err)
	defer redis.close()
	redisURL, _ := redis.address()
	requireShown(t, cluster(t, "-json", "-redis", redisURL))
	require.NoError(t, checkRedis(t.Context(), redisURL), "it is still there")
}

func TestNoRedis(t *testing.T) {
	t.Run("none installed", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		out := cluster(t)
		require.Equal(t, exitUsage, out.code)
		require.Contains(t, out.stderr, "apt-get install redis-server")
		require.Empty(t, out.stdout)
	})
	t.Run("none there", func(t *testing.T) {
		out := cluster(t, "-redis", "unix://"+filepath.Join(t.TempDir(), "s"))
		require.Equal(t, exitFailure, out.code)
		require.Contains(t, out.stderr, "Redis is not available")
		require.Empty(t, out.stdout)
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown flag": {"-x"}, "argument": {"x"}, "no Redis URL": {"-redis", "https://user:secret@example.no"},
		"plaintext": {"-redis", "redis://user:secret@redis.example.no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := cluster(t, args...)
			require.Equal(t, exitUsage, out.code)
			require.NotEmpty(t, out.stderr)
			require.NotContains(t, out.stderr, "secret")
			require.Empty(t, out.stdout)
		})
	}
	t.Run("help", func(t *testing.T) {
		t.Parallel()
		out := cluster(t, "-h")
		require.Zero(t, out.code)
		require.Contains(t, out.stderr, "-redis")
		require.Contains(t, out.stderr, "-json")
	})
}

// Interrupted, it ends soon and leaves nothing behind.
func TestInterrupted(t *testing.T) {
	requireRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr bytes.Buffer
	out := &interrupting{cancel: cancel}
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"-json"}, out, &stderr) }()
	select {
	case code := <-done:
		require.Equal(t, exitFailure, code)
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	require.NotContains(t, out.text.String(), "summary")
	requireGone(t, events(t, output{stdout: out.text.String()})["process"])
}

// interrupting cancels when Redis is killed.
type interrupting struct {
	text   bytes.Buffer
	cancel func()
}

func (i *interrupting) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"kill"`)) {
		i.cancel()
	}
	return i.text.Write(p)
}
