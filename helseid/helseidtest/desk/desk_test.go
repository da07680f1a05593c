package desk

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// program is a desk while it runs.
type program struct {
	testing.TB
	issuer string
	first  map[string]any
	lines  chan string
}

func start(t *testing.T, config Config) *program {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	config.Output, config.JSON = writer, true
	go func() {
		ended <- Run(ctx, config)
		_ = writer.Close()
	}()
	p := &program{TB: t, lines: make(chan string, 100)}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	p.first = p.next("listening")
	p.issuer, _ = p.first["issuer"].(string)
	return p
}

// next reads the next line, which must be of this event.
func (p *program) next(event string) map[string]any {
	p.Helper()
	select {
	case line := <-p.lines:
		var object map[string]any
		require.NoError(p, json.Unmarshal([]byte(line), &object), line)
		require.Equal(p, event, object["event"], line)
		return object
	case <-time.After(10 * time.Second):
		require.FailNow(p, "no line", event)
		return nil
	}
}

func (p *program) page(method string, form url.Values) (int, string) {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), method, p.issuer+"/", strings.NewReader(form.Encode()))
	require.NoError(p, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(p, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(p, err)
	require.Equal(p, "no-store", response.Header.Get("Cache-Control"))
	return response.StatusCode, string(body)
}

func TestMadeClient(t *testing.T) {
	t.Parallel()
	// What stood there, and was for everybody to read, is neither kept nor followed.
	folder := t.TempDir()
	path, other := filepath.Join(folder, "made.json"), filepath.Join(folder, "other")
	const old = `{"authority":"http://127.0.0.1:1"}`
	require.NoError(t, os.WriteFile(other, []byte(old), 0o644))
	require.NoError(t, os.Symlink(other, path))
	p := start(t, Config{ClientFile: path})
	made := p.next("client")
	require.Equal(t, path, made["config"])
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode())
	content, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, old, string(content))
	config, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	require.Equal(t, p.issuer, config.Issuer)
	require.Equal(t, []string{"http://localhost:8080/callback"}, config.Registered.RedirectURIs)
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	token, err := client.Token(t.Context(), helseid.TokenRequest{})
	require.NoError(t, err)

	status, body := p.page("GET", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, config.ClientID)
	require.Contains(t, body, "KVART GREVLING")
	status, body = p.page("POST", url.Values{"token": {"DPoP " + token.Access.Reveal() + "\n"}})
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "&#34;aud&#34;: &#34;nhn:demo-api&#34;")
	require.Contains(t, body, "<strong>ikke</strong> kontrollert")
	require.NotContains(t, body, token.Access.Reveal())
	status, body = p.page("POST", url.Values{"token": {"a.b.c"}})
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "Det er ikke et token")
}

func TestMadeClientInTemporaryFolder(t *testing.T) {
	t.Parallel()
	var path string
	t.Run("running", func(t *testing.T) {
		path, _ = start(t, Config{}).next("client")["config"].(string)
		require.FileExists(t, path)
	})
	require.NoFileExists(t, path)
}

// clientFile returns a file from HelseID Selvbetjening for a server that is gone.
func clientFile(t *testing.T) []byte {
	t.Helper()
	server, err := helseidtest.Start(helseidtest.InMemory())
	require.NoError(t, err)
	file := server.ConfigFile(helseidtest.Scopes("nhn:demo-api/read"))
	return file
}

func TestClientsFile(t *testing.T) {
	t.Parallel()
	one, two := clientFile(t), clientFile(t)
	path := filepath.Join(t.TempDir(), "clients.json")
	write := func(text string) {
		temporary := path + ".new"
		require.NoError(t, os.WriteFile(temporary, []byte(text), 0o600))
		require.NoError(t, os.Rename(temporary, path))
	}
	write(`{"clients":[` + string(one) + `],"users":[{"personalIdentityNumber":"` + mint.DefaultPersonalIdentityNumber + `","givenName":"NY","familyName":"BJØRN"}]}`)
	p := start(t, Config{ClientsFile: path})
	require.EqualValues(t, 1, p.next("clients_loaded")["clients"])
	_, body := p.page("GET", nil)
	require.Contains(t, body, "NY BJØRN")
	require.NotContains(t, body, "KVART GREVLING")
	token := func(file []byte) error {
		config, err := helseid.ParseConfig(file)
		require.NoError(t, err)
		config.Issuer = p.issuer
		client, err := helseid.New(config)
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Token(t.Context(), helseid.TokenRequest{})
		return err
	}
	require.NoError(t, token(one))
	require.Error(t, token(two))

	write(`{"clients":[{"clientId":""},{"clientId":"x","publicJwks":[{}]}],"users":[{"personalIdentityNumber":"13097248022"}]}`)
	problem := p.next("clients_refused")["problem"]
	for _, text := range []string{"clients[0]", "clients[1]", "users[0]"} {
		require.Contains(t, problem, text)
	}
	require.NotContains(t, problem, "13097248022")
	require.NoError(t, token(one), "what was read before stays")

	write(`{"clients":[` + string(two) + `]}`)
	p.next("clients_loaded")
	require.NoError(t, token(two))
	require.Error(t, token(one))
	_, body = p.page("GET", nil)
	require.Contains(t, body, "KVART GREVLING", "the built-in user is back")

	require.NoError(t, os.Remove(path))
	p.next("clients_refused")
	require.NoError(t, token(two))
}

// The file can say all that the server can be told of clients, users and APIs.
func TestEverythingInTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clients.json")
	const key = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	require.NoError(t, os.WriteFile(path, []byte(`{
		"clients": [{
			"clientId": "a", "publicJwks": [`+key+`], "scopes": ["nhn:a/read", "nhn:selvbetjening/client"], "allowBearer": true,
			"unsignedTerms": {"994598759": ["nhn:a/read"]}, "apis": ["nhn:b"], "actors": ["c"], "audienceClaims": {"nhn:a/client/claims/id": "7"}
		}],
		"users": [{
			"personalIdentityNumber": "`+mint.DefaultPersonalIdentityNumber+`", "hprNumber": "1", "assuranceLevel": "low", "network": "helsenett",
			"hprApprovals": [{"profession": "SP", "authorization": {"value": "1", "description": "Autorisasjon"}, "requisition_rights": [], "specialities": []}]
		}],
		"apis": [{"name": "nhn:a", "claims": []}]
	}`), 0o600))
	server, err := helseidtest.Start(helseidtest.InMemory())
	require.NoError(t, err)
	registry := newRegistry(server, path)
	changed, err := registry.reload()
	require.NoError(t, err)
	require.True(t, changed)
	client := server.Clients()[0]
	require.True(t, client.AllowBearer)
	require.Equal(t, []string{"nhn:b"}, client.APIs)
	require.Equal(t, []string{"c"}, client.Actors)
	require.Equal(t, map[string]string{"nhn:a/client/claims/id": "7"}, client.AudienceClaims)
	require.Equal(t, map[string][]string{"994598759": {"nhn:a/read"}}, client.UnsignedTerms)
	users := server.Users()
	i := slices.IndexFunc(users, func(u helseidtest.User) bool {
		return u.PersonalIdentityNumber == mint.DefaultPersonalIdentityNumber
	})
	require.Equal(t, "low", users[i].AssuranceLevel)
	require.Equal(t, "helsenett", users[i].Network)
	require.Equal(t, "SP", users[i].HPRApprovals[0].Profession)
	require.Equal(t, []helseidtest.API{{Name: "nhn:a", Claims: []string{}}}, registry.applied.apis)
}

// What helseidtest has beside HelseID's own endpoints is there, too.
func TestServices(t *testing.T) {
	t.Parallel()
	p := start(t, Config{TestTokenKey: "tool", TestMetadata: true})
	require.Equal(t, p.issuer+"/selvbetjening", p.first["selvbetjening"])
	require.Equal(t, "tool", p.first["test_token_key"])
	do := func(method, url, header, value, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set(header, value)
		response, err := http.DefaultClient.Do(request) //nolint:forbidigo // to loopback, and the test has a deadline
		require.NoError(t, err)
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(answer)
	}
	status, body := do("POST", p.first["test_tokens"].(string), "X-Auth-Key", "tool", `{"issuerEnvironment":0,"audience":"nhn:demo-api"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, "accessTokenJwt")
	status, _ = do("POST", p.first["test_tokens"].(string), "X-Auth-Key", "other", `{}`)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = do("GET", p.issuer+"/selvbetjening/v1/client", "Accept", "application/json", "")
	require.Equal(t, http.StatusUnauthorized, status)
	_, body = do("GET", p.issuer+"/.well-known/openid-configuration", "Accept", "application/json", "")
	require.Contains(t, body, `"backchannel_logout_supported":"true"`)
}

// The issuer has the name that was listened on.
func TestListensOnLocalhost(t *testing.T) {
	t.Parallel()
	p := start(t, Config{Listen: "localhost:0"})
	require.Regexp(t, "^http://localhost:[0-9]+$", p.issuer)
	status, _ := p.page("GET", nil)
	require.Equal(t, http.StatusOK, status)
}

func TestParseClients(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON": "x", "an array": "[]", "a misspelt member": `{"client":[]}`, "two objects": "{}{}",
		"a client twice": `{"clients":[` + string(clientFile(t)) + `,{"clientId":"x"}]}`, "a bad key": `{"clients":[{"clientId":"x","privateJwk":"{}"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseClients([]byte(text))
			require.ErrorIs(t, err, errClients)
		})
	}
	file := string(clientFile(t))
	_, err := parseClients([]byte(`{"clients":[` + file + `,` + file + `]}`))
	require.ErrorContains(t, err, "twice")
	_, err = parseClients([]byte(`{"users":[{"personalIdentityNumber":"06828399789"},{"personalIdentityNumber":"06828399789"}],"apis":[{"name":"a"},{"name":"a"}]}`))
	require.ErrorContains(t, err, "users[1]")
	require.ErrorContains(t, err, "apis[1]")
	require.NotContains(t, err.Error(), "06828399789")
	_, err = parseClients([]byte(file))
	require.ErrorContains(t, err, `{"clients": [ … ]}`)
	_, err = parseClients([]byte("{}"))
	require.NoError(t, err)
}

// The start page is the issuer's root and nothing else, and has one name.
func TestStartPage(t *testing.T) {
	t.Parallel()
	p := start(t, Config{})
	status := func(method, host, path string) int {
		request, err := http.NewRequestWithContext(t.Context(), method, p.issuer+path, nil)
		require.NoError(t, err)
		request.Host = host
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	for host, want := range map[string]int{
		"localhost": 200, "localhost:80": 200, "127.0.0.1:1": 200, "[::1]:1": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:80": 421, "10.0.0.1": 421,
	} {
		require.Equal(t, want, status("GET", host, "/"), host)
	}
	require.Equal(t, http.StatusNotFound, status("GET", "localhost", "/x"))
	require.Equal(t, http.StatusMethodNotAllowed, status("DELETE", "localhost", "/"))
	recorder := httptest.NewRecorder()
	(&startPage{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, http.StatusServiceUnavailable, recorder.Code, "before the server has started")
}

func TestDecode(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	token, err := decode("e30.eyJleHAiOjE3MDAwMDAwMDB9.", now)
	require.NoError(t, err)
	require.True(t, token.Expired)
	token, err = decode(" e30.eyJleHAiOjE3MDAwMDAwMDF9.x ", now)
	require.NoError(t, err)
	require.False(t, token.Expired)
	for _, text := range []string{"", "x", "e30.e30", "e30.e30.x.x.x", "e30.!.x", "eA.e30.x"} {
		_, err := decode(text, now)
		require.ErrorIs(t, err, errNotToken, text)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"both files":             {Config{ClientsFile: "x", ClientFile: "y"}, "ClientFile"},
		"no such file":           {Config{ClientsFile: "/nowhere/x", Listen: "127.0.0.1:0"}, "/nowhere/x"},
		"no such folder":         {Config{ClientFile: "/nowhere/x", Listen: "127.0.0.1:0"}, "/nowhere"},
		"all addresses":          {Config{Listen: "0.0.0.0:0"}, "loopback only"},
		"no address":             {Config{Listen: ":0"}, "loopback only"},
		"no port":                {Config{Listen: "127.0.0.1"}, "a host and a port"},
		"no such port":           {Config{Listen: "127.0.0.1:99999"}, "a host and a port"},
		"not even a place":       {Config{Listen: "x"}, "a host and a port"},
		"an authority, no TLS":   {Config{CAFile: "x"}, "CAFile"},
		"no name":                {Config{Listen: "0.0.0.0:0", AllowRemote: true, TLS: true}, "PublicURL"},
		"plain http":             {Config{Listen: "192.0.2.1:0", AllowRemote: true}, "TLS"},
		"plain http, by name":    {Config{Listen: "0.0.0.0:0", AllowRemote: true, PublicURL: "http://helseid:8181"}, "https is required"},
		"TLS at a plain address": {Config{TLS: true, PublicURL: "http://localhost:8181"}, "https with TLS"},
		"HelseID's own address":  {Config{Listen: "127.0.0.1:0", PublicURL: "https://helseid-sts.test.nhn.no"}, "Norsk helsenett"},
		"several at once":        {Config{ClientsFile: "x", ClientFile: "y", CAFile: "z"}, "CAFile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Run(t.Context(), test.config)
			require.ErrorIs(t, err, ErrConfig)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// A file that another program needs is not replaced by one for tests.
func TestOtherFilesStay(t *testing.T) {
	t.Parallel()
	_, authority, err := newAuthority("helseid.example")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		content  string
		asClient bool // it may be replaced by a client's file
		asCA     bool // or by an authority's certificate
	}{
		"a client of HelseID's":    {content: `{"authority":"https://helseid-sts.nhn.no","clientId":"a","privateJwk":{}}`},
		"a client with no server":  {content: `{"clientId":"a"}`},
		"a client of another host": {content: `{"authority":"https://127.0.0.1.example"}`},
		"a local client":           {content: `{"authority":"http://localhost:8181"}`, asClient: true},
		"a client of its own":      {content: `{"authority":"https://helseid.example:8443"}`, asClient: true},
		"a certificate of its own": {content: string(authority), asCA: true},
		"several certificates":     {content: string(authority) + string(authority)},
		"a program":                {content: "package main"},
		"an empty file":            {asClient: true, asCA: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, as := range []struct {
				isOld func([]byte) bool
				want  bool
			}{{isClientOf("https://helseid.example:8443"), test.asClient}, {isAuthority, test.asCA}} {
				path := filepath.Join(t.TempDir(), "file")
				require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
				_, _, err := output{path: path, content: []byte("new"), mode: 0o600, isOld: as.isOld}.write()
				content, readErr := os.ReadFile(path)
				require.NoError(t, readErr)
				if as.want {
					require.NoError(t, err)
					require.Equal(t, "new", string(content))
					continue
				}
				require.ErrorIs(t, err, ErrConfig)
				require.ErrorContains(t, err, "no earlier run has written it")
				require.Equal(t, test.content, string(content))
			}
		})
	}
	_, _, err = output{path: t.TempDir()}.write()
	require.ErrorContains(t, err, "is not a file")
}

// Who listens under another name is not the server that the file is for.
func TestAnswers(t *testing.T) {
	t.Parallel()
	p := start(t, Config{})
	require.True(t, answers(p.issuer))
	require.False(t, answers(strings.Replace(p.issuer, "127.0.0.1", "localhost", 1)))
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	require.False(t, answers(other.URL))
	own := isOfAnotherRun(p.issuer)
	require.NoError(t, own([]byte(`{"authority":"`+p.issuer+`"}`)))
	require.NoError(t, own([]byte(`x`)))
	require.Error(t, isOfAnotherRun("http://127.0.0.1:1")([]byte(`{"authority":"`+p.issuer+`"}`)))
}

// Without Output it works all the same, and an address that is taken is no mistake in the
// configuration.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	p := start(t, Config{})
	err := Run(t.Context(), Config{Listen: strings.TrimPrefix(p.issuer, "http://")})
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrConfig)
}

// Other machines reach it under the name that its certificate has. The authority is good
// for this name only, and its key is nowhere.
func TestTLSUnderAnotherName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	authority := filepath.Join(folder, "ca.pem")
	p := start(t, Config{
		Listen: "0.0.0.0:0", AllowRemote: true, TLS: true, CAFile: authority, PublicURL: "https://helseid.example/desk/",
		ClientFile: filepath.Join(folder, "client.json"), API: "nhn:demo-api",
	})
	require.Equal(t, "https://helseid.example/desk", p.issuer)
	require.Equal(t, authority, p.first["ca_file"])
	pemText, err := os.ReadFile(authority)
	require.NoError(t, err)
	require.NotContains(t, string(pemText), "PRIVATE")
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pemText))
	block, _ := pem.Decode(pemText)
	certificate, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.True(t, certificate.PermittedDNSDomainsCritical)
	require.Equal(t, []string{"localhost", "helseid.example"}, certificate.PermittedDNSDomains)
	require.Len(t, certificate.PermittedIPRanges, 2)

	p.next("client")
	require.NotEmpty(t, p.first["listen"])
	port := p.first["listen"].(string)[strings.LastIndex(p.first["listen"].(string), ":"):]
	dialer := &net.Dialer{}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, "127.0.0.1"+port)
		},
	}
	defer transport.CloseIdleConnections()
	config, err := helseid.LoadConfig(filepath.Join(folder, "client.json"))
	require.NoError(t, err)
	config.HTTPClient = &http.Client{Transport: transport}
	client, err := helseid.New(config)
	require.NoError(t, err)
	defer client.Close()
	response, err := client.HTTPClient(helseid.TokenRequest{}).Post(p.first["api"].(string)+"/x", "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer echoAnswer
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "POST", answer.Method)
	require.Equal(t, "/desk/api/echo/x", answer.Path)
	require.EqualValues(t, 5, answer.BodyBytes)
	require.Equal(t, config.ClientID, answer.ClientID)

	// A page at another name cannot read it.
	request, err := http.NewRequestWithContext(t.Context(), "GET", p.issuer+"/", nil)
	require.NoError(t, err)
	request.Host = "evil.example"
	response, err = transport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMisdirectedRequest, response.StatusCode)
}

// What the API answers shows no identity number, neither of the user nor of the path.
func TestEchoMasks(t *testing.T) {
	t.Parallel()
	server, err := helseidtest.Start(helseidtest.InMemory())
	require.NoError(t, err)
	defer server.Close()
	api := &echo{}
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, httptest.NewRequest("GET", "https://helseid.test/api/echo", nil))
	require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
	require.NoError(t, api.guard(server, "nhn:demo-api"))
	defer api.close()
	call := func(token string) *httptest.ResponseRecorder {
		request := httptest.NewRequest("GET", "https://helseid.test/api/echo/"+mint.DefaultPersonalIdentityNumber, nil)
		if token != "" {
			server.Authorize(request, token)
		}
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, request)
		return recorder
	}
	answer := call(server.Token(mint.Clinician(), mint.Audience("nhn:demo-api")))
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	require.Contains(t, answer.Body.String(), mint.DefaultHPRNumber)
	require.NotContains(t, answer.Body.String(), mint.DefaultPersonalIdentityNumber)
	require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
	require.Equal(t, http.StatusUnauthorized, call("").Code)
	require.Equal(t, http.StatusUnauthorized, call(server.Token(mint.Audience("nhn:other"))).Code)
}
