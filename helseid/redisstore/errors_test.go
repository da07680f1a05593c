package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
)

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// Redis quotes arguments, and the client addresses: none of it gets through.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		says string
	}{
		"unknown command": {reply("ERR unknown command 'SET', with args beginning with: 'helseid:token:abc' 'secret'"), "ERR"},
		"no code":         {reply("secret"), "ERR"},
		"odd code":        {reply("06828399789 secret"), "ERR"},
		"long code":       {reply(strings.Repeat("SECRET", 9)), "ERR"},
		"out of memory":   {reply("OOM command not allowed: secret"), "maxmemory"},
		"not permitted":   {reply("NOPERM No permissions to access the key 'secret'"), "NOPERM"},
		"wrapped":         {fmt.Errorf("secret: %w", reply("WRONGPASS secret")), "user or the password"},
		"cluster node":    {reply("MOVED 3999 secret:6381"), "ClusterClient"},
		"closed":          {redis.ErrClosed, "closed"},
		"pool":            {redis.ErrPoolTimeout, "in time"},
		"timeout":         {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "in time"},
		"deadline":        {fmt.Errorf("secret: %w", context.DeadlineExceeded), "in time"},
		"refused":         {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "dial: connection refused"},
		"end of file":     {fmt.Errorf("secret: %w", io.EOF), "broke"},
		"anything":        {errors.New("secret"), "broke"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := unavailable(test.err)
			require.ErrorIs(t, err, ErrUnavailable)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, strings.ToLower(err.Error()), "secret")
			require.NotContains(t, err.Error(), "06828399789")
		})
	}
	require.ErrorIs(t, unavailable(context.Canceled), context.Canceled)
	require.ErrorIs(t, unavailable(redis.ErrPoolTimeout), context.DeadlineExceeded)
}

// What a server refuses, and how each store says so.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--requirepass", password)
	for name, test := range map[string]struct{ url, says string }{
		"no password":    {server.url(), "NOAUTH"},
		"wrong password": {"unix://:wrong-" + password + "@" + server.socket, "WRONGPASS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t, test.url)
			requireUnavailable(t, store, test.says)
			require.ErrorContains(t, store.Check(t.Context()), test.says)
		})
	}
	t.Run("the right one", func(t *testing.T) {
		t.Parallel()
		store := newStore(t, "unix://:"+password+"@"+server.socket)
		require.NoError(t, store.Check(t.Context()))
	})
}

// A user of Redis needs the commands that the documentation names, and no more.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	server.do(t, "ACL", "SETUSER", "app", "on", ">"+password, "~helseid:*",
		"+get", "+set", "+del", "+hmget", "+hset", "+pexpire", "+pttl", "+eval", "+evalsha", "+info", "+time")
	store := newStore(t, "unix://app:"+password+"@"+server.socket)
	require.NoError(t, store.Check(t.Context()))
	requireTable(t, store.Rows())
	require.True(t, record(t, store.Replays(), newUse()))
	require.NoError(t, store.TokenCache().Save(t.Context(), "a", []byte("x"), time.Now().Add(time.Minute)))
	_, err := store.TokenCache().Load(t.Context(), "a")
	require.NoError(t, err)
	require.NoError(t, store.TokenCache().Delete(t.Context(), "a"))

	elsewhere := newStore(t, "unix://app:"+password+"@"+server.socket, func(c *Config) { c.KeyPrefix = "other:" })
	requireUnavailable(t, elsewhere, "NOPERM")
}

// requireUnavailable asks everything of a store that cannot work.
func requireUnavailable(t *testing.T, store *Store, says string) {
	t.Helper()
	const key, value = "key-of-a-row", "06828399789"
	_, get := store.TokenCache().Load(t.Context(), key)
	set := store.TokenCache().Save(t.Context(), key, []byte(value), time.Now().Add(time.Minute))
	_, load := store.Rows().Load(t.Context(), key)
	_, save := store.Rows().Save(t.Context(), key, helseid.StoredRow{Data: []byte(value), Expiry: time.Now().Add(time.Minute)})
	remove := store.Rows().Delete(t.Context(), key)
	first, record := store.Replays().Record(t.Context(), newUse())
	require.False(t, first)
	for name, err := range map[string]error{"get": get, "set": set, "load": load, "save": save, "delete": remove, "record": record} {
		require.ErrorIs(t, err, ErrUnavailable, name)
		require.ErrorContains(t, err, says, name)
		for _, secret := range []string{key, value, password} {
			require.NotContains(t, err.Error(), secret, name)
		}
	}
	for _, err := range []error{load, save, remove} {
		require.ErrorIs(t, err, helseid.ErrStore)
	}
	require.NotErrorIs(t, record, dpop.ErrReplayFull)
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	store := newStore(t, startServer(t).url())
	require.NoError(t, store.Check(t.Context()))
	require.NoError(t, store.Close())
	requireUnavailable(t, store, "closed")
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	store := newStore(t, "unix:///nowhere/redis.sock")
	_, err := newStore(t, "unix:///nowhere/redis.sock").TokenCache().Load(t.Context(), "key")
	require.ErrorContains(t, err, "dial: connect: no such file or directory")
	requireUnavailable(t, store, "")
	require.ErrorIs(t, store.Check(t.Context()), ErrUnavailable)
}

// go-redis writes failed connections to standard error, and its logger is left as it
// is.
func TestNothingOnStandardError(t *testing.T) {
	if os.Getenv("REDISSTORE_TEST_CHILD") != "" {
		logging.Enable()
		for _, url := range []string{"redis://127.0.0.1:1", "rediss://127.0.0.1:1", "unix:///nowhere/redis.sock"} {
			store := newStore(t, url, within(time.Second))
			for range 3 * breakerLimit {
				_, err := store.TokenCache().Load(t.Context(), "key")
				require.ErrorIs(t, err, ErrUnavailable)
			}
		}
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingOnStandardError$")
	cmd.Env = append(os.Environ(), "REDISSTORE_TEST_CHILD=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Run())
	require.Empty(t, stderr.String())
}
