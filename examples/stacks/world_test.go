package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/helseid-go/sdk/examples/stacks/stacksv1"
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
	stack   string
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
	own       backend
	around    bool // a guard around the whole stack, too
}

// routers are the stacks whose API has paths, forms and JSON.
var routers = []string{"servemux", "chi", "gin", "echo"}

// inEachRouter runs the test against the API in each of the routers.
func inEachRouter(t *testing.T, options func() worldOptions, test func(*world)) {
	for _, name := range routers {
		t.Run(name, func(t *testing.T) { test(newWorld(t, name, options())) })
	}
}

// inEachStack runs the test against the API in each of the stacks.
func inEachStack(t *testing.T, options func() worldOptions, test func(*world)) {
	for name := range stacks {
		t.Run(name, func(t *testing.T) { test(newWorld(t, name, options())) })
	}
}

func plain() worldOptions { return worldOptions{} }

func newWorld(t testing.TB, stack string, options worldOptions) *world {
	t.Helper()
	return newWorldOf(t, stack, stacks[stack], options)
}

// newWorldOf serves a stack that is like another one.
func newWorldOf(t testing.TB, like string, stack stack, options worldOptions) *world {
	t.Helper()
	w := &world{TB: t, stack: like, helseid: helseidtest.NewServer(t)}
	config := middleware.Config{Issuer: w.helseid.Issuer(), Audience: mint.DefaultAudience, Audit: w.audit}
	config.Proof.AcceptProofsFromBeforeStart = true // proofs may be made in the second before
	if options.config != nil {
		options.config(&config)
	}
	if options.everybody == nil {
		options.everybody = middleware.Scope(scope)
	}
	if options.own.keep == nil {
		options.own.keep = measure
	}
	if options.own.news == nil {
		options.own.news = threeEvents
	}
	var err error
	w.auth, err = middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(w.auth.Close)
	server, err := stack(w.auth, options.everybody, options.own)
	require.NoError(t, err)
	if web, ok := server.(*httpServer); ok {
		web.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	}
	if options.around { // net/http serves it, also gRPC's
		around := overHTTP(func(*middleware.Middleware, middleware.Requirement, backend) http.Handler {
			return w.auth.Guard()(server)
		})
		server, err = around(nil, nil, backend{})
		require.NoError(t, err)
		server.(*httpServer).ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.stop)
	w.url = "http://" + listener.Addr().String()
	// A request on a connection that the server has closed is sent again, and a proof is
	// good for one.
	transport := &http.Transport{DisableKeepAlives: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(w.stack != "grpc")
	transport.Protocols.SetUnencryptedHTTP2(w.stack == "grpc")
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
	Status  int
	Header  http.Header // and the trailers of gRPC
	Body    string
	code    string // of gRPC, or empty
	records []middleware.Record
}

func (w *world) send(request *http.Request) answer {
	w.Helper()
	if request.GetBody != nil {
		var err error
		request.Body, err = request.GetBody()
		require.NoError(w, err)
	}
	response, err := w.client.Do(request)
	require.NoError(w, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	require.NoError(w, response.Body.Close())
	got := answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	if response.Header.Get("Content-Type") == "application/grpc" {
		maps.Copy(got.Header, response.Trailer)
		number, err := strconv.Atoi(got.Header.Get("Grpc-Status"))
		require.NoError(w, err)
		got.code = codes.Code(number).String()
		message, err := url.PathUnescape(got.Header.Get("Grpc-Message"))
		require.NoError(w, err)
		got.Header.Set("Grpc-Message", message)
	}
	return got
}

// newRequest is a GET of the path or, in Connect and gRPC, the call that stands for it.
func (w *world) newRequest(path string) *http.Request {
	w.Helper()
	if w.stack != "connect" && w.stack != "grpc" {
		request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.url+path, nil)
		require.NoError(w, err)
		return request
	}
	method, query, asked := strings.Cut(path, "?")
	var message stacksv1.OrganizationRequest
	switch {
	case method == "/caller":
		method = stacksv1.Api_Caller_FullMethodName
	case method == "/clinician/caller":
		method = stacksv1.Clinician_Caller_FullMethodName
	case strings.HasPrefix(method, "/organizations/"):
		message.Organization = strings.TrimPrefix(method, "/organizations/")
		method = stacksv1.Api_Organization_FullMethodName
	}
	if asked {
		method += "?" + query
	}
	encode, contentType := proto.Marshal, "application/proto"
	if w.stack == "grpc" {
		encode, contentType = frame, "application/grpc"
	}
	body, err := encode(&message)
	require.NoError(w, err)
	request, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+method, bytes.NewReader(body))
	require.NoError(w, err)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("TE", "trailers")
	return request
}

// frame encodes a message as gRPC does.
func frame(message proto.Message) ([]byte, error) {
	data, err := proto.Marshal(message)
	return append([]byte{0, 0, 0, 0, byte(len(data))}, data...), err
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
