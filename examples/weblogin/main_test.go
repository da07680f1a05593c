package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
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

// program is the example while it runs, and a browser.
type program struct {
	testing.TB
	url     string
	issuer  string
	stdout  *buffer // after the first line
	stderr  *buffer
	browser *http.Client
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	p := &program{TB: t, stdout: &buffer{}, stderr: &buffer{}}
	go func() {
		ended <- run(ctx, append([]string{"-listen", "127.0.0.1:0", "-json"}, args...), writer, p.stderr)
		_ = writer.Close()
	}()
	lines := bufio.NewReader(reader)
	line, err := lines.ReadString('\n')
	require.NoError(t, err, p.stderr.String())
	go func() { _, _ = io.Copy(p.stdout, lines) }()
	var listening struct{ URL, Issuer string }
	require.NoError(t, json.Unmarshal([]byte(line), &listening))
	p.url, p.issuer = listening.URL, listening.Issuer
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		require.Zero(t, <-ended)
		require.NotRegexp(t, jwsLike, p.stderr.String())
		require.NotRegexp(t, identityNumber, p.stderr.String())
		require.NotRegexp(t, identityNumber, p.stdout.String())
	})
	p.browser = &http.Client{Jar: jar, Transport: transport}
	return p
}

// page opens a page, or sends a form if there is one.
func (p *program) page(target string, form url.Values) (*http.Response, string) {
	p.Helper()
	if strings.HasPrefix(target, "/") {
		target = p.url + target
	}
	request, err := http.NewRequestWithContext(p.Context(), http.MethodGet, target, nil)
	if form != nil {
		request, err = http.NewRequestWithContext(p.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	}
	require.NoError(p, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", p.url)
	}
	request.Header.Set("Accept", "text/html")
	response, err := p.browser.Do(request)
	require.NoError(p, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(p, err)
	require.NotRegexp(p, jwsLike, string(body))
	if strings.HasPrefix(response.Request.URL.String(), p.url) {
		require.NotRegexp(p, identityNumber, string(body))
	}
	return response, string(body)
}

// logIn opens a page, and chooses a user on the way there.
func (p *program) logIn(target, user string) string {
	p.Helper()
	response, body := p.page(target, nil)
	require.Contains(p, body, "ber deg om å logge inn")
	_, body = p.page(response.Request.URL.String(), url.Values{"user": {user}})
	return body
}

func TestDemo(t *testing.T) {
	t.Parallel()
	p := start(t)
	_, body := p.page("/", nil)
	require.Contains(t, body, "Logg inn med HelseID")
	body = p.logIn("/me", mint.DefaultPersonalIdentityNumber)
	for _, text := range []string{"Min side", "KVART GREVLING", mint.DefaultHPRNumber, "***********", "ingen bestemt organisasjon", "Innholdet i ID-token"} {
		require.Contains(t, body, text)
	}
	_, body = p.page("/me?organization=org:994598759/999977775", nil)
	require.Contains(t, body, "Du opptrer for <strong id=\"acting\">Demo kommune, legevakten")
	response, body := p.page("/call?parent=994598759&child=999977775", nil)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, body, "&#34;child&#34;: &#34;999977775&#34;")
	require.Contains(t, body, `<span class="badge good">200</span>`)
	// A link on another site reads nothing from the API.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/call?parent=994598759", nil)
	require.NoError(t, err)
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err = p.browser.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "/me", response.Request.URL.Path)

	response, _ = p.page("/me?parent=123", nil)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	_, body = p.page("/me?parent=999999999", nil)
	require.Contains(t, body, "Du kan ikke opptre for den organisasjonen")

	response, _ = p.page("/logout", nil)
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	response, body = p.page("/logout", url.Values{})
	require.Equal(t, p.url+"/", response.Request.URL.String())
	require.Contains(t, body, "Logg inn med HelseID")

	var told []string
	for line := range strings.Lines(p.stdout.String()) {
		var event struct {
			Event  string
			Status int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		told = append(told, fmt.Sprint(event.Event, " ", event.Status))
	}
	require.Equal(t, []string{"login_started 303", "login_ended 303", "call 200", "logout 405", "logout 303"}, told)
}

// Scopes as HelseID's clients have them, of several kinds and ages.
func TestResources(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"owner-1:api", "nhn:demo-api"}, resources([]string{
		"openid", "profile", `owner-1:api\write`, "nhn:demo-api/read", "nhn:demo-api/write", "nhn:sfm:journal-id",
		"nhn:tillitsrammeverk:parameters", "helseid://scopes/hpr/hpr_number",
	}))
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	p := start(t)
	require.Contains(t, p.logIn("/me", helseidtest.ClinicianAtLevel3), "Gå til siden som krever nivå 4")
	response, body := p.page("/strong", nil)
	require.Contains(t, body, "Klienten ber om sikkerhetsnivå <strong>4</strong>")
	_, body = p.page(response.Request.URL.String(), url.Values{"user": {helseidtest.ClinicianAtLevel3}, "level": {"4"}})
	require.Contains(t, body, "Bare for nivå 4")
}

// The file of another HelseID, with paths of its own.
func TestConfig(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.LoginPage(helseidtest.DefaultLoginPage))
	file := server.ConfigFile(helseidtest.Client{
		GrantTypes:   []string{"authorization_code", "refresh_token"},
		Scopes:       []string{"nhn:demo-api/read"},
		RedirectURIs: []string{"https://ehr.example.no/callback", "http://localhost:1/signed/in"}, PostLogoutRedirectURIs: []string{"http://localhost:1/"},
		ChildOrganizations: []string{"999977775"},
	})
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	p := start(t, "-config", path, "-api", "http://127.0.0.1:1/nobody")
	require.Contains(t, p.stderr.String(), "plain http")
	body := p.logIn("/login", helseidtest.PersonWithoutHPRNumber)
	require.Contains(t, body, "Velkommen, RASK")
	_, body = p.page("/me?child=999977775", nil)
	require.Contains(t, body, "Ikke helsepersonell")
	require.Contains(t, body, "Juridisk enhet")
	response, body := p.page("/call?child=999977775", nil)
	require.Equal(t, http.StatusBadGateway, response.StatusCode)
	require.Contains(t, body, "API-et svarer ikke")
	_, body = p.page("/me?parent=999999999", nil)
	require.Contains(t, body, "HelseID avviste forespørselen")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	write := func(client helseidtest.Client) string {
		file := server.ConfigFile(client)
		path := filepath.Join(t.TempDir(), "client.json")
		require.NoError(t, os.WriteFile(path, file, 0o600))
		return path
	}
	system := write(helseidtest.Client{})
	user := write(helseidtest.Client{GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"http://localhost:0/callback"}})
	root := write(helseidtest.Client{GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"http://localhost:0"}})
	redirectTo := func(uri string) string {
		return write(helseidtest.Client{GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{uri}})
	}
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"a redirect to a page":   {2, []string{"-config", redirectTo("http://localhost:0/me")}},
		"a redirect to another":  {2, []string{"-config", redirectTo("http://localhost:0/strong")}},
		"a redirect to a login":  {2, []string{"-config", redirectTo("http://localhost:0/login")}},
		"a redirect elsewhere":   {2, []string{"-config", redirectTo("http://127.0.0.1:0/callback"), "-listen", "127.0.0.2:0"}},
		"no such port":           {2, []string{"-config", user, "-listen", "127.0.0.1:99999"}},
		"a port in words":        {2, []string{"-config", user, "-listen", "127.0.0.1:port"}},
		"help":                   {0, []string{"-h"}},
		"an unknown flag":        {2, []string{"-x"}},
		"an argument":            {2, []string{"x"}},
		"an issuer alone":        {2, []string{"-issuer", server.Issuer()}},
		"no file":                {2, []string{"-config", "/nowhere/x"}},
		"no redirect URI":        {2, []string{"-config", system}},
		"a redirect to the root": {2, []string{"-config", root}},
		"all addresses":          {2, []string{"-config", user, "-listen", "0.0.0.0:0"}},
		"no address":             {2, []string{"-config", user, "-listen", "x"}},
		"an API over http":       {2, []string{"-config", user, "-api", "http://api.example.no/"}},
		"no API":                 {2, []string{"-config", user, "-api", "x"}},
		"an issuer over http":    {2, []string{"-config", user, "-issuer", "http://issuer.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, test.code, run(t.Context(), test.args, &stdout, &stderr), stderr.String())
			require.NotEmpty(t, stderr.String())
			require.NotContains(t, stdout.String(), "listening on http")
		})
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Tokenet er ikke et JWT.", redacted("x"))
	require.Equal(t, "Tokenet er ikke et JWT.", redacted("a.b.c"))
	text := redacted("e30.eyJoZWxzZWlkOi8vY2xhaW1zL2lkZW50aXR5L3BpZCI6IjA2ODI4Mzk5Nzg5IiwieCI6IjA2ODI4Mzk5Nzg5IiwiZXhwIjoxNzAwMDAwMDAwfQ.c")
	require.NotRegexp(t, identityNumber, text)
	require.Contains(t, text, "1700000000")
}
