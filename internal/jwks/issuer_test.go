package jwks

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	issuerURL = "https://issuer.test"
	keysURL   = issuerURL + "/keys"
)

// issuer is an authorization server without a network.
type issuer struct {
	mu       sync.Mutex
	jwksURI  string
	sets     map[string]string // by URL
	status   map[string]int    // by URL; 0 is 200
	delay    time.Duration
	delays   map[string]time.Duration // by URL, instead
	requests []string
}

func newIssuer(kids ...string) *issuer {
	return &issuer{jwksURI: keysURL, sets: map[string]string{keysURL: jwkSet(kids...)}, status: make(map[string]int), delays: make(map[string]time.Duration)}
}

func (i *issuer) RoundTrip(request *http.Request) (*http.Response, error) {
	i.mu.Lock()
	url := request.URL.String()
	i.requests = append(i.requests, url)
	delay, status, body := cmp.Or(i.delays[url], i.delay), i.status[url], i.sets[url]
	if url == issuerURL+"/.well-known/openid-configuration" {
		document, _ := json.Marshal(map[string]any{"issuer": issuerURL, "jwks_uri": i.jwksURI})
		body = string(document)
	} else if body == "" && status == 0 {
		status = http.StatusNotFound
	}
	i.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	recorder := httptest.NewRecorder()
	if status == 0 {
		status = http.StatusOK
	}
	if status == http.StatusFound {
		recorder.Header().Set("Location", keysURL+"/elsewhere")
	}
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result(), nil
}

func (i *issuer) change(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// count is how many requests went to a URL.
func (i *issuer) count(url string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, request := range i.requests {
		if request == url {
			n++
		}
	}
	return n
}

func (i *issuer) total() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.requests)
}

const metadataURL = issuerURL + "/.well-known/openid-configuration"

func (i *issuer) keySet(t testing.TB) *KeySet {
	t.Helper()
	client := &http.Client{Transport: i}
	set := New(metadata.NewSource(issuerURL, client), client)
	t.Cleanup(set.Close)
	return set
}

var testKey = sync.OnceValue(func() *jose.Key {
	key, err := jose.GenerateKey()
	if err != nil {
		panic(err)
	}
	return key
})

// jwkSet is a set with one key under several ids.
func jwkSet(kids ...string) string {
	keys := make([]string, len(kids))
	for i, kid := range kids {
		keys[i] = jwkOf(kid)
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

func jwkOf(kid string) string {
	return fmt.Sprintf(`{"kid":%q,"use":"sig","alg":"ES256",%s`, kid, strings.TrimPrefix(testKey().Public().JWK(), "{"))
}

func requireKnown(t testing.TB, set *KeySet, kid string) uint64 {
	t.Helper()
	keys, generation, err := set.Keys(context.Background(), kid)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NotZero(t, generation)
	return generation
}

func requireError(t testing.TB, set *KeySet, kid string, target error) {
	t.Helper()
	keys, generation, err := set.Keys(context.Background(), kid)
	require.ErrorIs(t, err, target)
	require.Empty(t, keys)
	require.Zero(t, generation)
}

// crowd is callers in a synctest bubble who ask for keys all the time, until stop.
func crowd(set *KeySet, kid func() string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for ctx.Err() == nil {
				_, _, _ = set.Keys(ctx, kid())
				wait(50 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// wait moves a synctest bubble's clock.
func wait(d time.Duration) { <-time.After(d) }
