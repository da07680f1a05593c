package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

const (
	audience = "nhn:demo-api"
	scope    = "nhn:demo-api/read"
)

var (
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
)

// buffer is written to by the program while the test reads it.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// program is the example while it runs.
type program struct {
	testing.TB
	server *helseidtest.Server
	url    string
	stderr *buffer
}

// start runs the program against a server until the test ends, and then checks
// how it ended and what it wrote.
func start(t *testing.T, server *helseidtest.Server, args ...string) *program {
	t.Helper()
	reader, writer := io.Pipe()
	p := &program{TB: t, server: server, stderr: &buffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), writer, p.stderr)
		_ = writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	require.NoError(t, err, p.stderr.String())
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	var ok bool
	p.url, ok = strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, ok, "the first line is %q", line)
	t.Cleanup(func() {
		cancel()
		require.Zero(t, <-ended)
		_, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		require.Error(t, err, "it still listens")
		require.NotRegexp(t, jwsLike, p.stderr.String())
		require.NotRegexp(t, identityNumber, p.stderr.String())
	})
	return p
}

// call sends a request with a token, and a proof for what is public.
func (p *program) call(method, path, public string, token []mint.TokenOption, proof ...mint.ProofOption) (*http.Response, map[string]any) {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), method, p.url+path, nil)
	require.NoError(p, err)
	request.URL.RawPath, request.URL.Opaque = "", path // as it is, on the wire
	if public == "" {
		public = p.url + path
	}
	if token != nil {
		accessToken := p.server.Token(append([]mint.TokenOption{mint.Audience(audience), mint.Scopes(scope)}, token...)...)
		proof = append([]mint.ProofOption{mint.ProofClaim("htu", public)}, proof...)
		request.Header.Set("Authorization", "DPoP "+accessToken)
		request.Header.Set("DPoP", p.server.Proof(method, public, accessToken, proof...))
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(p, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(p, err)
	require.NoError(p, response.Body.Close())
	require.NotRegexp(p, identityNumber, string(body))
	var document map[string]any
	if strings.Contains(response.Header.Get("Content-Type"), "json") && len(body) > 0 {
		require.NoError(p, json.Unmarshal(body, &document), string(body))
	}
	return response, document
}

func system() []mint.TokenOption { return []mint.TokenOption{} }

func clinician(options ...mint.TokenOption) []mint.TokenOption {
	return append([]mint.TokenOption{mint.Clinician()}, options...)
}

// The routes let in whom the contract says.
func TestRoutes(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	p := start(t, server, "-issuer", server.Issuer())
	for _, test := range []struct {
		name, method, path string
		token              []mint.TokenOption
		status             int
	}{
		{"health", "GET", "/healthz", nil, 200},
		{"no token", "GET", "/machine", nil, 401},
		{"a system", "GET", "/machine", system(), 200},
		{"a system, another method", "DELETE", "/machine", system(), 200},
		{"a user", "POST", "/machine", clinician(), 200},
		{"another scope", "GET", "/machine", []mint.TokenOption{mint.Scopes("nhn:demo-api/write")}, 403},
		{"another audience", "GET", "/machine", []mint.TokenOption{mint.Audience("nhn:other")}, 401},
		{"a clinician", "GET", "/practitioner", clinician(), 200},
		{"a clinician at level 3", "GET", "/practitioner", clinician(mint.SecurityLevel(3)), 401},
		{"a user without HPR number", "GET", "/practitioner", clinician(mint.HPRNumber("")), 403},
		{"a system as a clinician", "GET", "/practitioner", system(), 403},
		{"a clinician without scope", "GET", "/practitioner", clinician(mint.Scopes()), 403},
		{"an organisation", "GET", "/organisation", system(), 200},
		{"no organisation", "GET", "/organisation", []mint.TokenOption{mint.Organization("", "", "")}, 403},
		{"an organisation without scope", "GET", "/organisation", []mint.TokenOption{mint.Scopes("x")}, 403},
		{"a file", "GET", "/files/a/b.txt", system(), 200},
		{"a file with a query", "PUT", "/files/a?b=c", system(), 200},
		{"a double slash", "GET", "/files//x", system(), 200},
		{"dot dot", "GET", "/files/../x", system(), 200},
		{"an encoded slash", "GET", "/files/a%2Fb", system(), 200},
		{"a file without token", "GET", "/files/a", nil, 401},
		{"a double slash without token", "GET", "/files//x", nil, 401},
		{"dot dot without token", "GET", "/files/../x", nil, 401},
		{"dot dot to an open route", "GET", "/files/../healthz", nil, 401},
		{"encoded files without token", "GET", "/%66iles/x", nil, 401},
		{"a dot before files", "GET", "/./files/x", nil, 401},
		{"out of an open route to files", "GET", "/healthz/../files/x", nil, 401},
		{"a file without scope", "GET", "/files/x", []mint.TokenOption{mint.Scopes("x")}, 403},
		{"nothing", "GET", "/nothing", system(), 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, _ := p.call(test.method, test.path, "", test.token)
			require.Equal(t, test.status, response.StatusCode, response.Header.Get("WWW-Authenticate"))
		})
	}
}

// The answer has the form of the contract, with the national identity number
// masked.
func TestAnswer(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	p := start(t, server, "-issuer", server.Issuer())
	_, body := p.call("GET", "/practitioner", "", clinician(mint.Organization("994598759", "999977775", "987654325"), mint.Claim("auth_time", 1700000000)))
	user := body["user"].(map[string]any)
	require.Equal(t, "***********", user["personal_identity_number"])
	require.Equal(t, mint.DefaultHPRNumber, user["hpr_number"])
	require.Equal(t, "high", user["assurance_level"])
	require.EqualValues(t, 4, user["security_level"])
	require.Equal(t, "KVART GREVLING", user["name"])
	require.Equal(t, map[string]any{"parent": "994598759", "child": "999977775", "supplier": "987654325"}, body["organization"])
	require.Equal(t, []any{scope}, body["scopes"])
	require.Equal(t, []any{audience}, body["audience"])
	require.Equal(t, "helseidtest-client", body["client_id"])

	_, body = p.call("GET", "/machine", "", []mint.TokenOption{mint.Organization("", "", "")})
	require.Contains(t, body, "user")
	require.Nil(t, body["user"])
	require.Contains(t, body, "organization")
	require.Nil(t, body["organization"])
}

// It starts while the issuer is down, says so, and recovers.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	for _, endpoint := range []helseidtest.Endpoint{helseidtest.EndpointMetadata, helseidtest.EndpointJWKS} {
		server.Inject(helseidtest.Fault{Endpoint: endpoint, Times: -1, Status: http.StatusForbidden})
	}
	p := start(t, server, "-issuer", server.Issuer())
	response, _ := p.call("GET", "/healthz", "", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	response, body := p.call("GET", "/machine", "", system())
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Equal(t, "keys_unavailable", body["reason"])
	server.ClearFaults()
	require.Eventually(t, func() bool {
		response, _ := p.call("GET", "/machine", "", system())
		return response.StatusCode == http.StatusOK
	}, 15e9, 25e7)
}

func TestNonce(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	p := start(t, server, "-issuer", server.Issuer(), "-nonce")
	response, body := p.call("GET", "/machine", "", system())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Equal(t, "use_dpop_nonce", body["error"])
	response, _ = p.call("GET", "/machine", "", system(), mint.ProofClaim("nonce", response.Header.Get("DPoP-Nonce")))
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestTokenTypes(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	strict := start(t, server, "-issuer", server.Issuer())
	// A space after the comma is no part of the type.
	loose := start(t, server, "-issuer", server.Issuer(), "-token-typ", "at+jwt, JWT")
	jwt := []mint.TokenOption{mint.Header("typ", "JWT")}
	response, _ := strict.call("GET", "/machine", "", jwt)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	response, _ = loose.call("GET", "/machine", "", jwt)
	require.Equal(t, http.StatusOK, response.StatusCode)
	response, _ = loose.call("GET", "/machine", "", system())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	p := start(t, server, "-issuer", server.Issuer(), "-public-url", "https://api.example.no/v1")
	response, _ := p.call("GET", "/files/a?x=y", "https://api.example.no/v1/files/a", system())
	require.Equal(t, http.StatusOK, response.StatusCode)
	response, body := p.call("GET", "/files/a", "", system())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Equal(t, "proof_htu", body["reason"])
}

// A proof that was used before a restart is of no use after it. On a port that the system
// chooses there is no restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	p := start(t, server, "-issuer", server.Issuer())
	response, _ := p.call("GET", "/machine", "", system(), mint.ProofAge(8*time.Second))
	require.Equal(t, http.StatusOK, response.StatusCode)

	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	token := server.Token(mint.Audience(audience), mint.Scopes(scope))
	client := &http.Client{Timeout: 10 * time.Second}
	var request *http.Request
	for i, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusUnauthorized} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			p := start(t, server, "-issuer", server.Issuer(), "-listen", address)
			if request == nil {
				request, err = http.NewRequest(http.MethodGet, p.url+"/machine", nil)
				require.NoError(t, err)
				server.Authorize(request, token)
			}
			response, err := client.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, status, response.StatusCode)
			response, _ = p.call("GET", "/machine", "", system())
			require.Equal(t, http.StatusOK, response.StatusCode, "a new one")
		})
	}
}

// A proxy that the flags name asks about requests to something else.
func TestForwardAuth(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	ask := func(p *program) int {
		request, err := http.NewRequest(http.MethodGet, p.url+"/machine", nil)
		require.NoError(t, err)
		token := server.Token(mint.Audience(audience), mint.Scopes(scope))
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", server.Proof(http.MethodDelete, "https://api.example.no/journal/1", token))
		request.Header.Set("X-Forwarded-Method", http.MethodDelete)
		request.Header.Set("X-Forwarded-Uri", "/journal/1?a=b")
		response, err := http.DefaultClient.Do(request) //nolint:forbidigo // to loopback, and the test has a deadline
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	flags := []string{"-issuer", server.Issuer(), "-public-url", "https://api.example.no", "-forward-auth", "GET /x, DELETE /journal/{id}", "-trusted-proxies"}
	p := start(t, server, append(flags, "10.0.0.0/8, 127.0.0.0/8")...)
	require.Equal(t, http.StatusOK, ask(p))
	require.Contains(t, p.stderr.String(), `method=DELETE route="DELETE /journal/{id}"`)
	require.Equal(t, http.StatusBadRequest, ask(start(t, server, append(flags, "10.0.0.0/8")...)))
}

func TestFlags(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	other := start(t, server, "-issuer", server.Issuer()+"/", "-audience", "nhn:other", "-scope", "")
	response, _ := other.call("GET", "/machine", "", []mint.TokenOption{mint.Audience("nhn:other"), mint.Scopes()})
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, other.stderr.String(), "plain http")
	all := start(t, server, "-issuer", server.Issuer(), "-scope", "nhn:demo-api/read nhn:demo-api/write", "-listen", "0.0.0.0:0")
	response, _ = all.call("GET", "/machine", "", []mint.TokenOption{mint.Scopes("nhn:demo-api/read")})
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	response, _ = all.call("GET", "/machine", "", []mint.TokenOption{mint.Scopes("nhn:demo-api/read", "nhn:demo-api/write")})
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, all.stderr.String(), "beyond this machine")
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"help":                 {0, []string{"-h"}},
		"an unknown flag":      {2, []string{"-x"}},
		"an argument":          {2, []string{"x"}},
		"plain http":           {2, []string{"-issuer", "http://issuer.example", "-listen", "127.0.0.1:0"}},
		"no issuer":            {2, []string{"-issuer", "x", "-listen", "127.0.0.1:0"}},
		"public URL over http": {2, []string{"-issuer", server.Issuer(), "-public-url", "http://api.example.no", "-listen", "127.0.0.1:0"}},
		"no prefix":            {2, []string{"-issuer", server.Issuer(), "-trusted-proxies", "127.0.0.1", "-listen", "127.0.0.1:0"}},
		"no trusted proxies":   {2, []string{"-issuer", server.Issuer(), "-forward-auth", "GET /", "-listen", "127.0.0.1:0"}},
		"no route":             {2, []string{"-issuer", server.Issuer(), "-trusted-proxies", "127.0.0.0/8", "-forward-auth", "GET x", "-listen", "127.0.0.1:0"}},
		"no token type":        {2, []string{"-issuer", server.Issuer(), "-token-typ", "", "-listen", "127.0.0.1:0"}},
		"no audience":          {2, []string{"-issuer", server.Issuer(), "-audience", "", "-listen", "127.0.0.1:0"}},
		"no address":           {2, []string{"-issuer", server.Issuer(), "-listen", "x:y:z"}},
		"no port":              {2, []string{"-issuer", server.Issuer(), "-listen", "8290"}},
		"no such port":         {2, []string{"-issuer", server.Issuer(), "-listen", "127.0.0.1:99999"}},
		"a port in words":      {2, []string{"-issuer", server.Issuer(), "-listen", "127.0.0.1:port"}},
		"no such address":      {1, []string{"-issuer", server.Issuer(), "-listen", "192.0.2.1:0"}},
		"no scope":             {2, []string{"-issuer", server.Issuer(), "-scope", "a\"b", "-listen", "127.0.0.1:0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, test.code, run(t.Context(), test.args, &stdout, &stderr))
			require.NotEmpty(t, stderr.String())
			require.NotContains(t, stdout.String(), "listening")
		})
	}
}

// Without an issuer it brings its own, and says how to call it.
func TestDemo(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	stderr := &buffer{}
	go func() {
		ended <- run(ctx, []string{"-listen", "127.0.0.1:0"}, writer, stderr)
		_ = writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	require.True(t, lines.Scan())
	address, ok := strings.CutPrefix(lines.Text(), "listening on ")
	require.True(t, ok)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "embedded HelseID")
	require.True(t, lines.Scan())
	command := strings.Fields(lines.Text())
	require.Equal(t, address+"/machine", command[len(command)-1])
	var file string
	for i, word := range command {
		if word == "-config" {
			file = command[i+1]
		}
	}
	config, err := helseid.LoadConfig(file)
	require.NoError(t, err)
	client, err := helseid.New(config)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/machine", nil)
	require.NoError(t, err)
	response, err := client.HTTPClient(helseid.TokenRequest{Scopes: []string{scope}}).Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	client.Close()
	cancel()
	require.Zero(t, <-ended)
	require.NoFileExists(t, file)
}

// With -json each line of the output is an object, also of what the guards did.
func TestJSON(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	reader, writer := io.Pipe()
	p := &program{TB: t, server: server, stderr: &buffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-json", "-listen", "127.0.0.1:0", "-issuer", server.Issuer()}, writer, p.stderr)
		_ = writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	next := func() (line map[string]any) {
		require.True(t, lines.Scan())
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		require.NotRegexp(t, jwsLike, lines.Text())
		require.NotRegexp(t, identityNumber, lines.Text())
		return line
	}
	first := next()
	require.Equal(t, "listening", first["event"])
	require.Equal(t, server.Issuer(), first["issuer"])
	p.url = first["url"].(string)
	for _, test := range []struct {
		path  string
		token []mint.TokenOption
		want  map[string]any
	}{
		{"/files/x", nil, map[string]any{"event": "request", "allowed": false, "method": "GET", "route": "/files/", "status": 401.0, "reason": "no_credentials"}},
		{"/practitioner", clinician(), map[string]any{
			"event": "request", "allowed": true, "method": "GET", "route": "/practitioner",
			"client_id": "helseidtest-client", "hpr_number": mint.DefaultHPRNumber, "parent": mint.DefaultParentOrganization,
		}},
		{"/machine", clinician(mint.Claim("idp", 1)), map[string]any{
			"event": "request", "allowed": true, "method": "GET", "route": "/machine", "malformed": []any{"idp"},
			"client_id": "helseidtest-client", "hpr_number": mint.DefaultHPRNumber, "parent": mint.DefaultParentOrganization,
		}},
	} {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			p.call("GET", test.path, "", test.token)
		}()
		line := next()
		delete(line, "token_id")
		require.Equal(t, test.want, line)
		<-answered
	}
	cancel()
	require.Zero(t, <-ended)
	require.False(t, lines.Scan(), "nothing more")
	require.NotContains(t, p.stderr.String(), "level=")
}
