package selvbetjening_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

const otherScope = "nhn:test-api/read"

// world is a HelseID with a client that may use Selvbetjening.
type world struct {
	testing.TB
	server *helseidtest.Server
	config helseid.Config
	client *helseid.Client
}

// newWorld is in memory, with Selvbetjening as helseidtest plays it.
func newWorld(t testing.TB, options ...helseidtest.Option) *world {
	t.Helper()
	server := helseidtest.NewServer(t, append([]helseidtest.Option{helseidtest.Selvbetjening{}, helseidtest.InMemory()}, options...)...)
	return startWorld(t, server, server.NewClient(helseidtest.Scopes(selvbetjening.Scope, otherScope)))
}

func startWorld(t testing.TB, server *helseidtest.Server, config helseid.Config) *world {
	t.Helper()
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &world{t, server, config, client}
}

// self is a client of the API, that of the server unless the change names another.
func (w *world) self(changes ...func(*selvbetjening.Config)) *selvbetjening.Client {
	w.Helper()
	config := selvbetjening.Config{Client: w.client, BaseURL: w.server.SelvbetjeningURL()}
	for _, change := range changes {
		change(&config)
	}
	self, err := selvbetjening.New(config)
	require.NoError(w, err)
	return self
}

// fakeAPI is an API on a real socket that answers what the test says.
type fakeAPI struct {
	url string

	mu       sync.Mutex
	requests []received
}

// received is a request as the API has got it.
type received struct {
	method, path, body string
	header             http.Header
}

func newFakeAPI(t testing.TB, handler http.HandlerFunc) *fakeAPI {
	t.Helper()
	fake := &fakeAPI{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fake.mu.Lock()
		fake.requests = append(fake.requests, received{r.Method, r.URL.Path, string(body), r.Header.Clone()})
		fake.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	fake.url = server.URL
	return fake
}

func (f *fakeAPI) received() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]received(nil), f.requests...)
}

func (f *fakeAPI) count(method string) (n int) {
	for _, request := range f.received() {
		if request.method == method {
			n++
		}
	}
	return n
}

// answering gives the same answer to everything.
func answering(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		if w.Header().Get("Content-Type") == "" && body != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// with is a world on real sockets whose API is a fake one, without retries.
func with(t testing.TB, fake *fakeAPI, changes ...func(*selvbetjening.Config)) (*world, *selvbetjening.Client) {
	t.Helper()
	server := helseidtest.NewServer(t)
	w := startWorld(t, server, server.NewClient(helseidtest.Scopes(selvbetjening.Scope)))
	self := w.self(append([]func(*selvbetjening.Config){func(config *selvbetjening.Config) {
		config.BaseURL, config.Retries = fake.url, -1
	}}, changes...)...)
	return w, self
}

const registered = `{"apiScopes":[{"scope":"nhn:selvbetjening/client","status":"ok","statusReason":null}],"audienceSpecificClientClaims":[],` +
	`"redirectUris":[],"postLogoutRedirectUris":[],"childOrganizationNumbers":[]}`

func withoutMember(document, member string) string {
	return strings.Replace(document, `"`+member+`"`, `"x-`+member+`"`, 1)
}
