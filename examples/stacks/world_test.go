package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

const (
	organization = mint.DefaultParentOrganization
	neighbour    = "999977775"
	scope        = mint.DefaultAudience + "/read"
)

// What panics write is no failure of a test.
func TestMain(m *testing.M) {
	gin.DefaultErrorWriter = io.Discard
	chimiddleware.DefaultLogger = nil
	os.Exit(m.Run())
}

// world is an API in one of the stacks, and the HelseID that it trusts.
type world struct {
	testing.TB
	helseid *helseidtest.Server
	auth    *middleware.Middleware
	url     string
	client  *http.Client

	mu      sync.Mutex
	records []middleware.Record
}

type worldOptions struct {
	config    func(*middleware.Config)
	everybody middleware.Requirement
	keep      archive
	around    bool // a guard around the whole stack, too
}

// inEachStack runs the test against the API in each of the stacks.
func inEachStack(t *testing.T, options func() worldOptions, test func(*world)) {
	for name, stack := range stacks {
		t.Run(name, func(t *testing.T) { test(newWorld(t, stack, options())) })
	}
}

func plain() worldOptions { return worldOptions{} }

func newWorld(t testing.TB, stack stack, options worldOptions) *world {
	t.Helper()
	w := &world{TB: t, helseid: helseidtest.NewServer(t)}
	config := middleware.Config{Issuer: w.helseid.Issuer(), Audience: mint.DefaultAudience, Audit: w.audit}
	config.Proof.AcceptProofsFromBeforeStart = true // proofs may be made in the second before
	if options.config != nil {
		options.config(&config)
	}
	if options.everybody == nil {
		options.everybody = middleware.Scope(scope)
	}
	if options.keep == nil {
		options.keep = measure
	}
	var err error
	w.auth, err = middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(w.auth.Close)
	handler := stack(w.auth, options.everybody, options.keep)
	if options.around {
		handler = w.auth.Guard()(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	w.url = server.URL
	// A request on a connection that the server has closed is sent again, and a proof is
	// good for one.
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	w.client = &http.Client{Transport: transport}
	return w
}

func (w *world) audit(_ context.Context, record middleware.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, record)
}

// log is what is on record.
func (w *world) log() []middleware.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]middleware.Record(nil), w.records...)
}

// request is one with a good proof.
func (w *world) request(method, path string, body io.Reader, token ...mint.TokenOption) *http.Request {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, w.url+path, body)
	require.NoError(w, err)
	w.helseid.Authorize(request, w.helseid.Token(token...))
	return request
}

type answer struct {
	Status int
	Header http.Header
	Body   string
}

func (w *world) send(request *http.Request) answer {
	w.Helper()
	response, err := w.client.Do(request)
	require.NoError(w, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	require.NoError(w, response.Body.Close())
	return answer{response.StatusCode, response.Header, string(body)}
}

func (w *world) get(path string, token ...mint.TokenOption) answer {
	w.Helper()
	return w.send(w.request(http.MethodGet, path, nil, token...))
}

func (w *world) requireReason(reason string, status int, got answer) {
	w.Helper()
	require.Equal(w, status, got.Status, got.Body)
	var problem struct{ Reason string }
	require.NoError(w, json.Unmarshal([]byte(got.Body), &problem), got.Body)
	require.Equal(w, reason, problem.Reason)
}

func requireJSON(w *world, want string, got answer) {
	w.Helper()
	require.Less(w, got.Status, 300, got.Body)
	require.True(w, strings.HasPrefix(got.Header.Get("Content-Type"), "application/json"))
	require.JSONEq(w, want, got.Body)
}
