package middleware_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/middleware"
)

const (
	testScope = mint.DefaultAudience + "/read"
	resource  = "https://api.example.no/journal/1"
)

// world is a HelseID in memory, an API behind the middleware, and what went on
// between them.
type world struct {
	testing.TB
	server  *helseidtest.Server
	net     *network
	auth    *middleware.Middleware
	handler http.Handler
	htu     string    // of the resource, as its clients see it
	key     *jose.Key // of the proofs that are made by hand

	mu      sync.Mutex
	callers []context.Context // of the requests that reached the handler
	records []middleware.Record
}

type worldOptions struct {
	server       []helseidtest.Option
	config       func(*middleware.Config)
	requirements []middleware.Requirement
	cold         bool // do not let a first request load the keys
}

// newWorld starts everything and, unless cold is set, sends one genuine request, so
// that the keys are known.
func newWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	w := &world{TB: t}
	w.server = helseidtest.NewServer(t, append(options.server, helseidtest.InMemory())...)
	w.net = &network{next: w.server.HTTPClient().Transport}
	var err error
	w.key, err = jose.GenerateKey()
	require.NoError(t, err)
	config := middleware.Config{Issuer: w.server.Issuer(), Audience: mint.DefaultAudience, Audit: w.audit}
	config.Token.HTTPClient = &http.Client{Transport: w.net}
	// Proofs from before the start are the subject of another test.
	config.Proof.AcceptProofsFromBeforeStart = true
	if options.config != nil {
		options.config(&config)
	}
	w.htu = resource
	if config.PublicURL != "" {
		w.htu = config.PublicURL + "/journal/1"
	}
	w.auth, err = middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(w.auth.Close)
	if options.requirements == nil {
		options.requirements = []middleware.Requirement{middleware.Scope(testScope)}
	}
	w.handler = w.auth.Require(w.reach, options.requirements...)
	if !options.cold {
		w.requireGenuine()
	}
	return w
}

// publishForge puts the forge's keys into the issuer's key set, beside its own.
func (w *world) publishForge() {
	w.Helper()
	response, err := w.server.HTTPClient().Get(w.server.Issuer() + string(helseidtest.EndpointJWKS))
	require.NoError(w, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	require.NoError(w, response.Body.Close())
	var set struct{ Keys []json.RawMessage }
	require.NoError(w, json.Unmarshal(body, &set))
	keys := theForge().published()
	for _, key := range set.Keys {
		keys = append(keys, string(key))
	}
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Times: -1, Body: `{"keys":[` + strings.Join(keys, ",") + `]}`})
}

func (w *world) reach(_ http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.callers = append(w.callers, r.Context())
}

func (w *world) audit(_ context.Context, record middleware.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, record)
}

func (w *world) reached() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.callers)
}

// caller is the context of the last request that reached the handler.
func (w *world) caller() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(w, w.callers)
	return w.callers[len(w.callers)-1]
}

func (w *world) lastRecord() middleware.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(w, w.records)
	return w.records[len(w.records)-1]
}

func (w *world) serve(request *http.Request) *http.Response { return serveOn(w, w.handler, request) }

// serveOn turns a panic into a failure of the test that caused it.
func serveOn(t testing.TB, handler http.Handler, request *http.Request) *http.Response {
	t.Helper()
	recorder := httptest.NewRecorder()
	func() {
		defer func() {
			if fault := recover(); fault != nil {
				t.Errorf("the middleware panicked: %v", fault)
			}
		}()
		handler.ServeHTTP(recorder, request)
	}()
	return recorder.Result()
}

// genuine is a request that must be accepted.
func (w *world) genuine(options ...mint.TokenOption) *http.Request {
	return w.genuineWith(w.server.Token(options...))
}

func (w *world) genuineWith(token string) *http.Request {
	request := httptest.NewRequest(http.MethodGet, resource+"?page=2", nil)
	w.server.Authorize(request, token)
	return request
}

func (w *world) requireGenuine() {
	w.Helper()
	before := w.reached()
	response := w.serve(w.genuine())
	require.Equal(w, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
	require.Equal(w, before+1, w.reached())
}

// fetches counts the requests for keys and for metadata.
func (w *world) fetches() (keys, metadata int) {
	return len(w.server.Requests(helseidtest.EndpointJWKS)), len(w.server.Requests(helseidtest.EndpointMetadata))
}

// network passes requests on to the HelseID in memory and counts requests to other
// hosts.
type network struct {
	next http.RoundTripper

	mu     sync.Mutex
	astray []string
	down   bool
}

const helseidHost = "helseid.test"

func (n *network) RoundTrip(request *http.Request) (*http.Response, error) {
	n.mu.Lock()
	down := n.down
	if request.URL.Host != helseidHost {
		n.astray = append(n.astray, request.URL.String())
	}
	n.mu.Unlock()
	if down || request.URL.Host != helseidHost {
		return nil, errors.New("no such host")
	}
	return n.next.RoundTrip(request)
}

func (n *network) setDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

func (n *network) strayed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.astray)
}

// plain is a request with any two headers.
func plain(authorization, proof string) *http.Request {
	request := httptest.NewRequest(http.MethodGet, resource, nil)
	request.Header["Authorization"] = []string{authorization}
	request.Header["Dpop"] = []string{proof}
	return request
}

// tokenHeader and tokenClaims are the parts of a valid token for the key "rs256" of the
// forge, as JSON text to be changed. The token is bound to w.key.
func (w *world) tokenHeader() string { return `{"typ":"at+jwt","alg":"RS256","kid":"rs256"}` }

func (w *world) tokenClaims() string {
	now := time.Now().Unix()
	return fmt.Sprintf(`{"iss":%q,"aud":%q,"client_id":"the-client","scope":[%q],"iat":%d,"nbf":%d,"exp":%d,"jti":%q,`+
		`"sub":"the-pseudonym","helseid://claims/identity/pid":%q,"cnf":{"jkt":%q}}`,
		w.server.Issuer(), mint.DefaultAudience, testScope, now, now, now+600, "token-"+jose.NewID(),
		mint.DefaultPersonalIdentityNumber, w.key.Public().Thumbprint())
}

// token signs a good token after changes to its header and claims.
func (w *world) token(header, claims edit) string {
	return compact(header.apply(w.tokenHeader()), claims.apply(w.tokenClaims()), pkcs1(theForge().rsa, crypto.SHA256))
}

func (w *world) proofHeader() string {
	return fmt.Sprintf(`{"typ":"dpop+jwt","alg":%q,"jwk":%s}`, w.key.Public().Algorithm(), w.key.Public().JWK())
}

func (w *world) proofClaims(token string) string {
	return fmt.Sprintf(`{"jti":%q,"htm":"GET","htu":%q,"iat":%d,"ath":%q}`, "proof-"+jose.NewID(), w.htu, time.Now().Unix(), hashOf(token))
}

// proof signs a good proof after changes to its header and claims.
func (w *world) proof(token string, header, claims edit) string {
	proof, err := w.key.SignRaw(context.Background(), []byte(header.apply(w.proofHeader())), []byte(claims.apply(w.proofClaims(token))))
	require.NoError(w, err)
	return proof
}

func hashOf(token string) string {
	digest := sha256.Sum256([]byte(token))
	return b64(digest[:])
}

// edit changes a JSON text. Nil leaves it.
type edit func(string) string

func (e edit) apply(text string) string {
	if e == nil {
		return text
	}
	return e(text)
}

// with replaces a top-level member's value, or adds the member. The value is
// JSON text; without one the member is taken out.
func with(name, value string) edit {
	return func(text string) string {
		object, err := jose.ParseObject([]byte(text))
		if err != nil {
			panic(err)
		}
		var out jose.ObjectBuilder
		found := false
		for _, member := range object.Names() {
			switch {
			case member != name:
				out.Raw(member, object.Get(member).Raw())
			case value != "":
				out.Raw(name, value)
				found = true
			}
		}
		if !found && value != "" {
			out.Raw(name, value)
		}
		return string(out.Bytes())
	}
}

func without(name string) edit { return with(name, "") }

// also appends members as text, whether or not they are there already.
func also(members string) edit {
	return func(text string) string { return strings.TrimSuffix(text, "}") + "," + members + "}" }
}

func replace(old, replacement string) edit {
	return func(text string) string {
		if !strings.Contains(text, old) {
			panic("nothing to replace: " + old)
		}
		return strings.ReplaceAll(text, old, replacement)
	}
}

func entirely(text string) edit { return func(string) string { return text } }

func both(edits ...edit) edit {
	return func(text string) string {
		for _, e := range edits {
			text = e(text)
		}
		return text
	}
}

// jsonText writes a text as JSON.
func jsonText(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// proofAt dates a proof this many seconds from now.
func proofAt(seconds int64) mint.ProofOption {
	return mint.ProofClaim("iat", time.Now().Unix()+seconds)
}

// linesOf counts the lines of a function's body, without comments.
func linesOf(source, function string) (lines int) {
	_, body, _ := strings.Cut(source, function)
	body, _, _ = strings.Cut(body, "\n}\n")
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	return lines - 1
}

// wait moves a synctest bubble's clock.
func wait(d time.Duration) { <-time.After(d) }
