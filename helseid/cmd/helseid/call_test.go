package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

// api is an API behind the middleware, and a client's file for it.
type api struct {
	url, file string
	elsewhere string // another origin, which it redirects to from /elsewhere
}

func newAPI(t *testing.T) *api {
	t.Helper()
	server := helseidtest.NewServer(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a token has come to another origin")
		}
	}))
	t.Cleanup(elsewhere.Close)
	listening := httptest.NewUnstartedServer(nil)
	guard, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: "nhn:demo-api", PublicURL: "http://" + listening.Listener.Addr().String()})
	require.NoError(t, err)
	t.Cleanup(guard.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "session=hidden-session")
		w.Header().Set("X-Seen", r.Method+" "+r.Header.Get("Content-Type")+" "+strings.Join(r.Header.Values("X-Own"), "+"))
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/binary", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0, 1}) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.Handle("/here", http.RedirectHandler("/echo", http.StatusTemporaryRedirect))
	mux.Handle("/elsewhere", http.RedirectHandler(elsewhere.URL+"/?secret=query", http.StatusFound))
	mux.Handle("/user", guard.Require(func(http.ResponseWriter, *http.Request) {}, middleware.SecurityLevel(4)))
	mux.HandleFunc("/bearer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	mux.HandleFunc("/silent", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	listening.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bearer" || r.URL.Path == "/silent" || r.URL.Path == "/user" {
			mux.ServeHTTP(w, r)
			return
		}
		guard.Require(mux.ServeHTTP).ServeHTTP(w, r)
	})
	listening.Start()
	t.Cleanup(listening.Close)
	return &api{listening.URL, configFile(t, server, helseidtest.Client{Scopes: []string{"nhn:demo-api/read"}}), elsewhere.URL}
}

func TestCall(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "body"), []byte("from a file\n"), 0o600))
	for name, test := range map[string]struct {
		path      string
		arguments []string
		stdin     string
		exit      int
		stdout    string
		stderr    []string // parts
	}{
		"nothing":              {path: "/echo"},
		"a body":               {path: "/echo", arguments: []string{"-d", "text"}, stdout: "text"},
		"an empty body":        {path: "/echo", arguments: []string{"-d", "", "-v"}, stderr: []string{"> POST"}},
		"a file":               {path: "/echo", arguments: []string{"-d", "@body", "-v"}, stdout: "from a file\n", stderr: []string{"X-Seen: POST application/json"}},
		"standard input":       {path: "/echo", arguments: []string{"-d", "@-"}, stdin: "from\nstdin\n", stdout: "from\nstdin\n"},
		"a method and headers": {path: "/echo", arguments: []string{"-X", "PUT", "-H", "x-own: 1", "-H", "X-Own:2", "-H", "Content-Type: text/x", "-d", "a", "-v"}, stdout: "a", stderr: []string{"X-Seen: PUT text/x 1+2"}},
		"a redirect":           {path: "/here", arguments: []string{"-d", "again"}, stdout: "again"},
		"a redirect elsewhere": {path: "/elsewhere", exit: 1, stderr: []string{"origin refused"}},
		"a refusal":            {path: "/user", exit: 1, stdout: "*", stderr: []string{"the answer is 403 Forbidden", `error="insufficient_scope"`, "the token lacks a right"}},
		"a bearer API":         {path: "/bearer", exit: 1, stderr: []string{"the API demands Bearer", "may accept bearer tokens only"}},
		"no reason":            {path: "/silent", exit: 1, stderr: []string{"does not say why"}},
		"nothing there":        {path: "/nothing", exit: 1, stdout: "404 page not found\n", stderr: []string{"the answer is 404 Not Found"}},
		"half an answer":       {path: "/broken", exit: 1, stdout: "half", stderr: []string{"status 200", "broke off"}},
		"no such file":         {path: "/echo", arguments: []string{"-d", "@nothing"}, exit: 2, stderr: []string{"nothing"}},
		"a token of one's own": {path: "/echo", arguments: []string{"-H", "authorization: Bearer hidden-token"}, exit: 2, stderr: []string{"Authorization is not yours to set"}},
		"a proof of one's own": {path: "/echo", arguments: []string{"-H", "dpop: hidden-token"}, exit: 2, stderr: []string{"Dpop is not yours to set"}},
		"a cookie":             {path: "/echo", arguments: []string{"-H", "Cookie: hidden-token"}, exit: 2, stderr: []string{"Cookie is not yours to set"}},
		"another host":         {path: "/echo", arguments: []string{"-H", "Host: evil.example"}, exit: 2, stderr: []string{"Host is not yours to set"}},
		"no header":            {path: "/echo", arguments: []string{"-H", "x"}, exit: 2, stderr: []string{`"Name: value"`}},
		"TRACE":                {path: "/echo", arguments: []string{"-X", "TRACE"}, exit: 2, stderr: []string{"TRACE"}},
		"no method":            {path: "/echo", arguments: []string{"-X", "A B"}, exit: 2, stderr: []string{"-X"}},
		"two URLs":             {path: "/echo", arguments: []string{"other"}, exit: 2, stderr: []string{"unexpected argument"}},
		"the query of a URL":   {path: "/echo?number=06828399789", arguments: []string{"-v"}, stderr: []string{"/echo?number=***********"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runIn(t, folder, []string{"HELSEID_CONFIG=" + api.file}, []byte(test.stdin), append([]string{"call", api.url + test.path}, test.arguments...)...)
			require.Equal(t, test.exit, got.exit, got.stderr)
			if test.stdout != "*" {
				require.Equal(t, test.stdout, got.stdout)
			}
			for _, part := range test.stderr {
				require.Contains(t, got.stderr, part)
			}
			for _, hidden := range []string{"hidden-token", "hidden-session", "secret=query"} {
				require.NotContains(t, got.stderr, hidden)
			}
		})
	}
}

// What was sent is shown without what lets somebody in.
func TestCallVerbose(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	got := run(t, nil, nil, "call", "-v", "-config", api.file, "-H", "X-Api-Key: hidden-key", api.url+"/echo")
	require.Equal(t, 0, got.exit, got.stderr)
	for _, part := range []string{
		"> POST http://127.0.0.1:", "< HTTP/1.1 400 Bad Request", "> Authorization: DPoP [redacted]", "> DPoP: [redacted]", "> X-Api-Key: [redacted]",
		`the proof says {"jti":`, `"htm":"GET","htu":"` + api.url + `/echo"`, "< HTTP/1.1 200 OK", "< Set-Cookie: [redacted]",
	} {
		require.Contains(t, got.stderr, part)
	}
	require.NotContains(t, got.stderr, "hidden")
}

// The reason in the body says more than the challenge does, and the body is printed all the same.
func TestCallReasons(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	got := run(t, nil, nil, "call", "-config", api.file, strings.Replace(api.url, "127.0.0.1", "localhost", 1)+"/echo")
	require.Equal(t, 1, got.exit)
	var problem struct{ Reason string }
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &problem), got.stdout)
	require.Equal(t, "proof_htu", problem.Reason)
	require.Contains(t, got.stderr, "127.0.0.1 and localhost are two names")
	require.NotContains(t, got.stderr, "clock")
}

func TestCallJSON(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	call := func(arguments ...string) (event struct {
		Event, Body, Body_base64, File string
		Status                         int
		Headers                        map[string][]string
		Problems                       []string
	}, exit int) {
		got := run(t, nil, nil, append([]string{"call", "-json", "-config", api.file}, arguments...)...)
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &event), got.stdout)
		return event, got.exit
	}
	event, exit := call("-d", "text", api.url+"/echo")
	require.Zero(t, exit)
	require.Equal(t, "call", event.Event)
	require.Equal(t, "text", event.Body)
	require.Equal(t, []string{"[redacted]"}, event.Headers["Set-Cookie"])
	event, exit = call(api.url + "/user")
	require.Equal(t, 1, exit)
	require.Equal(t, 403, event.Status)
	require.NotEmpty(t, event.Problems)
	event, _ = call(api.url + "/binary")
	require.Equal(t, "/wAB", event.Body_base64)
	file := filepath.Join(t.TempDir(), "answer")
	require.NoError(t, os.WriteFile(file, []byte("an older and longer answer"), 0o644))
	event, _ = call("-d", "text", "-o", file, api.url+"/echo")
	require.Equal(t, file, event.File)
	require.Empty(t, event.Body)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "text", string(content))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode())
}

// What cannot be called is a mistake in the usage: nothing is sent.
func TestCallRefusesURLs(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	for _, url := range []string{"", "api.example.no", "http://api.example.no", "https://user:hidden@api.example.no", "ftp://localhost", "https://", "https://[::1/"} {
		got := run(t, nil, nil, "call", "-config", api.file, url)
		require.Equal(t, 2, got.exit, url+got.stderr)
		require.NotContains(t, got.stderr, "hidden")
	}
	for _, url := range []string{"127.0.0.1:8181/api/echo", "localhost:8181", "api.example.no/x"} {
		got := run(t, nil, nil, "call", "-config", api.file, url)
		require.Contains(t, got.stderr, "must begin with https://", url)
	}
	got := run(t, nil, nil, "call", "-config", api.file)
	require.Equal(t, 2, got.exit)
	got = run(t, nil, nil, "call", "-config", "-", "-d", "@-", api.url)
	require.Equal(t, 2, got.exit)
}
