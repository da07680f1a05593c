package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
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

// program is the example while it runs.
type program struct {
	testing.TB
	issuer string
	first  map[string]any
	lines  chan string
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- run(ctx, append([]string{"-listen", "127.0.0.1:0", "-json"}, args...), writer, &stderr)
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
		require.Zero(t, <-ended)
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
	require.NoError(t, os.WriteFile(other, []byte("x"), 0o644))
	require.NoError(t, os.Symlink(other, path))
	p := start(t, "-write", path)
	made := p.next("client")
	require.Equal(t, path, made["config"])
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode())
	content, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "x", string(content))
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
		path, _ = start(t).next("client")["config"].(string)
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
	p := start(t, "-clients", path)
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
	p := start(t, "-test-token-key", "tool", "-test-metadata")
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
	p := start(t, "-listen", "localhost:0")
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

func TestStartPageRefusesOtherNames(t *testing.T) {
	t.Parallel()
	page := &startPage{}
	serve := func(method, host, path string) int {
		request := httptest.NewRequest(method, "http://"+host+path, nil)
		recorder := httptest.NewRecorder()
		page.ServeHTTP(recorder, request)
		return recorder.Code
	}
	require.Equal(t, http.StatusServiceUnavailable, serve("GET", "localhost", "/"))
	server, err := helseidtest.Start(helseidtest.InMemory())
	require.NoError(t, err)
	page.server.Store(server)
	for host, status := range map[string]int{
		"localhost": 200, "localhost:80": 200, "127.0.0.1:1": 200, "[::1]:1": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:80": 403, "10.0.0.1": 403,
	} {
		require.Equal(t, status, serve("GET", host, "/"), host)
	}
	require.Equal(t, http.StatusNotFound, serve("GET", "localhost", "/x"))
	require.Equal(t, http.StatusMethodNotAllowed, serve("DELETE", "localhost", "/"))
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

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"help":             {0, []string{"-h"}},
		"an unknown flag":  {2, []string{"-x"}},
		"an argument":      {2, []string{"x"}},
		"both files":       {2, []string{"-clients", "x", "-write", "y"}},
		"no such file":     {2, []string{"-clients", "/nowhere/x", "-listen", "127.0.0.1:0"}},
		"all addresses":    {2, []string{"-listen", "0.0.0.0:0"}},
		"a name":           {2, []string{"-listen", ":0"}},
		"no such folder":   {2, []string{"-write", "/nowhere/x", "-listen", "127.0.0.1:0"}},
		"not even a place": {2, []string{"-listen", "x"}},
		"no port":          {2, []string{"-listen", "127.0.0.1"}},
		"no such port":     {2, []string{"-listen", "127.0.0.1:99999"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, test.code, run(t.Context(), test.args, &stdout, &stderr), stderr.String())
			require.NotEmpty(t, stderr.String())
			require.Empty(t, stdout.String())
		})
	}
}
