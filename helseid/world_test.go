package helseid_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/testkit"
)

const (
	testScope  = "nhn:test-api/read"
	otherScope = "nhn:test-api/write"
	apiHost    = "api.example.no"
	apiURL     = "https://api.example.no/things"
)

// world is a HelseID in memory, a client of it, and the network between them
// and any number of APIs.
type world struct {
	server *helseidtest.Server
	net    *network
	config helseid.Config
	client *helseid.Client
	events *eventCount
	key    *dpop.Key
}

type worldOptions struct {
	server []helseidtest.Option
	scopes []string
	config func(*helseid.Config)
}

// newWorld starts a server that wants no nonce, so that one token is one
// request; tests about nonces say so.
func newWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	if options.server == nil {
		options.server = []helseidtest.Option{helseidtest.Relaxed(rule.Nonce)}
	}
	if options.scopes == nil {
		options.scopes = []string{testScope, otherScope}
	}
	w := &world{events: &eventCount{}}
	w.server = helseidtest.NewServer(t, append(options.server, helseidtest.InMemory())...)
	w.net = &network{helseid: w.server.HTTPClient().Transport, hosts: make(map[string]http.RoundTripper)}
	w.config = w.server.NewClient(helseidtest.Scopes(options.scopes...))
	w.config.HTTPClient = &http.Client{Transport: w.net}
	w.config.OnEvent = w.events.add
	var err error
	w.key, err = dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	jwk, err := w.key.MarshalPrivateJWK()
	require.NoError(t, err)
	secrets.addKey("DPoP key", jwk)
	w.config.DPoPKey = w.key
	if options.config != nil {
		options.config(&w.config)
	}
	w.client = newClient(t, w.config)
	return w
}

func newClient(t testing.TB, config helseid.Config) *helseid.Client {
	t.Helper()
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func noRetries(config *helseid.Config) { config.TokenRetries = -1 }

func (w *world) token(t testing.TB) *helseid.Token {
	t.Helper()
	token, err := w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}})
	require.NoError(t, err)
	return token
}

// tokenRequests is how many requests the token endpoint has received.
func (w *world) tokenRequests() int {
	return len(w.server.Requests(helseidtest.EndpointToken))
}

// boundToken mints a token that is bound to the client's key.
func (w *world) boundToken(options ...mint.TokenOption) string {
	bound := mint.Claim("cnf", map[string]string{"jkt": w.key.Thumbprint()})
	token := w.server.Token(append([]mint.TokenOption{bound, mint.Scopes(testScope)}, options...)...)
	secrets.add("access token", token)
	return token
}

// tokenAnswer is a good token answer, with members replaced or, if nil, left out.
func (w *world) tokenAnswer(t testing.TB, changes map[string]any) string {
	t.Helper()
	members := map[string]any{"access_token": w.boundToken(), "token_type": "DPoP", "expires_in": 600, "scope": testScope}
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	body, err := json.Marshal(members)
	require.NoError(t, err)
	return string(body)
}

// api puts an API at a host.
func (w *world) api(host string, handler func(*http.Request) *http.Response) *stubAPI {
	api := &stubAPI{handler: handler}
	w.net.hosts[host] = api
	return api
}

// network sends requests to the HelseID in memory or to the APIs by host, and
// takes note of every credential that passes.
type network struct {
	helseid http.RoundTripper
	hosts   map[string]http.RoundTripper
	inspect func(*http.Request)

	fallback http.RoundTripper // for hosts that are not in memory
	clones   bool              // hands on a copy of each request
}

const helseidHost = "helseid.test"

func (n *network) RoundTrip(request *http.Request) (*http.Response, error) {
	if n.inspect != nil {
		n.inspect(request)
	}
	secrets.add("proof", request.Header.Get("DPoP"))
	if _, token, ok := strings.Cut(request.Header.Get("Authorization"), " "); ok {
		secrets.add("access token", token)
	}
	if request.URL.Host != helseidHost {
		api, ok := n.hosts[request.URL.Host]
		if !ok && n.fallback != nil {
			if n.clones {
				request = request.Clone(request.Context())
			}
			return n.fallback.RoundTrip(request)
		}
		if !ok {
			if request.Body != nil {
				_ = request.Body.Close()
			}
			return nil, errors.New("no such host")
		}
		return api.RoundTrip(request)
	}
	return n.toHelseID(request)
}

func (n *network) toHelseID(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		form, err := io.ReadAll(request.Body)
		_ = request.Body.Close()
		if err != nil {
			return nil, err
		}
		if values, err := url.ParseQuery(string(form)); err == nil {
			secrets.add("client assertion", values.Get("client_assertion"))
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(form))
	}
	response, err := n.helseid.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) == nil && strings.Count(answer.AccessToken, ".") == 2 {
		secrets.add("access token", answer.AccessToken)
	}
	response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), &failingReader{err}))
	return response, nil
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) {
	if r.err == nil {
		return 0, io.EOF
	}
	return 0, r.err
}

// stubAPI is an API that is a function. It keeps what it was sent.
type stubAPI struct {
	handler func(*http.Request) *http.Response
	mu      sync.Mutex
	calls   []apiCall
}

type apiCall struct {
	request *http.Request
	body    string
}

func (a *stubAPI) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		body, err = io.ReadAll(request.Body)
		_ = request.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	a.calls = append(a.calls, apiCall{request.Clone(context.WithoutCancel(request.Context())), string(body)})
	a.mu.Unlock()
	response := a.handler(request)
	if response == nil {
		return nil, errors.New("the connection broke")
	}
	response.Request = request
	return response, nil
}

func (a *stubAPI) received() []apiCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// answer makes a response; header is name, value, name, value.
func answer(status int, header ...string) *http.Response {
	response := &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader("the body")),
	}
	for i := 0; i+1 < len(header); i += 2 {
		response.Header.Add(header[i], header[i+1])
	}
	return response
}

func withBody(response *http.Response, body string) *http.Response {
	response.Body = io.NopCloser(strings.NewReader(body))
	return response
}

func good(*http.Request) *http.Response { return answer(http.StatusOK) }

// inTurn answers each request with the next of the responses, and then with
// 200.
func inTurn(responses ...*http.Response) func(*http.Request) *http.Response {
	var next atomic.Int64
	return func(*http.Request) *http.Response {
		if i := next.Add(1) - 1; i < int64(len(responses)) {
			return responses[i]
		}
		return answer(http.StatusOK)
	}
}

// nonceDemand is an API's answer that it wants a nonce.
func nonceDemand(nonce string) *http.Response {
	return answer(http.StatusUnauthorized, "WWW-Authenticate", `DPoP error="use_dpop_nonce"`, "DPoP-Nonce", nonce)
}

func tokenRefused() *http.Response {
	return answer(http.StatusUnauthorized, "WWW-Authenticate", `DPoP error="invalid_token", error_description="no"`)
}

// eventCount counts a client's events.
type eventCount struct {
	mu     sync.Mutex
	events []helseid.Event
}

func (c *eventCount) add(_ context.Context, event helseid.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, event)
}

func (c *eventCount) of(kind helseid.EventKind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, event := range c.events {
		if event.Kind == kind {
			n++
		}
	}
	return n
}

// jws decodes a JWS's header and claims without verifying it.
func jws(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3, "not a JWS")
	for i, target := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, target))
	}
	return header, claims
}

// proofClaims are the claims of the request's one proof, which is verified.
func proofClaims(t testing.TB, w *world, request *http.Request, target string) map[string]any {
	t.Helper()
	proofs := request.Header.Values("DPoP")
	require.Len(t, proofs, 1)
	scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	require.Equal(t, "DPoP", scheme)
	require.Len(t, request.Header.Values("Authorization"), 1)
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{AcceptProofsFromBeforeStart: true}) // the proof is older than it
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), proofs[0], dpop.Expectation{
		Method: request.Method, URI: target, AccessToken: token, Thumbprint: w.key.Thumbprint(),
	})
	require.NoError(t, err)
	_, claims := jws(t, proofs[0])
	return claims
}

// requireDistinctIDs checks that no jti reached HelseID or the API twice.
func requireDistinctIDs(t testing.TB, w *world, apis ...*stubAPI) {
	t.Helper()
	seen := make(map[string]bool)
	once := func(kind, claims string) {
		var members struct{ JTI string }
		require.NoError(t, json.Unmarshal([]byte(claims), &members))
		require.GreaterOrEqual(t, len(members.JTI), 22, "a %s's jti is too short", kind)
		require.False(t, seen[members.JTI], "a %s was sent twice", kind)
		seen[members.JTI] = true
	}
	for _, request := range w.server.Requests(helseidtest.EndpointToken) {
		once("assertion", request.Assertion)
		once("token endpoint's proof", request.Proof)
	}
	for _, api := range apis {
		for _, call := range api.received() {
			_, claims := jws(t, call.request.Header.Get("DPoP"))
			text, err := json.Marshal(claims)
			require.NoError(t, err)
			once("proof", string(text))
		}
	}
}

func get(t testing.TB, client *http.Client, target string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return response, err
}

// at waits, in the time of a synctest bubble, until so long after start.
func at(start time.Time, after time.Duration) { pause(time.Until(start.Add(after))) }

// pause lets the bubble's time pass.
func pause(d time.Duration) {
	testkit.Sleep(d)
}

// recordingJar is a cookie jar that must not be used.
type recordingJar struct{}

func (recordingJar) SetCookies(*url.URL, []*http.Cookie) { panic("a cookie of HelseID's is kept") }
func (recordingJar) Cookies(*url.URL) []*http.Cookie     { panic("a cookie is sent to HelseID") }
