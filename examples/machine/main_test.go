package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

const scope = "nhn:some-api/read"

type output struct {
	code           int
	stdout, stderr string
}

var (
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
	temporary      = regexp.MustCompile(regexp.QuoteMeta(os.TempDir()) + `\S*`)
)

func machine(t *testing.T, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	out := output{code, stdout.String(), stderr.String()}
	for _, text := range []string{out.stdout, out.stderr} {
		require.NotRegexp(t, jwsLike, text)
		require.NotRegexp(t, identityNumber, temporary.ReplaceAllString(text, "")) // its names have digits
	}
	return out
}

// rig is a HelseID, an API and the client's file.
type rig struct {
	server *helseidtest.Server
	api    *httptest.Server
	calls  atomic.Int64
	file   string
}

func newRig(t *testing.T, handler http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{server: helseidtest.NewServer(t)}
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }
	}
	r.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.calls.Add(1)
		handler(w, req)
	}))
	t.Cleanup(r.api.Close)
	file := r.server.ConfigFile(helseidtest.Scopes(scope))
	r.file = writeFile(t, file)
	return r
}

func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// summary reads the last line of -json.
func summary(t *testing.T, out output) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out.stdout), "\n")
	var events []map[string]any
	for _, line := range lines {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event), "not JSON: %s", line)
		events = append(events, event)
	}
	last := events[len(events)-1]
	require.Equal(t, "summary", last["event"])
	calls := events[:len(events)-1]
	for _, call := range calls {
		require.Equal(t, "call", call["event"])
		require.Contains(t, call, "status")
	}
	require.InDelta(t, last["requests"], len(calls), 0)
	return last
}

func TestDemo(t *testing.T) {
	before := runtime.NumGoroutine() // and one more, in which the condition is looked at
	out := machine(t)
	require.Zero(t, out.code, out.stderr)
	require.Contains(t, out.stdout, "embedded HelseID")
	require.Contains(t, out.stdout, "first answer: 200")
	require.Contains(t, out.stdout, "1 requests, 1 good answers, 1 token requests (2 round trips), 1 nonce challenges")
	require.Contains(t, out.stderr, "plain http")

	// Nothing stays behind: neither a listener nor a connection.
	address := regexp.MustCompile(`http://(127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(out.stdout)[1]
	_, err := net.DialTimeout("tcp", address, time.Second)
	require.Error(t, err)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, 10*time.Millisecond)
}

func TestManyCalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	out := machine(t, "-json", "-config", r.file, "-scope", scope, "-url", r.api.URL+"/path?x=1", "-n", "50", "-c", "10")
	require.Zero(t, out.code, out.stderr)
	got := summary(t, out)
	require.Equal(t, map[string]any{
		"event": "summary", "requests": 50.0, "ok": 50.0, "failures": map[string]any{}, "scopes": []any{scope},
		"token_requests": 1.0, "round_trips": 2.0, "nonce_challenges": 1.0,
	}, got)
	require.EqualValues(t, 50, r.calls.Load())
	require.Len(t, r.server.Requests(helseidtest.EndpointToken), 2)
}

func TestFlagsReachTheServers(t *testing.T) {
	t.Parallel()
	var method, path string
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		method, path = req.Method, req.URL.RequestURI()
		w.WriteHeader(http.StatusNoContent)
	})
	// The file leads nowhere: the flag does. A trailing slash is cut off.
	file := writeFile(t, replace(t, r.file, r.server.Issuer(), "https://helseid.invalid"))
	out := machine(t, "-config", file, "-issuer", r.server.Issuer()+"/", "-scope", " "+scope+" ", "-resource", "nhn:some-api",
		"-method", "DELETE", "-url", r.api.URL+"/a?b=c")
	require.Zero(t, out.code, out.stderr)
	require.Equal(t, "DELETE", method)
	require.Equal(t, "/a?b=c", path)
	form := r.server.Requests(helseidtest.EndpointToken)[1].Form
	require.Equal(t, scope, form.Get("scope"))
	require.Equal(t, "nhn:some-api", form.Get("resource"))
	require.Contains(t, out.stderr, "plain http")
	require.Contains(t, out.stdout, "first answer: 204")
}

func TestNoScopeFlagNoScopeParameter(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	out := machine(t, "-json", "-config", r.file, "-url", r.api.URL)
	require.Zero(t, out.code, out.stderr)
	for _, request := range r.server.Requests(helseidtest.EndpointToken) {
		require.NotContains(t, request.Form, "scope", "the file's scopes are not sent by themselves")
	}
	require.Equal(t, []any{scope}, summary(t, out)["scopes"])
}

func replace(t *testing.T, path, old, replacement string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(content), old)
	return []byte(strings.ReplaceAll(string(content), old, replacement))
}

func TestUsageErrorsSendNothing(t *testing.T) {
	t.Parallel()
	const ecWithRS = `{"authority":"%s","clientId":"c","privateJwk":{"kty":"EC","alg":"RS256","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}}`
	tests := map[string]struct {
		args func(r *rig, file func(string) string) []string
		says string
	}{
		"unknown flag":       {func(r *rig, _ func(string) string) []string { return []string{"-nonsense"} }, "nonsense"},
		"stray argument":     {func(r *rig, _ func(string) string) []string { return []string{"stray"} }, "stray"},
		"no calls":           {func(r *rig, _ func(string) string) []string { return []string{"-n", "0"} }, "-n"},
		"no time":            {func(r *rig, _ func(string) string) []string { return []string{"-timeout", "0"} }, "-timeout"},
		"no concurrency":     {func(r *rig, _ func(string) string) []string { return []string{"-c", "0"} }, "-c"},
		"count is a word":    {func(r *rig, _ func(string) string) []string { return []string{"-n", "many"} }, "many"},
		"config without url": {func(r *rig, _ func(string) string) []string { return []string{"-config", r.file} }, "-url"},
		"issuer without config": {func(r *rig, _ func(string) string) []string {
			return []string{"-issuer", r.server.Issuer(), "-url", r.api.URL}
		}, "-config"},
		"missing file": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", "nowhere.json", "-url", r.api.URL}
		}, "nowhere.json"},
		"broken JSON": {func(r *rig, file func(string) string) []string {
			return []string{"-config", file(`{"clientId":`), "-url", r.api.URL}
		}, "cut off"},
		"no key": {func(r *rig, file func(string) string) []string {
			return []string{"-config", file(`{"clientId":"c"}`), "-url", r.api.URL}
		}, "privateJwk"},
		"EC key with RS256": {func(r *rig, file func(string) string) []string {
			return []string{"-config", file(strings.Replace(ecWithRS, "%s", r.server.Issuer(), 1)), "-url", r.api.URL}
		}, "RS256"},
		"http issuer": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-issuer", "http://example.com", "-url", r.api.URL}
		}, "https is required"},
		"issuer no URL": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-issuer", "helseid", "-url", r.api.URL}
		}, "Issuer"},
		"http API": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", "http://example.com/"}
		}, "https is required"},
		"API on a mapped address": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", "http://[::ffff:127.0.0.1]:1/"}
		}, "https is required"},
		"API on ftp": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", "ftp://127.0.0.1/"}
		}, "https is required"},
		"relative URL": {func(r *rig, _ func(string) string) []string { return []string{"-config", r.file, "-url", "/things"} }, "absolute"},
		"URL that is none": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", "https://%zz/"}
		}, "absolute"},
		"method that is none": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", r.api.URL, "-method", "GE T"}
		}, "method"},
		"scope that is none": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", r.api.URL, "-scope", `a"b`}
		}, "Scopes"},
		"resource that is none": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", r.api.URL, "-resource", "a b"}
		}, "Resource"},
		"organisation that is none": {func(r *rig, _ func(string) string) []string {
			return []string{"-config", r.file, "-url", r.api.URL, "-child", "12345"}
		}, "Organization"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			out := machine(t, test.args(r, func(content string) string { return writeFile(t, []byte(content)) })...)
			require.Equal(t, 2, out.code, out.stderr)
			require.Contains(t, out.stderr, test.says)
			require.NotContains(t, out.stderr, "jpsQnnGQmL", "the key is quoted")
			require.Empty(t, out.stdout)
			require.Empty(t, r.server.Requests())
			require.Zero(t, r.calls.Load())
		})
	}
	t.Run("help", func(t *testing.T) {
		t.Parallel()
		out := machine(t, "-h")
		require.Zero(t, out.code)
		for _, flag := range []string{"-config", "-issuer", "-scope", "-resource", "-parent", "-child", "-journal-id", "-method", "-url", "-n", "-c", "-json"} {
			require.Contains(t, out.stderr, "  "+flag+"")
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	tests := map[string]struct {
		handler http.HandlerFunc
		prepare func(*rig)
		args    []string
		kind    string
		calls   int64
	}{
		"404":                {status(404), func(*rig) {}, nil, "status_404", 2},
		"500":                {status(500), func(*rig) {}, nil, "status_500", 2},
		"redirect elsewhere": {http.RedirectHandler("https://evil.example/", http.StatusFound).ServeHTTP, func(*rig) {}, nil, "redirect_refused", 2},
		"API breaks off":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(*rig) {}, nil, "api_unreachable", 2},
		"scope unknown":      {nil, func(*rig) {}, []string{"-scope", "nhn:some-api/delete"}, "token_invalid_scope", 0},
		"identity scope":     {nil, func(*rig) {}, []string{"-scope", "openid"}, "token_invalid_scope", 0},
		"HTML answer":        {nil, func(r *rig) { r.server.Inject(helseidtest.Fault{Body: "<html>", Times: -1}) }, nil, "helseid_invalid_response", 0},
		"half a document":    {nil, func(r *rig) { r.server.Inject(helseidtest.Fault{Body: `{"access_token":`, Times: -1}) }, nil, "helseid_invalid_response", 0},
		"another issuer": {nil, func(r *rig) {
			r.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Body: `{"issuer":"https://x.example.no"}`, Times: -1})
		}, nil, "helseid_issuer_mismatch", 0},
		"scope not granted": {nil, func(r *rig) {
			r.server.Inject(helseidtest.Fault{Body: `{"access_token":"opaque","token_type":"DPoP","expires_in":60,"scope":"other"}`, Times: -1})
		}, []string{"-scope", scope}, "scope_not_granted", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, test.handler)
			test.prepare(r)
			out := machine(t, append([]string{"-json", "-config", r.file, "-url", r.api.URL + "/x?pid=06828399789", "-n", "2"}, test.args...)...)
			require.Equal(t, 1, out.code)
			got := summary(t, out)
			require.InDelta(t, 0, got["ok"], 0)
			require.Equal(t, map[string]any{test.kind: 2.0}, got["failures"])
			require.Equal(t, test.calls, r.calls.Load())
			require.NotEmpty(t, out.stderr)
		})
	}
	t.Run("comma in a scope", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, nil)
		out := machine(t, "-config", r.file, "-url", r.api.URL, "-scope", scope+",nhn:some-api/write")
		require.Equal(t, 1, out.code)
		require.Contains(t, out.stderr, "separate scopes by spaces")
	})
	t.Run("server down", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, nil)
		r.server.Close()
		out := machine(t, "-json", "-config", r.file, "-url", r.api.URL)
		require.Equal(t, 1, out.code)
		require.Equal(t, map[string]any{"helseid_unavailable": 1.0}, summary(t, out)["failures"])
	})
	t.Run("no delegation", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, nil)
		file := r.server.ConfigFile(helseidtest.Client{Scopes: []string{scope}, MultiTenant: true, Delegations: []string{"994598759"}})
		out := machine(t, "-json", "-config", writeFile(t, file), "-url", r.api.URL, "-parent", "987654325")
		require.Equal(t, 1, out.code)
		got := summary(t, out)
		require.Equal(t, map[string]any{"token_invalid_request": 1.0}, got["failures"])
		require.InDelta(t, 1, got["token_requests"], 0, "a refused request is not sent twice")
		require.Contains(t, out.stdout, `"hid":"HID-1001"`)
	})
	t.Run("some calls fail", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1)%2 == 0 {
				w.WriteHeader(http.StatusTeapot)
			}
		})
		out := machine(t, "-config", r.file, "-url", r.api.URL, "-n", "4")
		require.Equal(t, 1, out.code)
		require.Contains(t, out.stdout, "4 requests, 2 good answers")
		require.Contains(t, out.stdout, "failed: 2 × status_418")
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		r := newRig(t, func(http.ResponseWriter, *http.Request) { cancel() })
		var stdout, stderr bytes.Buffer
		code := run(ctx, []string{"-config", r.file, "-url", r.api.URL, "-n", "1000"}, &stdout, &stderr)
		require.Equal(t, 1, code)
		require.LessOrEqual(t, r.calls.Load(), int64(2))
		require.Regexp(t, `\b[12] requests, [01] good answers`, stdout.String(), "only calls that were made count")
		require.Contains(t, stderr.String(), "calls were not made")
	})
	t.Run("an API that stalls", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		})
		out := machine(t, "-json", "-config", r.file, "-url", r.api.URL, "-timeout", "2s")
		require.Equal(t, 1, out.code)
		require.Equal(t, map[string]any{"api_timeout": 1.0}, summary(t, out)["failures"])
	})
	t.Run("a refusal in words", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) })
		out := machine(t, "-config", r.file, "-url", r.api.URL, "-n", "2")
		require.Equal(t, 1, out.code)
		require.Contains(t, out.stdout, "first answer: 403 not you")
		require.Regexp(t, `(?s)call 1: status_403, \d+ ms.*call 2: status_403, \d+ ms`, out.stdout)
	})
}

// Mistakes of the file and of the flags are told together.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	out := machine(t, "-config", writeFile(t, []byte(`{"clientId":7}`)), "-url", "nope")
	require.Equal(t, 2, out.code)
	for _, text := range []string{"clientId", "privateJwk", "-url"} {
		require.Contains(t, out.stderr, text)
	}
	r := newRig(t, nil)
	out = machine(t, "-config", r.file, "-issuer", "http://x.example", "-url", "nope")
	require.Equal(t, 2, out.code)
	for _, text := range []string{"Issuer", "-url"} {
		require.Contains(t, out.stderr, text)
	}
}
