package main_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// through sends a request to a proxy.
func through(t *testing.T, address, secret string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "POST", address+"/echo", strings.NewReader("hello"))
	require.NoError(t, err)
	request.Header.Set("X-Proxy-Secret", secret)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

func TestProxy(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	p := begin(t, t.TempDir(), []string{"HELSEID_CONFIG=" + api.file}, "proxy", "-json", "-v", "-target", api.url)
	listening := p.event()
	require.Equal(t, "listening", listening["event"])
	require.Equal(t, api.url, listening["target"])
	address, secret := listening["url"].(string), listening["secret"].(string)
	require.GreaterOrEqual(t, len(secret), 26)
	status, body := through(t, address, secret)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "hello", body)
	require.Equal(t, map[string]any{"event": "request", "method": "POST", "path": "/echo", "status": 200.0}, p.event())
	status, _ = through(t, address, "other")
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, 0, p.stop())
	_, err := http.DefaultTransport.RoundTrip(must(http.NewRequestWithContext(t.Context(), "GET", address, nil)))
	require.Error(t, err, "it has stopped")
}

func must(request *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return request
}

// A secret of one's own is not printed.
func TestProxySecretFile(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "secret"), []byte("a-secret-of-the-test\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "short"), []byte("short"), 0o600))
	p := begin(t, folder, nil, "proxy", "-config", api.file, "-target", api.url, "-secret-file", "secret")
	line := p.next()
	require.True(t, strings.HasPrefix(line, "listening on http://127.0.0.1:"), line)
	address := strings.Fields(line)[2]
	status, _ := through(t, address, "a-secret-of-the-test")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 0, p.stop())
	require.Empty(t, p.lines)
	require.NotContains(t, p.stderr.String(), "a-secret-of-the-test")

	for _, arguments := range [][]string{
		{"-target", api.url, "-secret-file", "short"}, {"-target", api.url, "-secret-file", "nothing"}, {},
		{"-target", "http://api.example.no"}, {"-target", api.url, "-listen", "0.0.0.0:0"}, {"-target", api.url, "-listen", "127.0.0.1"},
		{"-target", api.url, "argument"}, {"-target", api.url, "-parent", "1"},
	} {
		got := runIn(t, folder, nil, nil, append([]string{"proxy", "-config", api.file}, arguments...)...)
		require.Equal(t, 2, got.exit, got.stderr)
		require.Empty(t, got.stdout)
	}
}

// While there is no token, the answers say why.
func TestProxyWithoutToken(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	p := begin(t, t.TempDir(), nil, "proxy", "-config", api.file, "-target", api.url, "-scope", "nhn:demo-api/write")
	address := strings.Fields(p.next())[2]
	secret := strings.TrimPrefix(p.next(), "requests must have the header X-Proxy-Secret: ")
	status, body := through(t, address, secret)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, body, "invalid_scope")
	require.Equal(t, 0, p.stop())
	require.Contains(t, p.stderr.String(), "there is no token yet")
}
