package redisstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
)

// In a cluster each use concerns the node that has the key.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes, client := startCluster(t)
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	for i := range 50 {
		key := fmt.Sprint("key", i)
		require.NoError(t, store.TokenCache().Save(t.Context(), key, []byte(key), time.Now().Add(time.Minute)))
		value, err := store.TokenCache().Load(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, key, string(value))
		use := newUse()
		require.True(t, record(t, store.Replays(), use))
		require.False(t, record(t, store.Replays(), use))
	}
	requireTable(t, store.Rows())
	for _, node := range nodes {
		require.NotEmpty(t, node.keys(t), "the keys are spread")
	}

	// A client for a single server finds that it has a node of a cluster.
	single := newStore(t, "redis://127.0.0.1:"+strconv.Itoa(nodes[0].port))
	for range 20 {
		if _, err := single.Replays().Record(t.Context(), newUse()); err != nil {
			require.ErrorContains(t, err, "ClusterClient")
			return
		}
	}
	t.Fatal("a node took keys that are another's")
}

// With Sentinel a replica takes over from a server that has died: what it has
// copied is there, used proofs are not let in again, and new ones are once nobody
// can have used them before.
func TestSentinel(t *testing.T) {
	t.Parallel()
	const name = "helseid"
	first := startServerOn(t, freePort(t), "--repl-diskless-sync-delay", "0")
	second := startServerOn(t, freePort(t), "--replicaof", "127.0.0.1 "+strconv.Itoa(first.port))
	replicated := func() bool {
		role, _ := second.do(t, "ROLE").([]any)
		return len(role) > 3 && role[3] == "connected"
	}
	require.Eventually(t, replicated, 20*time.Second, 20*time.Millisecond)
	sentinel := startSentinel(t, name, first, second)
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: name, SentinelAddrs: []string{"127.0.0.1:" + strconv.Itoa(sentinel.port)}, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	require.NoError(t, store.TokenCache().Save(t.Context(), "key", []byte("token"), time.Now().Add(time.Hour)))
	use := newUse()
	require.True(t, record(t, store.Replays(), use))
	require.Eventually(t, func() bool { return len(second.keys(t)) == len(first.keys(t)) }, 20*time.Second, 20*time.Millisecond)
	// Sentinel fails over to a replica that it has heard of its copy.
	require.Eventually(t, func() bool {
		return strings.Contains(fmt.Sprint(sentinel.do(t, "SENTINEL", "REPLICAS", name)), "master-link-status:ok")
	}, 30*time.Second, 20*time.Millisecond)

	first.kill()
	deadline := time.Now().Add(time.Minute)
	for err = nil; !isDoubt(err); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "the replica does not take over")
		for _, asked := range []dpop.Use{use, newUse()} {
			var firstUse bool
			firstUse, err = store.Replays().Record(t.Context(), asked)
			require.False(t, firstUse)
			if err != nil {
				require.ErrorIs(t, err, ErrUnavailable)
			}
		}
	}
	require.NoError(t, store.Check(t.Context()))
	value, err := store.TokenCache().Load(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, "token", string(value))
	requireDoubt(t, store.Replays(), use)
}

// startSentinel starts one that watches a server and its replica.
func startSentinel(t *testing.T, name string, watched, replica *server) *server {
	t.Helper()
	var configuration strings.Builder
	for _, line := range []string{
		fmt.Sprintf("monitor %s 127.0.0.1 %d 1", name, watched.port),
		fmt.Sprintf("known-replica %s 127.0.0.1 %d", name, replica.port),
		fmt.Sprintf("down-after-milliseconds %s 1000", name),
	} {
		configuration.WriteString("sentinel " + line + "\n")
	}
	return startConfigured(t, configuration.String(), freePort(t), "--sentinel")
}

// Over TLS the server's certificate is checked.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := writeCertificate(t, dir)
	port := freePort(t)
	server := startServer(t, "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no", "--requirepass", password,
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"))
	require.NotNil(t, server)
	url := fmt.Sprintf("rediss://:%s@127.0.0.1:%d", password, port)

	store := newStore(t, url, func(c *Config) { c.TLS = &tls.Config{RootCAs: authority} })
	require.NoError(t, store.Check(t.Context()))
	require.True(t, record(t, store.Replays(), newUse()))
	for name, change := range map[string]func(*Config){
		"unknown authority": func(*Config) {},
		"another name":      func(c *Config) { c.TLS = &tls.Config{RootCAs: authority, ServerName: "redis.example.no"} },
	} {
		t.Run(name, func(t *testing.T) {
			err := newStore(t, url, change).Check(t.Context())
			require.ErrorIs(t, err, ErrUnavailable)
			require.ErrorContains(t, err, "certificate")
			require.NotContains(t, err.Error(), password)
		})
	}
}

// writeCertificate makes a certificate for 127.0.0.1 that signs itself.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	parsed, err := x509.ParseCertificate(certificate)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}
