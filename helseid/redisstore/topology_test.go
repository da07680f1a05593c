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
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In a cluster each use concerns the node that has the key.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes, client := startCluster(t)
	store, err := New(Config{Client: client, EncryptionKeys: [][]byte{testKey}, Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	for i := range 50 {
		key := fmt.Sprint("key", i)
		require.NoError(t, store.TokenCache().Set(t.Context(), key, []byte(key), time.Minute))
		value, err := store.TokenCache().Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, key, string(value))
		use := newUse()
		require.True(t, record(t, store.Replays(), use))
		require.False(t, record(t, store.Replays(), use))
	}
	requireTable(t, store.Sessions())
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
