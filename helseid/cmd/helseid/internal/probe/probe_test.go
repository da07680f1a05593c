package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/testkit"
)

const someScope = "nhn:some-api/read"

// world is a HelseID, a client of it, and how it is probed.
type world struct {
	server  []helseidtest.Option
	client  helseidtest.Client
	change  func(*helseidtest.Server)
	request helseid.TokenRequest
	options options
}

// newTestLab starts the world's server in memory.
func (w world) newTestLab(t *testing.T) (*lab, *helseidtest.Server) {
	t.Helper()
	server := helseidtest.NewServer(t, append([]helseidtest.Option{helseidtest.InMemory()}, w.server...)...)
	if len(w.client.Scopes) == 0 {
		w.client.Scopes = []string{someScope}
	}
	config := server.NewClient(w.client)
	config.HTTPClient = server.HTTPClient()
	if len(w.request.Scopes) == 0 {
		w.request.Scopes = []string{someScope}
	}
	l, err := newLab(config, w.request, w.options)
	require.NoError(t, err)
	if w.change != nil {
		w.change(server)
	}
	require.NoError(t, l.prepare(t.Context()))
	t.Cleanup(l.close)
	return l, server
}

// ask asks one question.
func ask(t *testing.T, l *lab, name string) (answer, error) {
	t.Helper()
	all := questions()
	i := slices.IndexFunc(all, func(q question) bool { return q.name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return all[i].ask(t.Context(), l)
}

// What the server does is what is seen. Where it has variants, the answers differ.
func TestAnswers(t *testing.T) {
	t.Parallel()
	registered := helseidtest.Client{RedirectURIs: []string{"http://localhost:1/callback"}}
	supplier := helseidtest.Client{MultiTenant: true, ParentOrganization: mint.DefaultSupplier, Delegations: []string{mint.DefaultParentOrganization}}
	forParent := helseid.TokenRequest{Organization: clientassertion.Organization{Parent: mint.DefaultParentOrganization}}
	forChild := helseid.TokenRequest{Organization: clientassertion.Organization{Child: "999977775"}}
	for name, test := range map[string]struct {
		world
		question, want string
	}{
		"a token":                       {world{}, "token_form", "typ at+jwt, alg RS256, token_type DPoP, expires_in 600 s"},
		"a token of another type":       {world{change: func(s *helseidtest.Server) { s.AlterAccessTokens(mint.Header("typ", "JWT")) }}, "token_form", "typ JWT, alg RS256, token_type DPoP, expires_in 600 s"},
		"a token of another lifetime":   {world{server: []helseidtest.Option{helseidtest.TokenLifetime(time.Hour)}}, "token_form", "typ at+jwt, alg RS256, token_type DPoP, expires_in 3600 s"},
		"metadata":                      {world{}, "metadata_form", "booleans"},
		"metadata of the environment":   {world{server: []helseidtest.Option{helseidtest.TestEnvironmentMetadata()}}, "metadata_form", "texts"},
		"no expired keys":               {world{}, "expired_keys", "no key set"},
		"a nonce":                       {world{}, "nonce_demanded", "yes"},
		"no nonce":                      {world{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce)}}, "nonce_demanded", "no"},
		"a nonce twice":                 {world{}, "nonce_reuse", "yes"},
		"a nonce once":                  {world{change: func(s *helseidtest.Server) { s.DemandNewNonceEachTime(true) }}, "nonce_reuse", "no"},
		"a proof twice":                 {world{}, "proof_reuse", "no"},
		"times of a proof":              {world{}, "proof_time", "in the past: 10s, and not 20s; in the future: 5s, and not 10s"},
		"another clock":                 {world{change: func(s *helseidtest.Server) { s.SetClockSkew(3 * time.Hour) }}, "proof_time", "in the past: 10s, and not 20s; in the future: 5s, and not 10s"},
		"a nonce once, and times":       {world{change: func(s *helseidtest.Server) { s.DemandNewNonceEachTime(true) }}, "proof_time", "in the past: 10s, and not 20s; in the future: 5s, and not 10s"},
		"no bearer token":               {world{}, "bearer_token", "a refusal"},
		"a bearer token":                {world{client: helseidtest.Client{AllowBearer: true}}, "bearer_token", "a token of type Bearer"},
		"an assertion twice":            {world{}, "assertion_reuse", "no"},
		"types of an assertion":         {world{}, "assertion_type", "accepted: none of them"},
		"an assertion without kid":      {world{}, "assertion_kid", "accepted: no kid"},
		"audiences of an assertion":     {world{}, "assertion_audience", "accepted: none of them"},
		"a long assertion":              {world{}, "assertion_lifetime", "1m0s, and not 1m1s"},
		"times of an assertion":         {world{}, "assertion_time", "iat and nbf in the future: 5s, and not 10s; after exp: 2s, and not 5s"},
		"the name of details":           {world{client: supplier, request: forParent}, "details_name", "accepted: in its place"},
		"details in an array":           {world{client: supplier, request: forParent}, "details_array", "accepted: an array"},
		"a parent":                      {world{client: supplier, request: forParent}, "organization_form", "accepted: the parent alone, the parent and a colon"},
		"a child":                       {world{client: helseidtest.Client{ChildOrganizations: []string{"999977775"}}, request: forChild}, "organization_form", "accepted: urn:oid:2.16.578.1.12.4.1.4.101, urn:oid:2.16.578.1.12.4.1.2.101"},
		"PAR with and without a proof":  {world{client: registered}, "par_proof", "taken, not demanded"},
		"PAR with a proof":              {world{client: registered, server: []helseidtest.Option{helseidtest.DemandProofAtPAR()}}, "par_proof", "demanded"},
		"a request URI":                 {world{client: registered}, "par_lifetime", "expires_in is 60 s"},
		"a request URI, with a proof":   {world{client: registered, server: []helseidtest.Option{helseidtest.DemandProofAtPAR()}}, "par_lifetime", "expires_in is 60 s"},
		"a request that was not pushed": {world{client: registered}, "par_required", "no"},
		"a request that was not pushed, taken": {world{client: registered, change: func(s *helseidtest.Server) {
			s.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointAuthorize, Status: 302, Header: http.Header{"Location": {"/login?secret=1"}}})
		}}, "par_required", "yes"},
		"a request that was not pushed, a page": {world{client: registered, change: func(s *helseidtest.Server) {
			s.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointAuthorize, Status: 302, Header: http.Header{"Location": {"/home/error?errorId=1"}}})
		}}, "par_required", "no"},
		"POST at the end": {world{}, "end_session_post", "yes"},
		"no POST at the end": {world{change: func(s *helseidtest.Server) {
			s.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointEndSession, Status: 200}, helseidtest.Fault{Endpoint: helseidtest.EndpointEndSession, Status: 405})
		}}, "end_session_post", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // the times of proofs are compared to a second
				l, _ := test.newTestLab(t)
				got, err := ask(t, l, test.question)
				require.NoError(t, err)
				require.Equal(t, test.want, got.text, got.seen)
				require.NotEmpty(t, got.seen)
				require.Empty(t, testkit.FindCredential(strings.Join(got.seen, "\n")))
			})
		})
	}
}

func TestNonceLifetime(t *testing.T) {
	t.Parallel()
	for patience, want := range map[time.Duration]string{10 * time.Minute: "1m0s, and not 2m0s", 30 * time.Second: "at least 30s"} {
		synctest.Test(t, func(t *testing.T) {
			l, _ := world{options: options{patience: patience}}.newTestLab(t)
			got, err := ask(t, l, "nonce_lifetime")
			require.NoError(t, err)
			require.Equal(t, want, got.text)
		})
	}
	l, _ := world{}.newTestLab(t)
	_, err := ask(t, l, "nonce_lifetime")
	require.ErrorAs(t, err, new(notAskedError))
}

// freeURI is a redirect URI at a port that is free.
func freeURI(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String() + "/callback"
}

func TestLogins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server []helseidtest.Option
		want   map[string]string
	}{
		"strict": {[]helseidtest.Option{helseidtest.RefreshTokenLifetime(time.Hour)}, map[string]string{
			"login_response":  "id_token",
			"userinfo_scheme": "DPoP", "refresh_lifetime": "rt_expires_in is 3(600|599) s", "refresh_key": "no",
			"refresh_reuse": "no; the second use ends those that came after it",
		}},
		"relaxed": {[]helseidtest.Option{helseidtest.Relaxed(rule.UserInfoProof, rule.Binding, rule.SingleUse)}, map[string]string{
			"userinfo_scheme": "both", "refresh_key": "yes", "refresh_reuse": "yes",
		}},
		"no rotation": {[]helseidtest.Option{helseidtest.WithoutRotation(), helseidtest.DemandProofAtPAR()}, map[string]string{
			"refresh_reuse": "yes; it is not replaced by another one",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := helseidtest.Client{RedirectURIs: []string{freeURI(t)}, Scopes: []string{someScope, "offline_access"}}
			l, server := world{server: test.server, client: client, options: options{login: true}}.newTestLab(t)
			l.note = browse(t, server)
			for _, question := range []string{"login_response", "userinfo_scheme", "refresh_lifetime", "refresh_key", "refresh_reuse"} {
				got, err := ask(t, l, question)
				require.NoError(t, err)
				if want := test.want[question]; want != "" {
					require.Regexp(t, "^"+want+"$", got.text, got.seen)
				}
			}
			require.Len(t, server.Requests(helseidtest.EndpointAuthorize), 1, "one login is enough")
			require.Len(t, server.Requests(helseidtest.EndpointRevocation), 1)
		})
	}
}

// browse is a person who opens the URL of a note. The browser comes to other places first,
// and with another login's state.
func browse(t *testing.T, server *helseidtest.Server) func(string, ...any) {
	get := func(url string) int {
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequestWithContext(t.Context(), "GET", url, nil)))
		if err != nil {
			t.Error(err)
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	return func(_ string, values ...any) {
		callback, err := server.LogIn(values[0].(interface{ String() string }).String())
		if err != nil {
			t.Error(err)
			return
		}
		forged := *callback
		query := forged.Query()
		query.Set("state", "another")
		forged.RawQuery = query.Encode()
		elsewhere := *callback
		elsewhere.Path = "/other"
		for url, want := range map[string]int{forged.String(): 404, elsewhere.String(): 404} {
			if got := get(url); got != want {
				t.Error(url, got)
			}
		}
		if got := get(callback.String()); got != 200 {
			t.Error(got)
		}
	}
}

func must(request *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return request
}

func TestNewKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		self                 helseidtest.Selvbetjening
		body, delay, oldKey  string
		refuseText, noObject bool
	}{
		"keys live on":  {helseidtest.Selvbetjening{}, "both", "0s at most", "yes", false, false},
		"keys die":      {helseidtest.Selvbetjening{OldKeysDie: true}, "both", "0s at most", "no", false, false},
		"a delay":       {helseidtest.Selvbetjening{KeyDelay: 12 * time.Second}, "both", "15s at most", "yes", false, false},
		"no text":       {helseidtest.Selvbetjening{}, "a JWK", "0s at most", "yes", true, false},
		"nothing works": {helseidtest.Selvbetjening{}, "neither", "", "", true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			folder := t.TempDir()
			w := world{server: []helseidtest.Option{test.self}, client: helseidtest.Client{Scopes: []string{someScope, helseidtest.SelvbetjeningScope}}}
			w.options.keyFile = filepath.Join(folder, "new.json")
			l, server := w.newTestLab(t)
			l.selfURL = server.SelvbetjeningURL()
			l.configFile = filepath.Join(folder, "client.json")
			private, err := l.config.Key.MarshalPrivateJWK()
			require.NoError(t, err)
			content, err := json.Marshal(map[string]any{"authority": server.Issuer(), "clientId": l.config.ClientID, "privateJwk": string(private), "extra": 1})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(l.configFile, content, 0o644))
			for _, refuse := range []bool{test.refuseText, test.noObject} {
				if refuse {
					server.Inject(helseidtest.Fault{Endpoint: "/selvbetjening/v1/client-secret", Status: 400})
				}
			}
			got, err := ask(t, l, "key_body")
			require.NoError(t, err, name)
			require.Equal(t, test.body, got.text, got.seen)
			written, err := helseid.LoadConfig(l.keyFile)
			require.NoError(t, err)
			require.Equal(t, l.config.ClientID, written.ClientID)
			info, err := os.Stat(l.keyFile)
			require.NoError(t, err)
			require.EqualValues(t, 0o600, info.Mode())
			if test.delay == "" {
				_, err = ask(t, l, "key_delay")
				require.ErrorAs(t, err, new(notAskedError))
				return
			}
			got, err = ask(t, l, "key_delay")
			require.NoError(t, err)
			require.Equal(t, test.delay, got.text, got.seen)
			got, err = ask(t, l, "old_key")
			require.NoError(t, err)
			require.Equal(t, test.oldKey, got.text, got.seen)
			// The file that was written is a configuration that works.
			written.HTTPClient = server.HTTPClient()
			client, err := helseid.New(written)
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{someScope}})
			require.NoError(t, err)
		})
	}
}

// A file that exists is not replaced, and then nothing is registered.
func TestKeyFileIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	w := world{server: []helseidtest.Option{helseidtest.Selvbetjening{}}, client: helseidtest.Client{Scopes: []string{someScope, helseidtest.SelvbetjeningScope}}, options: options{keyFile: path}}
	l, server := w.newTestLab(t)
	l.configFile = path
	_, err := ask(t, l, "key_body")
	require.ErrorIs(t, err, os.ErrExist)
	require.Empty(t, server.Requests("/selvbetjening/v1/client-secret"))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(content))
	l.configFile = "-"
	_, err = ask(t, l, "key_body")
	require.ErrorAs(t, err, new(notAskedError))
}

// What needs something that is not there is not asked, and without its flag nothing is
// changed.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	l, server := world{server: []helseidtest.Option{helseidtest.Selvbetjening{}}}.newTestLab(t)
	for _, question := range []string{
		"details_name", "details_array", "organization_form", "par_proof", "par_lifetime", "userinfo_scheme", "refresh_lifetime", "refresh_key",
		"refresh_reuse", "key_body", "key_delay", "old_key",
	} {
		_, err := ask(t, l, question)
		require.ErrorAs(t, err, new(notAskedError), question)
	}
	require.Empty(t, server.Requests(helseidtest.EndpointPAR, helseidtest.EndpointAuthorize, "/selvbetjening/v1/client-secret"))

	l, _ = world{options: options{login: true}}.newTestLab(t)
	_, err := ask(t, l, "refresh_reuse")
	require.Equal(t, needsRedirectURI, err)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	l, _ = world{options: options{login: true}, client: helseidtest.Client{RedirectURIs: []string{"http://" + taken.Addr().String() + "/"}}}.newTestLab(t)
	_, err = ask(t, l, "userinfo_scheme")
	require.ErrorAs(t, err, new(notAskedError))
}

func TestProductionIsRefused(t *testing.T) {
	t.Parallel()
	for issuer, refused := range map[string]bool{
		"https://helseid-sts.nhn.no": true, "https://helseid-sts.nhn.no/": true, "https://HELSEID-STS.NHN.NO": true, "https://helseid-sts.nhn.no:443": true,
		"https://helseid-sts.nhn.no.": true, "https://helseid-sts.nhn.no/a": true, "https://nhn.no": true, "https://other.nhn.no": true,
		"https://test.nhn.no": true, "https://evil-test.nhn.no": true, "http://helseid-sts.test.nhn.no": true, "helseid-sts.test.nhn.no": true,
		"https://helseid-sts.test.nhn.no": false, "https://helseid-sts.utvikling.nhn.no": false, "https://samsvarstesting-sts-test.helseid.sky.nhn.no/1": false,
		"http://localhost:8181": false, "https://helseid.example": false,
	} {
		err := refuseProduction(issuer)
		require.Equal(t, refused, err != nil, issuer)
	}
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := server.NewClient(helseidtest.Scopes(someScope))
	config.Issuer = helseid.Production.Issuer() + "/"
	_, err := newLab(config, helseid.TokenRequest{}, options{})
	require.ErrorContains(t, err, "never against production")
}

// The report goes on where a question has no answer, and ends when HelseID asks for a pause.
func TestReport(t *testing.T) {
	t.Parallel()
	run := func(change func(*helseidtest.Server), only string) (events []map[string]any, err error) {
		server := helseidtest.NewServer(t, helseidtest.InMemory())
		config := server.NewClient(helseidtest.Scopes(someScope))
		config.HTTPClient = server.HTTPClient()
		l, err := newLab(config, helseid.TokenRequest{}, options{})
		require.NoError(t, err)
		if change != nil {
			change(server)
		}
		asked, err := choose(only)
		require.NoError(t, err)
		var stdout, stderr bytes.Buffer
		root := cli.Command{Name: "t", Commands: []cli.Command{{Name: "report", Setup: func(*cli.Flags) cli.Run {
			return func(ctx context.Context, out *cli.Output, _ []string) error {
				err = report(ctx, out, l, asked)
				return nil
			}
		}}}}
		require.Zero(t, cli.Main(t.Context(), root, []string{"report", "-json"}, cli.System{
			Stdout: &stdout, Stderr: &stderr, Getenv: func(string) (string, bool) { return "", false },
		}))
		for decoder := json.NewDecoder(&stdout); decoder.More(); {
			var event map[string]any
			require.NoError(t, decoder.Decode(&event))
			events = append(events, event)
		}
		require.NotContains(t, stdout.String(), config.ClientID)
		return events, err
	}
	events, err := run(nil, "")
	require.NoError(t, err)
	require.Equal(t, "report", events[0]["event"])
	require.Len(t, events, len(questions())+2)
	summary := events[len(events)-1]
	require.EqualValues(t, len(questions()), summary["answered"].(float64)+summary["not_asked"].(float64))
	require.Less(t, summary["requests"], 90.0, "the help says about how many")

	broken := helseidtest.Fault{Endpoint: helseidtest.EndpointEndSession, Cut: true, Times: -1}
	events, err = run(func(s *helseidtest.Server) { s.Inject(broken) }, "end_session_post, nonce_reuse")
	require.ErrorIs(t, err, cli.ErrReported)
	require.NotEmpty(t, events[1]["problem"])
	require.Equal(t, "yes", events[2]["answer"])

	events, err = run(func(s *helseidtest.Server) {
		s.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointEndSession, Status: http.StatusTooManyRequests})
	}, "end_session_post,nonce_reuse")
	require.ErrorIs(t, err, errPause)
	require.Len(t, events, 1)

	_, err = run(func(s *helseidtest.Server) { s.RemoveClient(s.Clients()[0].ID) }, "")
	refused := new(helseid.TokenError)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "invalid_client", refused.Code)
	_, err = run(func(s *helseidtest.Server) {
		s.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Status: 404})
	}, "")
	require.ErrorIs(t, err, helseid.ErrInvalidResponse)
	_, err = choose("nothing")
	require.Error(t, err)
}
