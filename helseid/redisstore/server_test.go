package redisstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/identity"
)

// server is a Redis or Valkey of a test's own, on a socket in a folder of its
// own.
type server struct {
	dir    string
	socket string
	port   int // 0: on the socket alone
	args   []string
	cmd    *exec.Cmd
	out    bytes.Buffer
}

// program finds the server to run. Without one the tests fail: they are about
// nothing else.
func program(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("these tests need a Redis: apt-get install redis-server")
	return ""
}

// startServer starts a server that keeps nothing on disk unless the arguments
// say so.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	return startServerOn(t, 0, args...)
}

func startServerOn(t testing.TB, port int, args ...string) *server {
	t.Helper()
	return startConfigured(t, "", port, append([]string{"--save", "", "--appendonly", "no"}, args...)...)
}

// startConfigured gives the server a configuration file too, which Sentinel and
// what it commands write to.
func startConfigured(t testing.TB, configuration string, port int, args ...string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "redisstore") // the path of a socket must be short
	require.NoError(t, err)
	file := filepath.Join(dir, "conf")
	require.NoError(t, os.WriteFile(file, []byte(configuration), 0o600))
	s := &server{dir: dir, socket: filepath.Join(dir, "s"), port: port}
	s.args = append([]string{
		file, "--unixsocket", s.socket, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
	}, args...)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server said:\n%s", s.out.String())
		}
		_ = os.RemoveAll(dir)
	})
	s.start(t)
	return s
}

// start runs the server, also again after kill.
func (s *server) start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(program(t), s.args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	endWithParent(s.cmd)
	require.NoError(t, s.cmd.Start())
	require.Eventually(t, func() bool {
		client := s.admin()
		defer func() { _ = client.Close() }()
		err := client.Ping(t.Context()).Err()
		return err == nil || replyCode(err) == "NOAUTH"
	}, 20*time.Second, 10*time.Millisecond, "the server does not start")
}

// kill ends the server as a crash does.
func (s *server) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // fails only if it has ended already
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) url() string { return "unix://" + s.socket }

// admin is a client that goes round the package under test.
func (s *server) admin() *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket, MaxRetries: -1, DialerRetries: 1})
}

// keys are all keys in the server.
func (s *server) keys(t testing.TB) []string {
	t.Helper()
	client := s.admin()
	defer func() { _ = client.Close() }()
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	return keys
}

// do sends any command.
func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	client := s.admin()
	defer func() { _ = client.Close() }()
	reply, err := client.Do(t.Context(), args...).Result()
	require.NoError(t, err, "%v", args)
	return reply
}

// left is how long a key has to live.
func (s *server) left(t testing.TB, key string) time.Duration {
	t.Helper()
	milliseconds, ok := s.do(t, "PTTL", key).(int64)
	require.True(t, ok)
	return time.Duration(milliseconds) * time.Millisecond
}

// setMemory makes the server full, or not: it holds more than a megabyte from the
// start. Zero means no limit.
func (s *server) setMemory(t testing.TB, limit string) {
	t.Helper()
	s.do(t, "CONFIG", "SET", "maxmemory", limit)
}

// freePort is a TCP port on loopback, whose companion of a cluster's bus exists.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := listener.Addr().(*net.TCPAddr).Port
		require.NoError(t, listener.Close())
		if port < 55_000 {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// admin's clients ask for servers that have not started yet, and clients that a
// test makes say so on standard error.
func init() { logging.Disable() }

var (
	testKey  = bytes.Repeat([]byte("a key of tests. "), 2)
	otherKey = bytes.Repeat([]byte("another, newer. "), 2)
)

func newStore(t testing.TB, url string, change ...func(*Config)) *Store {
	t.Helper()
	config := Config{URL: identity.NewSecret(url), EncryptionKeys: inBase64(testKey), Timeout: 5 * time.Second}
	for _, change := range change {
		change(&config)
	}
	store, err := New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func within(timeout time.Duration) func(*Config) {
	return func(c *Config) { c.Timeout = timeout }
}

// background is a context that outlives the test's own, for goroutines and
// clean-up.
func background() context.Context { return context.Background() }

// inBase64 writes keys as a configuration has them.
func inBase64(keys ...[]byte) []identity.Secret {
	texts := make([]identity.Secret, len(keys))
	for i, key := range keys {
		texts[i] = identity.NewSecret(base64.StdEncoding.EncodeToString(key))
	}
	return texts
}
