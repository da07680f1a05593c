package redisstore

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

const password = "very-secret-password"

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	const url = "rediss://user:" + password + "@redis.example.no:6379/0"
	keys := [][]byte{testKey}
	tests := map[string]struct {
		config Config
		says   []string
	}{
		"nothing":           {Config{}, []string{"URL or Client", "EncryptionKeys is required"}},
		"URL and Client":    {Config{URL: url, Client: newClient(t, redis.Options{ContextTimeoutEnabled: true}), EncryptionKeys: keys}, []string{"exclude each other"}},
		"no Redis URL":      {Config{URL: "https://user:" + password + "@redis.example.no", EncryptionKeys: keys}, []string{"rediss://"}},
		"no URL":            {Config{URL: "rediss://%zz:" + password + "@\x00", EncryptionKeys: keys}, []string{"rediss://"}},
		"unknown option":    {Config{URL: url + "?x=" + password, EncryptionKeys: keys}, []string{"rediss://"}},
		"unverified TLS":    {Config{URL: url + "?skip_verify=true", EncryptionKeys: keys}, []string{"skip_verify"}},
		"plaintext":         {Config{URL: "redis://:" + password + "@redis:6379", EncryptionKeys: keys}, []string{"AllowPlaintext"}},
		"plaintext address": {Config{URL: "redis://10.0.0.1:6379", EncryptionKeys: keys}, []string{"AllowPlaintext"}},
		"TLS for nothing":   {Config{URL: "redis://127.0.0.1:6379", TLS: &tls.Config{}, EncryptionKeys: keys}, []string{"TLS"}},
		"deaf client":       {Config{Client: newClient(t, redis.Options{}), EncryptionKeys: keys}, []string{"ContextTimeoutEnabled"}},
		"deaf cluster":      {Config{Client: newCluster(t, redis.ClusterOptions{}), EncryptionKeys: keys}, []string{"ContextTimeoutEnabled"}},
		"ring":              {Config{Client: newRing(t), EncryptionKeys: keys}, []string{"Ring"}},
		"prefix with space": {Config{URL: url, KeyPrefix: "a b", EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"prefix with brace": {Config{URL: url, KeyPrefix: "{a}", EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"prefix not ASCII":  {Config{URL: url, KeyPrefix: "æ:", EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"prefix too long":   {Config{URL: url, KeyPrefix: strings.Repeat("a", 65), EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"timeout too short": {Config{URL: url, Timeout: time.Millisecond, EncryptionKeys: keys}, []string{"Timeout"}},
		"timeout too long":  {Config{URL: url, Timeout: time.Minute, EncryptionKeys: keys}, []string{"Timeout"}},
		"timeout negative":  {Config{URL: url, Timeout: -1, EncryptionKeys: keys}, []string{"Timeout"}},
		"key too short":     {Config{URL: url, EncryptionKeys: [][]byte{testKey, testKey[:16]}}, []string{"EncryptionKeys[1] has 16 bytes"}},
		"key empty":         {Config{URL: url, EncryptionKeys: [][]byte{nil}}, []string{"EncryptionKeys[0] has 0 bytes"}},
		"key twice":         {Config{URL: url, EncryptionKeys: [][]byte{testKey, otherKey, testKey}}, []string{"EncryptionKeys[2] is the same as EncryptionKeys[0]"}},
		"key of zeros":      {Config{URL: url, EncryptionKeys: [][]byte{make([]byte, 32)}}, []string{"EncryptionKeys[0]", "random"}},
		"too many keys":     {Config{URL: url, EncryptionKeys: manyKeys(9)}, []string{"9 keys"}},
		"all at once":       {Config{KeyPrefix: " ", Timeout: -1}, []string{"URL", "EncryptionKeys", "KeyPrefix", "Timeout"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(test.config)
			require.ErrorIs(t, err, ErrConfig)
			for _, text := range test.says {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), password)
			require.NotContains(t, err.Error(), string(testKey))
		})
	}
}

func manyKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = append(bytes.Clone(testKey[1:]), byte(i))
	}
	return keys
}

func TestConfigAccepted(t *testing.T) {
	t.Parallel()
	keys := [][]byte{testKey}
	for name, config := range map[string]Config{
		"TLS":                 {URL: "rediss://user:secret@redis.example.no:6379/1", EncryptionKeys: keys},
		"TLS refined":         {URL: "rediss://redis.example.no", TLS: &tls.Config{}, EncryptionKeys: keys},
		"loopback":            {URL: "redis://127.0.0.1:6379", EncryptionKeys: keys},
		"localhost":           {URL: "redis://localhost", EncryptionKeys: keys},
		"IPv6 loopback":       {URL: "redis://[::1]:6379", EncryptionKeys: keys},
		"socket":              {URL: "unix:///run/redis.sock", EncryptionKeys: keys},
		"plaintext permitted": {URL: "redis://redis:6379", AllowPlaintext: true, EncryptionKeys: keys},
		"eight keys":          {URL: "redis://127.0.0.1", EncryptionKeys: manyKeys(8)},
		"client":              {Client: newClient(t, redis.Options{ContextTimeoutEnabled: true}), EncryptionKeys: keys},
		"cluster":             {Client: newCluster(t, redis.ClusterOptions{ContextTimeoutEnabled: true}), EncryptionKeys: keys},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := New(config)
			require.NoError(t, err)
			require.NoError(t, store.Close())
			require.NoError(t, store.Close(), "twice is once")
		})
	}
	t.Run("an API needs no keys", func(t *testing.T) {
		t.Parallel()
		replays, err := NewReplays(Config{URL: "redis://127.0.0.1"})
		require.NoError(t, err)
		require.NoError(t, replays.Close())
		_, err = NewReplays(Config{})
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("TLS checks the name", func(t *testing.T) {
		t.Parallel()
		options, err := Config{URL: "rediss://redis.example.no", TLS: &tls.Config{}}.options()
		require.NoError(t, err)
		require.Equal(t, "redis.example.no", options.TLSConfig.ServerName)
	})
}

// A client of the caller's is the caller's.
func TestCallersClientStaysOpen(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.socket, ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := New(Config{Client: client, EncryptionKeys: [][]byte{testKey}})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	require.NoError(t, store.Close())
	require.NoError(t, client.Ping(t.Context()).Err())
}

// Printed or logged, the configuration says nothing.
func TestConfigDoesNotPrint(t *testing.T) {
	t.Parallel()
	config := Config{URL: "rediss://user:" + password + "@redis.example.no", EncryptionKeys: [][]byte{testKey}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", config, "pointer", &config)
	asJSON, err := json.Marshal(struct{ Config Config }{config})
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(config), fmt.Sprintf("%+v %#v %s %q %x %d", config, config, config, config, config, config),
		fmt.Sprintf("%v %+v", &config, &config), fmt.Sprintf("%v", struct{ C Config }{config}), log.String(), string(asJSON),
	} {
		require.NotContains(t, text, password)
		require.NotContains(t, text, "a key of tests")
		require.NotContains(t, text, fmt.Sprintf("%x", password))
		require.NotContains(t, text, strings.Trim(fmt.Sprint(testKey[:4]), "[]"))
		require.Contains(t, text, "[redacted]")
	}
}

func newClient(t *testing.T, options redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newCluster(t *testing.T, options redis.ClusterOptions) *redis.ClusterClient {
	t.Helper()
	options.Addrs = []string{"127.0.0.1:1"}
	client := redis.NewClusterClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newRing(t *testing.T) *redis.Ring {
	t.Helper()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = ring.Close() })
	return ring
}
