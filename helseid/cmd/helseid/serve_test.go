package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// Somebody who has the program and its help alone gets from an empty folder to a
// successful call in five commands, each of which the help shows.
func TestFromAnEmptyFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := runIn(t, folder, nil, nil, "-h")
	require.Equal(t, 0, first.exit)
	for _, step := range []string{"helseid serve -write client.json", "helseid token", "helseid call http://127.0.0.1:8181/api/echo"} {
		require.Contains(t, first.stdout, step)
	}
	second := runIn(t, folder, nil, nil, "serve", "-h")
	require.Contains(t, second.stdout, "helseid serve -write client.json")
	third := begin(t, folder, nil, "serve", "-write", "client.json", "-listen", "127.0.0.1:0") // another port than the help's, which may be in use
	issuer, found := strings.CutPrefix(third.next(), "listening on ")
	require.True(t, found)
	for !strings.Contains(third.next(), "helseid call") {
		continue // until all is written
	}
	content, err := os.ReadFile(filepath.Join(folder, "client.json"))
	require.NoError(t, err)
	rememberKeys(t, content)
	fourth := runIn(t, folder, nil, nil, "token")
	require.Equal(t, 0, fourth.exit, fourth.stderr)
	fifth := runIn(t, folder, nil, nil, "call", issuer+"/api/echo")
	require.Equal(t, 0, fifth.exit, fifth.stderr)
	require.Contains(t, fifth.stdout, `"nhn:demo-api/read"`)
	require.Equal(t, 0, third.stop())
}

// A client in another container trusts the authority that the server has written.
func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := begin(t, folder, nil, "serve", "-json", "-tls", "-ca", "ca.pem", "-write", "client.json", "-listen", "localhost:0")
	issuer := p.event()["issuer"].(string)
	require.True(t, strings.HasPrefix(issuer, "https://localhost:"))
	require.Equal(t, "client", p.event()["event"])
	got := runIn(t, folder, []string{"SSL_CERT_FILE=ca.pem"}, nil, "call", issuer+"/api/echo")
	require.Equal(t, 0, got.exit, got.stderr)
	require.NotContains(t, got.stderr, "plain http")
	got = runIn(t, folder, nil, nil, "call", issuer+"/api/echo")
	require.Equal(t, 1, got.exit)
	require.Contains(t, got.stderr, "certificate")
	require.Equal(t, 0, p.stop())
}

// A container publishes its port on the loopback address of its host.
func TestServeInContainer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	folder := t.TempDir()
	environment := []string{"HELSEID_LISTEN=0.0.0.0:" + port, "HELSEID_PUBLIC_URL=http://localhost:" + port, "HELSEID_WRITE=client.json", "HELSEID_JSON=true"}
	p := begin(t, folder, environment, "serve", "-allow-remote")
	listening := p.event()
	require.Equal(t, "http://localhost:"+port, listening["issuer"])
	require.Equal(t, "client", p.event()["event"])
	got := runIn(t, folder, nil, nil, "call", listening["api"].(string))
	require.Equal(t, 0, got.exit, got.stderr)
	require.Equal(t, 0, p.stop())
}

func TestServeUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environment []string
		arguments   []string
		exit        int
	}{
		"an argument":                {nil, []string{"x"}, 2},
		"both kinds of clients":      {nil, []string{"-clients", "x", "-multi-tenant"}, 2},
		"both files":                 {nil, []string{"-clients", "x", "-write", "y"}, 2},
		"no such file":               {nil, []string{"-clients", "nothing", "-listen", "127.0.0.1:0"}, 2},
		"all addresses":              {nil, []string{"-listen", "0.0.0.0:0"}, 2},
		"all addresses by variables": {[]string{"HELSEID_ALLOW_REMOTE=true"}, []string{"-listen", "0.0.0.0:0", "-public-url", "http://localhost:1"}, 2},
		"HelseID's own address":      {nil, []string{"-listen", "127.0.0.1:0", "-public-url", "https://helseid-sts.nhn.no"}, 2},
		"no such key":                {nil, []string{"-test-token-key-file", "nothing"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, test.environment, nil, append([]string{"serve"}, test.arguments...)...)
			require.Equal(t, test.exit, got.exit, got.stderr)
			require.Empty(t, got.stdout)
			require.NotRegexp(t, "field|AllowRemote|PublicURL|File|desk:", got.stderr, "it names flags")
		})
	}
}

// Who tries serve where a client of HelseID's lives keeps that client's key.
func TestServeReplacesNoClient(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "client.json")
	precious := []byte(`{"authority":"https://helseid-sts.test.nhn.no","clientId":"a","privateJwk":{}}`)
	require.NoError(t, os.WriteFile(path, precious, 0o600))
	got := runIn(t, folder, nil, nil, "serve", "-write", "client.json", "-listen", "127.0.0.1:0")
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stderr, "client.json is there, and no earlier run has written it")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, precious, content)
}

// The file of a server that runs stays, and what it has printed goes on to work.
func TestServeReplacesNoRunningClient(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, line := range map[string][]string{"http.json": nil, "https.json": {"-tls"}} {
		line = append([]string{"serve", "-json", "-write", name, "-listen", "127.0.0.1:0"}, line...)
		p := begin(t, folder, nil, line...)
		issuer := p.event()["issuer"].(string)
		require.Equal(t, "client", p.event()["event"])
		before, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		rememberKeys(t, before)
		got := runIn(t, folder, nil, nil, line...)
		require.Equal(t, 2, got.exit)
		require.Contains(t, got.stderr, name+" is there: it is for the server at "+issuer+", which is running")
		after, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Equal(t, 0, p.stop())
		q := begin(t, folder, nil, line...)
		require.Equal(t, "listening", q.event()["event"])
		require.Equal(t, "client", q.event()["event"], "that server is gone")
		require.Equal(t, 0, q.stop())
	}
}

// A vendor tries calls for an organisation with the line that is printed.
func TestServeMultiTenant(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := begin(t, folder, nil, "serve", "-write", "client.json", "-multi-tenant", "-listen", "127.0.0.1:0")
	line := p.next()
	for !strings.Contains(line, "helseid call") {
		line = p.next()
	}
	content, err := os.ReadFile(filepath.Join(folder, "client.json"))
	require.NoError(t, err)
	rememberKeys(t, content)
	got := runIn(t, folder, nil, nil, strings.Fields(line)[1:]...)
	require.Equal(t, 0, got.exit, got.stderr)
	for _, part := range []string{`"994598759"`, `"999977775"`} {
		require.Contains(t, got.stdout, part)
	}
	require.Contains(t, line, "-parent 994598759 -child 999977775")
	got = runIn(t, folder, nil, nil, "token", "-parent", "910000004")
	require.Contains(t, got.stderr, "HID-1001")
	require.Equal(t, 0, p.stop())
}

// With a file of clients it says what it has read, and how to call as one of them.
func TestServeClients(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	client := server.ConfigFile(helseidtest.Scopes("nhn:demo-api/read"))
	rememberKeys(t, client)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "client.json"), client, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "clients.json"), []byte(`{"clients":[`+string(client)+`]}`), 0o600))
	p := begin(t, folder, nil, "serve", "-clients", "clients.json", "-listen", "127.0.0.1:0")
	issuer, _ := strings.CutPrefix(p.next(), "listening on ")
	line := p.next()
	for !strings.Contains(line, "clients.json has") {
		line = p.next()
	}
	require.Equal(t, "clients.json has 1 client, 0 users and 0 APIs", line)
	require.Contains(t, p.next(), "whose authority is "+issuer)
	line = strings.Replace(p.next(), "FILE", "client.json", 1)
	require.Contains(t, line, "helseid call -config client.json "+issuer+"/api/echo")
	got := runIn(t, folder, []string{"HELSEID_ISSUER=" + issuer}, nil, strings.Fields(line)[1:]...)
	require.Equal(t, 0, got.exit, got.stderr)
	require.Equal(t, 0, p.stop())
}

func TestServeReadsKey(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "key"), []byte("the-key-of-tests\n"), 0o600))
	p := begin(t, folder, nil, "serve", "-json", "-listen", "127.0.0.1:0", "-test-token-key-file", "key", "-api", "")
	listening := p.event()
	require.Equal(t, "the-key-of-tests", listening["test_token_key"])
	require.NotContains(t, listening, "api")
	request, err := http.NewRequestWithContext(t.Context(), "POST", listening["test_tokens"].(string), strings.NewReader(`{"issuerEnvironment":0,"audience":"nhn:demo-api"}`))
	require.NoError(t, err)
	request.Header.Set("X-Auth-Key", "the-key-of-tests")
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, 0, p.stop())
}
