package helseid_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// rawAPI is an HTTP/1.1 server on a bare listener. It answers the first request
// of a connection; what it does with further ones is up to the test.
type rawAPI struct {
	url     string
	closing atomic.Bool // read further requests of a connection, and close it without an answer

	mu       sync.Mutex
	requests []*http.Request
	raw      []string
	dropped  int // requests that were read and not answered
}

func newRawAPI(t testing.TB, config *tls.Config, hold func(nth int)) *rawAPI {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	api := &rawAPI{url: "http://" + listener.Addr().String()}
	if config != nil {
		config.NextProtos = []string{"http/1.1"}
		listener = tls.NewListener(listener, config)
		api.url = "https://" + listener.Addr().String()
	}
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			group.Go(func() {
				defer stop()
				api.serve(conn, hold)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		cancel()
		group.Wait()
	})
	return api
}

func (a *rawAPI) serve(conn net.Conn, hold func(int)) {
	defer conn.Close()
	var raw bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(conn, &raw))
	for first := true; ; first = false {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		a.mu.Lock()
		a.requests = append(a.requests, request)
		a.raw = append(a.raw, raw.String())
		nth := len(a.requests)
		a.mu.Unlock()
		raw.Reset()
		if hold != nil {
			hold(nth)
		}
		if a.closing.Load() && !first {
			a.mu.Lock()
			a.dropped++
			a.mu.Unlock()
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (a *rawAPI) requireDistinctProofs(t testing.TB, count int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := make(map[string]bool)
	for _, request := range a.requests {
		proof := request.Header.Get("DPoP")
		require.NotEmpty(t, proof)
		require.False(t, seen[proof], "the server saw one proof twice")
		seen[proof] = true
	}
	require.Len(t, a.requests, count)
}

// testTLS is the certificate of httptest, for 127.0.0.1, and a client that
// believes it.
func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	return &tls.Config{Certificates: https.TLS.Certificates},
		&tls.Config{RootCAs: https.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}

// throughNetwork lets the world's client reach real servers.
func throughNetwork(t testing.TB, w *world, transport *http.Transport) {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	w.net.fallback = transport
}

func send(t testing.TB, client *http.Client, request *http.Request) (int, error) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Body.Close()
}

// A server may close a connection just when a request comes in on it. net/http
// then sends some requests again by itself, and with them the same proof.
func TestProofIsNotRepeatedOnAStaleConnection(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := testTLS(t)
	for _, scheme := range []string{"http", "https"} {
		for _, method := range []string{"GET", "GET with body", "HEAD", "OPTIONS", "POST with Idempotency-Key", "POST with Idempotency-Key and no body"} {
			t.Run(scheme+" "+method, func(t *testing.T) {
				t.Parallel()
				api := newRawAPI(t, tlsFor(scheme, serverTLS), nil)
				w := newWorld(t, worldOptions{})
				throughNetwork(t, w, &http.Transport{TLSClientConfig: clientTLS.Clone()})
				client := w.client.HTTPClient(apiRequest)
				api.closing.Store(true)
				for range 2 {
					name, rest, _ := strings.Cut(method, " ")
					var body io.Reader
					if rest != "" && !strings.HasSuffix(rest, "no body") {
						body = strings.NewReader("text")
					}
					request := newRequest(t, name, api.url+"/x", body)
					if strings.Contains(rest, "Idempotency-Key") {
						request.Header.Set("Idempotency-Key", "1")
					}
					status, err := send(t, client, request)
					require.NoError(t, err)
					require.Equal(t, 200, status)
				}
				api.requireDistinctProofs(t, 3)
				require.Equal(t, 1, w.events.of(helseid.EventRetry))
			})
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			t.Run(scheme+" "+method+" is not repeated", func(t *testing.T) {
				t.Parallel()
				api := newRawAPI(t, tlsFor(scheme, serverTLS), nil)
				w := newWorld(t, worldOptions{})
				throughNetwork(t, w, &http.Transport{TLSClientConfig: clientTLS.Clone()})
				client := w.client.HTTPClient(apiRequest)
				_, err := send(t, client, newRequest(t, method, api.url+"/x", strings.NewReader("text")))
				require.NoError(t, err)
				api.closing.Store(true)
				_, err = send(t, client, newRequest(t, method, api.url+"/x", strings.NewReader("text")))
				require.Error(t, err)
				requireNoSecret(t, err)
				api.requireDistinctProofs(t, 2)
			})
		}
		for _, kind := range []string{"", ", whose transport clones its requests"} { // as those for traces do
			t.Run(scheme+" two clients share their connections"+kind, func(t *testing.T) {
				t.Parallel()
				api := newRawAPI(t, tlsFor(scheme, serverTLS), nil)
				w := newWorld(t, worldOptions{})
				throughNetwork(t, w, &http.Transport{TLSClientConfig: clientTLS.Clone()})
				w.net.clones = kind != ""
				body := func() io.Reader { return strings.NewReader("text") } // which net/http could rewind
				other := newClient(t, w.config)                               // with the same HTTPClient
				_, err := send(t, other.HTTPClient(apiRequest), newRequest(t, "GET", api.url+"/x", nil))
				require.NoError(t, err)
				api.closing.Store(true)
				status, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", api.url+"/x", nil))
				require.NoError(t, err)
				require.Equal(t, 200, status)
				api.requireDistinctProofs(t, 3)
				status, err = send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", api.url+"/x", body()))
				require.NoError(t, err)
				require.Equal(t, 200, status)
				api.requireDistinctProofs(t, 5)
			})
		}
		t.Run(scheme+" a request that waits for the first one's connection", func(t *testing.T) {
			t.Parallel()
			arrived, queued := make(chan struct{}), make(chan struct{})
			api := newRawAPI(t, tlsFor(scheme, serverTLS), func(nth int) {
				if nth == 1 {
					close(arrived)
					<-queued
				}
			})
			api.closing.Store(true)
			w := newWorld(t, worldOptions{})
			throughNetwork(t, w, &http.Transport{TLSClientConfig: clientTLS.Clone(), MaxConnsPerHost: 1})
			client := w.client.HTTPClient(apiRequest)
			var group sync.WaitGroup
			group.Go(func() {
				_, err := send(t, client, newRequest(t, "GET", api.url+"/1", nil))
				assert.NoError(t, err)
			})
			<-arrived
			var once sync.Once
			trace := &httptrace.ClientTrace{GetConn: func(string) { once.Do(func() { close(queued) }) }}
			request := newRequest(t, "GET", api.url+"/2", nil)
			_, err := send(t, client, request.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
			require.NoError(t, err)
			group.Wait()
			api.requireDistinctProofs(t, 3)
		})
	}
}

func tlsFor(scheme string, config *tls.Config) *tls.Config {
	if scheme == "http" {
		return nil
	}
	return config.Clone()
}

// Every connection of a pool can turn out to be closed. A request is sent three
// times at most.
func TestManyStaleConnections(t *testing.T) {
	t.Parallel()
	const connections = 6
	arrived, release := make(chan struct{}, connections), make(chan struct{})
	api := newRawAPI(t, nil, func(nth int) {
		if nth <= connections {
			arrived <- struct{}{}
			<-release
		}
	})
	w := newWorld(t, worldOptions{})
	throughNetwork(t, w, &http.Transport{MaxIdleConnsPerHost: connections})
	client := w.client.HTTPClient(apiRequest)
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			_, err := send(t, client, newRequest(t, "GET", api.url+"/x", nil))
			assert.NoError(t, err)
		})
	}
	for range connections {
		<-arrived
	}
	close(release)
	group.Wait()
	api.closing.Store(true)
	_, err := send(t, client, newRequest(t, "GET", api.url+"/x", nil))
	require.Error(t, err)
	requireNoSecret(t, err)
	api.requireDistinctProofs(t, connections+3)
}

// A server that takes too long on a connection that was used before has not
// closed it.
func TestSlowAnswerIsNotRepeated(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	api := newRawAPI(t, nil, func(nth int) {
		if nth == 2 {
			<-end
		}
	})
	t.Cleanup(func() { close(end) })
	w := newWorld(t, worldOptions{})
	throughNetwork(t, w, &http.Transport{ResponseHeaderTimeout: time.Second})
	client := w.client.HTTPClient(apiRequest)
	_, err := send(t, client, newRequest(t, "GET", api.url+"/x", nil))
	require.NoError(t, err)
	_, err = send(t, client, newRequest(t, "GET", api.url+"/x", nil))
	require.Error(t, err)
	api.requireDistinctProofs(t, 2)
}

// What keeps net/http from repeating a request must not be visible.
func TestRequestsWithoutBodyHaveNone(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE", "POST", "POST with Idempotency-Key", "DELETE with Idempotency-Key"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			api := newRawAPI(t, nil, nil)
			w := newWorld(t, worldOptions{})
			transport := &http.Transport{}
			throughNetwork(t, w, transport)
			name, _, keyed := strings.Cut(method, " ")
			build := func() *http.Request {
				request := newRequest(t, name, api.url+"/x", nil)
				if keyed {
					request.Header.Set("Idempotency-Key", "1")
				}
				return request
			}
			for range 2 {
				_, err := send(t, w.client.HTTPClient(apiRequest), build())
				require.NoError(t, err)
			}
			_, err := send(t, &http.Client{Transport: transport}, build()) // as net/http alone would send it
			require.NoError(t, err)
			for _, field := range []string{"Content-Length:", "Transfer-Encoding:"} {
				for i := range 2 {
					require.Equal(t, strings.Contains(api.raw[2], field), strings.Contains(api.raw[i], field), "%s in\n%s", field, redactedHeaders(api.raw[i]))
				}
			}
		})
	}
}

// The answer to a TRACE is the request, credentials and all (RFC 9110 section
// 9.3.8).
func TestTraceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	api := w.api(apiHost, good)
	request := newRequest(t, http.MethodTrace, apiURL, nil)
	_, err := send(t, w.client.HTTPClient(apiRequest), request)
	require.ErrorContains(t, err, "TRACE")
	require.ErrorContains(t, w.client.TokenSource(apiRequest).Authorize(t.Context(), request), "TRACE")
	require.Empty(t, api.received())
	require.Empty(t, w.server.Requests())
}

// redactedHeaders are the lines of a request without credentials.
func redactedHeaders(raw string) string {
	var kept []string
	for line := range strings.Lines(raw) {
		if !strings.HasPrefix(line, "Authorization:") && !strings.HasPrefix(line, "Dpop:") && !strings.HasPrefix(line, "DPoP:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	type seen struct {
		proto  string
		length int64
		body   string
		proof  string
	}
	var mu sync.Mutex
	var requests []seen
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		requests = append(requests, seen{r.Proto, r.ContentLength, string(body), r.Header.Get("DPoP")})
		first := len(requests) == 1
		mu.Unlock()
		if first {
			w.Header().Set("DPoP-Nonce", "one")
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	api.EnableHTTP2 = true
	api.StartTLS()
	t.Cleanup(api.Close)
	w := newWorld(t, worldOptions{})
	throughNetwork(t, w, api.Client().Transport.(*http.Transport))
	client := w.client.HTTPClient(apiRequest)
	for range 3 {
		status, err := send(t, client, newRequest(t, "GET", api.URL+"/x?y", nil))
		require.NoError(t, err)
		require.Equal(t, 200, status)
	}
	status, err := send(t, client, newRequest(t, "POST", api.URL+"/x", strings.NewReader("text")))
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Len(t, requests, 5)
	proofs := make(map[string]bool)
	for i, request := range requests {
		require.Equal(t, "HTTP/2.0", request.proto)
		require.False(t, proofs[request.proof])
		proofs[request.proof] = true
		if i < 4 {
			require.Zero(t, request.length, "a GET has a body")
			require.Empty(t, request.body)
		} else {
			require.Equal(t, "text", request.body)
		}
	}
}

// An HTTP/2 server may refuse a stream, and net/http then sends the request
// again by itself if it can. A token request must be built again.
func TestHTTP2TokenRequestIsNotRepeated(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := testTLS(t)
	serverTLS.NextProtos = []string{"h2"}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS)
	require.NoError(t, err)
	forms := make(chan string, 16)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { refuseStreams(conn, forms) })
		}
	})
	transport := &http.Transport{TLSClientConfig: clientTLS, ForceAttemptHTTP2: true}
	w := newWorld(t, worldOptions{config: func(c *helseid.Config) {
		c.RequestTimeout, c.EndpointOrigins = 3*time.Second, []string{"https://" + listener.Addr().String()}
	}})
	throughNetwork(t, w, transport)
	endpoint := "https://" + listener.Addr().String() + "/connect/token"
	w.server.Inject(helseidtest.Fault{
		Endpoint: helseidtest.EndpointMetadata, Body: metadataDocument(t, w, map[string]any{"token_endpoint": endpoint}),
	})
	_, err = w.client.Token(t.Context(), helseid.TokenRequest{})
	requireError(t, err, helseid.ErrUnavailable)
	transport.CloseIdleConnections()
	_ = listener.Close()
	group.Wait()
	close(forms)
	seen := make(map[string]bool)
	for form := range forms {
		require.Contains(t, form, "client_assertion=")
		require.False(t, seen[form], "a client assertion was sent twice")
		seen[form] = true
	}
	require.NotEmpty(t, seen)
}

// refuseStreams speaks as much HTTP/2 as is needed to read requests and refuse
// them with REFUSED_STREAM.
func refuseStreams(conn net.Conn, forms chan<- string) {
	defer conn.Close()
	const (
		data, reset, settings = 0x0, 0x3, 0x4
		endStream, ack        = 0x1, 0x1
		refusedStream         = 7
	)
	frame := func(kind, flags byte, stream uint32, payload []byte) {
		header := make([]byte, 9, 9+len(payload))
		header[0], header[1], header[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
		header[3], header[4] = kind, flags
		binary.BigEndian.PutUint32(header[5:], stream)
		_, _ = conn.Write(append(header, payload...))
	}
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	frame(settings, 0, 0, nil)
	bodies := make(map[uint32][]byte)
	for {
		header := make([]byte, 9)
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		payload := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(header[5:])
		switch kind, flags := header[3], header[4]; {
		case kind == settings && flags&ack == 0:
			frame(settings, ack, 0, nil)
		case kind == data:
			bodies[stream] = append(bodies[stream], payload...)
			if flags&endStream != 0 {
				select {
				case forms <- string(bodies[stream]):
				default:
				}
				frame(reset, 0, stream, binary.BigEndian.AppendUint32(nil, refusedStream))
			}
		}
	}
}

// Over real sockets, the trap must not even be connected to.
func TestRedirectOverSockets(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 307} {
		var connected atomic.Int64
		trap := httptest.NewUnstartedServer(http.NotFoundHandler())
		trap.Config.ConnState = func(net.Conn, http.ConnState) { connected.Add(1) }
		trap.Start()
		t.Cleanup(trap.Close)
		api := httptest.NewServer(http.RedirectHandler(trap.URL+"/stolen", status))
		t.Cleanup(api.Close)
		w := newWorld(t, worldOptions{})
		throughNetwork(t, w, &http.Transport{})
		_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "POST", api.URL+"/x", strings.NewReader("a secret body")))
		require.ErrorIs(t, err, helseid.ErrOriginRefused)
		require.Zero(t, connected.Load())

		request := helseid.TokenRequest{Scopes: []string{testScope}, AllowedOrigins: []string{api.URL, trap.URL}}
		_, err = send(t, w.client.HTTPClient(request), newRequest(t, "POST", api.URL+"/x", strings.NewReader("a body")))
		require.NoError(t, err)
		require.NotZero(t, connected.Load())
	}
}

// A client with no HTTPClient of the caller's owns its connections, and Close
// ends them. (Not parallel: it counts goroutines.)
func TestCloseEndsOwnConnections(t *testing.T) {
	server := helseidtest.NewServer(t)
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer api.Close()
	config := server.NewClient(helseidtest.Scopes(testScope))
	config.HTTPClient = nil
	before := runtime.NumGoroutine() // and one more, in which the condition is looked at
	for range 5 {
		client, err := helseid.New(config)
		require.NoError(t, err)
		_, err = send(t, client.HTTPClient(apiRequest), newRequest(t, "GET", api.URL, nil))
		require.NoError(t, err)
		client.Close()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, 10*time.Millisecond,
		"%d goroutines before, %d after", before, runtime.NumGoroutine())
}
