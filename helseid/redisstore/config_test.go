package redisstore

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/identity"
)

const password = "very-secret-password"

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	const url = "rediss://user:" + password + "@redis.example.no:6379/0"
	keys := inBase64(testKey)
	tests := map[string]struct {
		config Config
		says   []string
	}{
		"nothing":           {Config{}, []string{"URL or Client", "EncryptionKeys is required"}},
		"URL and Client":    {Config{URL: identity.NewSecret(url), Client: newClient(t, redis.Options{ContextTimeoutEnabled: true}), EncryptionKeys: keys}, []string{"exclude each other"}},
		"no Redis URL":      {Config{URL: identity.NewSecret("https://user:" + password + "@redis.example.no"), EncryptionKeys: keys}, []string{"rediss://"}},
		"no URL":            {Config{URL: identity.NewSecret("rediss://%zz:" + password + "@\x00"), EncryptionKeys: keys}, []string{"rediss://"}},
		"unknown option":    {Config{URL: identity.NewSecret(url + "?x=" + password), EncryptionKeys: keys}, []string{"rediss://"}},
		"unverified TLS":    {Config{URL: identity.NewSecret(url + "?skip_verify=true"), EncryptionKeys: keys}, []string{"skip_verify"}},
		"plaintext":         {Config{URL: identity.NewSecret("redis://:" + password + "@redis:6379"), EncryptionKeys: keys}, []string{"AllowPlaintext"}},
		"plaintext address": {Config{URL: identity.NewSecret("redis://10.0.0.1:6379"), EncryptionKeys: keys}, []string{"AllowPlaintext"}},
		"TLS for nothing":   {Config{URL: identity.NewSecret("redis://127.0.0.1:6379"), TLS: &tls.Config{}, EncryptionKeys: keys}, []string{"TLS"}},
		"any certificate":   {Config{URL: identity.NewSecret(url), TLS: &tls.Config{InsecureSkipVerify: true}, EncryptionKeys: keys}, []string{"TLS", "RootCAs"}},
		"client of any certificate": {Config{Client: newClient(t, redis.Options{
			Addr: "redis.example.no:6379", ContextTimeoutEnabled: true, TLSConfig: &tls.Config{InsecureSkipVerify: true},
		}), EncryptionKeys: keys}, []string{"Client", "RootCAs"}},
		"cluster of any certificate": {Config{Client: newCluster(t, redis.ClusterOptions{
			Addrs: []string{"127.0.0.1:1", "redis.example.no:6379"}, ContextTimeoutEnabled: true, TLSConfig: &tls.Config{InsecureSkipVerify: true},
		}), EncryptionKeys: keys}, []string{"Client", "RootCAs"}},
		"deaf client":       {Config{Client: newClient(t, redis.Options{}), EncryptionKeys: keys}, []string{"ContextTimeoutEnabled"}},
		"deaf cluster":      {Config{Client: newCluster(t, redis.ClusterOptions{}), EncryptionKeys: keys}, []string{"ContextTimeoutEnabled"}},
		"ring":              {Config{Client: newRing(t), EncryptionKeys: keys}, []string{"Ring"}},
		"prefix with space": {Config{URL: identity.NewSecret(url), KeyPrefix: "a b", EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"prefix with brace": {Config{URL: identity.NewSecret(url), KeyPrefix: "{a}", EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"prefix not ASCII":  {Config{URL: identity.NewSecret(url), KeyPrefix: "æ:", EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"prefix too long":   {Config{URL: identity.NewSecret(url), KeyPrefix: strings.Repeat("a", 65), EncryptionKeys: keys}, []string{"KeyPrefix"}},
		"timeout too short": {Config{URL: identity.NewSecret(url), Timeout: time.Millisecond, EncryptionKeys: keys}, []string{"Timeout"}},
		"timeout too long":  {Config{URL: identity.NewSecret(url), Timeout: time.Minute, EncryptionKeys: keys}, []string{"Timeout"}},
		"timeout negative":  {Config{URL: identity.NewSecret(url), Timeout: -1, EncryptionKeys: keys}, []string{"Timeout"}},
		"session timeout":   {Config{URL: identity.NewSecret(url), SessionTimeout: time.Minute, EncryptionKeys: keys}, []string{"SessionTimeout"}},
		"session too short": {Config{URL: identity.NewSecret(url), SessionTimeout: time.Millisecond, EncryptionKeys: keys}, []string{"SessionTimeout"}},
		"key too short":     {Config{URL: identity.NewSecret(url), EncryptionKeys: inBase64(testKey, testKey[:16])}, []string{"EncryptionKeys[1] has 16 bytes"}},
		"key not Base64":    {Config{URL: identity.NewSecret(url), EncryptionKeys: []identity.Secret{identity.NewSecret(string(testKey))}}, []string{"EncryptionKeys[0] is not Base64", "openssl"}},
		"key in hex":        {Config{URL: identity.NewSecret(url), EncryptionKeys: []identity.Secret{identity.NewSecret(hex.EncodeToString(testKey))}}, []string{"EncryptionKeys[0] has 48 bytes"}},
		"key empty":         {Config{URL: identity.NewSecret(url), EncryptionKeys: inBase64(nil)}, []string{"EncryptionKeys[0] has 0 bytes"}},
		"key twice":         {Config{URL: identity.NewSecret(url), EncryptionKeys: inBase64(testKey, otherKey, testKey)}, []string{"EncryptionKeys[2] is the same as EncryptionKeys[0]"}},
		"key of zeros":      {Config{URL: identity.NewSecret(url), EncryptionKeys: inBase64(make([]byte, 32))}, []string{"EncryptionKeys[0]", "random"}},
		"too many keys":     {Config{URL: identity.NewSecret(url), EncryptionKeys: manyKeys(9)}, []string{"9 keys"}},
		"all at once":       {Config{KeyPrefix: " ", Timeout: -1, SessionTimeout: -1}, []string{"URL", "EncryptionKeys", "KeyPrefix", "field Timeout", "SessionTimeout"}},
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
			require.NotContains(t, err.Error(), inBase64(testKey)[0].Reveal()[:20])
		})
	}
}

func manyKeys(n int) []identity.Secret {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = append(bytes.Clone(testKey[1:]), byte(i))
	}
	return inBase64(keys...)
}

func TestConfigAccepted(t *testing.T) {
	t.Parallel()
	keys := inBase64(testKey)
	for name, config := range map[string]Config{
		"TLS":             {URL: identity.NewSecret("rediss://user:secret@redis.example.no:6379/1"), EncryptionKeys: keys},
		"TLS on loopback": {URL: identity.NewSecret("rediss://127.0.0.1"), TLS: &tls.Config{InsecureSkipVerify: true}, EncryptionKeys: keys},
		"TLS with its own check": {URL: identity.NewSecret("rediss://redis.example.no"), EncryptionKeys: keys, TLS: &tls.Config{
			InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil },
		}},
		"client on loopback": {Client: newClient(t, redis.Options{
			Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true, TLSConfig: &tls.Config{InsecureSkipVerify: true},
		}), EncryptionKeys: keys},
		"TLS refined":         {URL: identity.NewSecret("rediss://redis.example.no"), TLS: &tls.Config{}, EncryptionKeys: keys},
		"loopback":            {URL: identity.NewSecret("redis://127.0.0.1:6379"), EncryptionKeys: keys},
		"localhost":           {URL: identity.NewSecret("redis://localhost"), EncryptionKeys: keys},
		"IPv6 loopback":       {URL: identity.NewSecret("redis://[::1]:6379"), EncryptionKeys: keys},
		"socket":              {URL: identity.NewSecret("unix:///run/redis.sock"), EncryptionKeys: keys},
		"plaintext permitted": {URL: identity.NewSecret("redis://redis:6379"), AllowPlaintext: true, EncryptionKeys: keys},
		"eight keys":          {URL: identity.NewSecret("redis://127.0.0.1"), EncryptionKeys: manyKeys(8)},
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
		replays, err := NewReplays(Config{URL: identity.NewSecret("redis://127.0.0.1")})
		require.NoError(t, err)
		require.NoError(t, replays.Close())
		_, err = NewReplays(Config{})
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("TLS checks the name", func(t *testing.T) {
		t.Parallel()
		options, err := Config{URL: identity.NewSecret("rediss://redis.example.no"), TLS: &tls.Config{}}.options()
		require.NoError(t, err)
		require.Equal(t, "redis.example.no", options.TLSConfig.ServerName)
	})
}

// A client of the caller's is the caller's.
func TestCallersClientStaysOpen(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.socket, ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey)})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	require.NoError(t, store.Close())
	require.NoError(t, client.Ping(t.Context()).Err())
}

// Printed or logged, the configuration says nothing.
func TestConfigDoesNotPrint(t *testing.T) {
	t.Parallel()
	config := Config{URL: identity.NewSecret("rediss://user:" + password + "@redis.example.no"), EncryptionKeys: inBase64(testKey)}
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

func newCluster(t *testing.T, options redis.ClusterOptions, addresses ...string) *redis.ClusterClient {
	t.Helper()
	if options.Addrs == nil {
		options.Addrs = append(addresses, "127.0.0.1:1")
	}
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
