//go:build nginx

// These tests need nginx, with HTTP/2: go test -tags nginx -run Nginx .

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/middleware"
)

// nginxConfig runs in the foreground, unprivileged, with all its files in one folder.
const nginxConfig = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events {}
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s http2;
		location / {
			grpc_pass grpc://%[3]s;
			grpc_set_header X-Forwarded-Host $http_host;
			grpc_set_header X-Forwarded-Proto $scheme;
		}
	}
}
`

// startNginx puts nginx before the server and returns its address.
func startNginx(t *testing.T, server string) string {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx" // which is not on everybody's path
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	folder := t.TempDir()
	file := filepath.Join(folder, "nginx.conf")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, nginxConfig, folder, address, server), 0o600))
	var complaints bytes.Buffer
	command := exec.Command(binary, "-p", folder, "-c", file, "-e", "stderr")
	command.Stderr = &complaints
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(complaints.String())
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	return address
}

// Behind nginx, a proof is for the address that clients use, and refusals get through
// with their challenge, nonce and reason.
func TestNginx(t *testing.T) {
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{})
	require.NoError(t, err)
	trusting := func(c *middleware.Config) {
		c.TrustedProxies, c.Proof.Nonces = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nonces
	}
	w := newWorld(t, "grpc", worldOptions{config: trusting})
	inside := strings.TrimPrefix(w.url, "http://")
	w.url = "http://" + startNginx(t, inside)
	api := w.newClient()
	found, err := api.caller(t.Context())
	require.NoError(t, err)
	require.Equal(t, organization, found.Organization)
	size, err := api.upload(t.Context(), bytes.NewReader(make([]byte, 1<<20)))
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, size)
	var events []string
	require.NoError(t, api.events(t.Context(), func(event event) { events = append(events, event.Text) }))
	require.Len(t, events, 3)
	require.Equal(t, "proof_nonce", w.log()[0].Reason)

	refusing := newWorld(t, "grpc", worldOptions{config: trusting, everybody: middleware.SecurityLevel(4)})
	refusing.url = "http://" + startNginx(t, strings.TrimPrefix(refusing.url, "http://"))
	_, err = refusing.newClient().caller(t.Context())
	var refused *grpccredentials.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "user", refused.Reason)

	// The same call with a proof for the address inside.
	request := w.newRequest("/caller")
	w.helseid.Authorize(request, w.helseid.Token())
	request.URL.Host = strings.TrimPrefix(w.url, "http://")
	request.Header.Set("DPoP", w.helseid.Proof("POST", "http://"+inside+request.URL.Path, strings.TrimPrefix(request.Header.Get("Authorization"), "DPoP ")))
	require.Equal(t, "proof_htu", w.send(request).Header.Get("Reason"))
}
