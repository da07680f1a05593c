package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nginxConfig runs in the foreground, unprivileged, with all its files in one folder.
const nginxConfig = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	large_client_header_buffers 4 16k;
	server {
		listen %[2]s;
%[3]s
	}
}
`

// startNginx starts Debian's nginx with these locations on a free port of 127.0.0.1.
func (l *lab) startNginx(ctx context.Context, locations func(folder string) string) (*child, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/nginx"); err != nil { // which is not on everybody's path
			return nil, errors.New("nginx is needed: apt-get install nginx-light")
		}
	}
	folder, err := os.MkdirTemp(l.dir, "nginx-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if err := os.WriteFile(filepath.Join(folder, "answer.json"), []byte(`{"let_in":true}`), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, folder, address, locations(folder)), 0o600); err != nil {
		return nil, err
	}
	complaints := new(messages)
	cmd := exec.CommandContext(ctx, binary, "-p", folder, "-c", file, "-e", "stderr")
	cmd.Stdout, cmd.Stderr = l.log, complaints
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	server := &child{url: "http://" + address, messages: complaints, stop: func() {
		_ = cmd.Process.Kill() // fails only if it has ended already
		_ = cmd.Wait()
	}}
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // another process starts in real time
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			return server, nil
		}
	}
	server.stop()
	return nil, fmt.Errorf("nginx did not start: %s", complaints)
}

// guideConfig is a configuration that the guide about proxies shows, with another address:
// what the guide says has been run.
func guideConfig(name, shown, address string) (string, error) {
	text, err := os.ReadFile(filepath.Join("docs", "guides", "nginx", name))
	if err != nil {
		return "", fatalError{err}
	}
	if !bytes.Contains(text, []byte(shown)) {
		return "", fatalError{fmt.Errorf("%s does not name %s", name, shown)}
	}
	return strings.ReplaceAll(string(text), shown, address), nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// behindNginx publishes an API under a path prefix that nginx takes off. The path is
// passed on as it was sent: with a URI in proxy_pass, nginx would decode it.
func behindNginx(ctx context.Context, l *lab, nonces bool) (string, error) {
	const prefix = "/journal"
	auth, err := l.auth(ctx, authOptions{})
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	inner := fmt.Sprintf("127.0.0.1:%d", port)
	config, err := guideConfig("strip-prefix.conf", "127.0.0.1:8080", inner)
	if err != nil {
		return "", err
	}
	proxy, err := l.startNginx(ctx, func(string) string { return config })
	if err != nil {
		return "", fatalError{err}
	}
	defer proxy.stop()
	public := proxy.url + prefix
	api, err := l.startProgram(ctx, auth.state, nonces, flags{"listen": inner, "public-url": public})
	if err != nil {
		return "", err
	}
	defer api.stop()
	return runCheck(ctx, l, api, "proxied", checkArgs(auth, public, nonces, "--inner", api.url)...)
}

// behindForwardAuth lets nginx ask an API, by auth_request, whether requests to
// something else shall pass.
func behindForwardAuth(ctx context.Context, l *lab, nonces bool) (string, error) {
	auth, err := l.auth(ctx, authOptions{})
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	inner := fmt.Sprintf("127.0.0.1:%d", port)
	config, err := guideConfig("forward-auth.conf", "127.0.0.1:8080", inner)
	if err != nil {
		return "", err
	}
	proxy, err := l.startNginx(ctx, func(folder string) string { return strings.ReplaceAll(config, "/srv/journal", folder) })
	if err != nil {
		return "", fatalError{err}
	}
	defer proxy.stop()
	api, err := l.startProgram(ctx, auth.state, nonces, flags{
		"listen": inner, "public-url": proxy.url, "trusted-proxies": "127.0.0.0/8",
		"forward-auth": "GET /journal/{id}",
	})
	if err != nil {
		return "", err
	}
	defer api.stop()
	caller, err := newSession(ctx, l, auth)
	if err != nil {
		return "", err
	}
	paths := []string{"/journal/1", "/journal/1%2F2?a=b", "/journal/a%20b"}
	for _, path := range paths {
		if got, err := caller.call(ctx, proxy.url+path); err != nil || got.Status != http.StatusOK {
			return "", errors.Join(err, fmt.Errorf("%s: %v", path, got))
		}
	}
	before := api.tally()
	if err := challenged(ctx, proxy.url+"/journal/1"); err != nil {
		return "", err
	}
	if seen := api.tally().minus(before); seen.Refused != 1 {
		return "", fmt.Errorf("the API was not asked about a request without a token: %+v", seen)
	}
	log := api.messages.String()
	if !strings.Contains(log, `method=GET route="GET /journal/{id}"`) {
		return "", errors.New("the API's log does not name the original route")
	}
	return fmt.Sprintf("%d let in, 1 refused", len(paths)), api.clean()
}

// challenged makes a request without a token.
func challenged(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := controlClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if challenge := response.Header.Get("WWW-Authenticate"); response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(challenge, "DPoP ") {
		return fmt.Errorf("without a token: %s, challenge %q", response.Status, challenge)
	}
	return nil
}
