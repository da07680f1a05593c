package helseid_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// proofLog keeps the proofs that net/http writes to connections.
type proofLog struct {
	mu     sync.Mutex
	proofs []string
}

// watch returns a context in which the log sees what is written.
func (l *proofLog) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		if http.CanonicalHeaderKey(name) == "Dpop" {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.proofs = append(l.proofs, values...)
		}
	}})
}

func (l *proofLog) requireDistinct(t testing.TB, count int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, count, len(l.proofs), "proofs written") // which are not for a log
	seen := slices.Clone(l.proofs)
	slices.Sort(seen)
	require.Equal(t, count, len(slices.Compact(seen)), "one proof was written twice")
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0x0, 0x1, 0x3, 0x4, 0x7
	flagEndStream, flagAck, flagEndHeaders                          = 0x1, 0x1, 0x4
	protocolError, refusedStream                                    = 1, 7
)

// http2Conn speaks as much HTTP/2 as is needed to answer requests without
// understanding them.
type http2Conn struct{ net.Conn }

func (c http2Conn) frame(kind, flags byte, stream uint32, payload []byte) {
	header := make([]byte, 9, 9+len(payload))
	header[0], header[1], header[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	header[3], header[4] = kind, flags
	binary.BigEndian.PutUint32(header[5:], stream)
	_, _ = c.Write(append(header, payload...))
}

// serve calls the function when a request is complete, until it returns false.
func (c http2Conn) serve(answer func(c http2Conn, stream uint32) bool) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	c.frame(frameSettings, 0, 0, nil)
	for {
		header := make([]byte, 9)
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		payload := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		switch kind, flags := header[3], header[4]; {
		case kind == frameSettings && flags&flagAck == 0:
			c.frame(frameSettings, flagAck, 0, nil)
		case (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			if !answer(c, binary.BigEndian.Uint32(header[5:])) {
				return
			}
		}
	}
}

func (c http2Conn) ok(stream uint32) bool {
	c.frame(frameHeaders, flagEndStream|flagEndHeaders, stream, []byte{0x88}) // :status 200
	return true
}

func (c http2Conn) reset(stream, code uint32) bool {
	c.frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
	return true
}

// goAway says that no request has been processed, and ends the connection.
func (c http2Conn) goAway() bool {
	c.frame(frameGoAway, 0, 0, make([]byte, 8))
	return false
}

// newTLSAPI serves each connection by the protocol that was agreed upon.
func newTLSAPI(t testing.TB, config *tls.Config, serve func(conn *tls.Conn, protocol string)) (url string) {
	t.Helper()
	config.NextProtos = []string{"h2", "http/1.1"}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
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
				secured := conn.(*tls.Conn)
				if secured.Handshake() == nil {
					serve(secured, secured.ConnectionState().NegotiatedProtocol)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		cancel()
		group.Wait()
	})
	return "https://" + listener.Addr().String()
}

// refusing is a server that refuses the first requests.
func refusing(t *testing.T, secured *tls.Config, refusals int, refuse func(http2Conn, uint32) bool) (base string) {
	t.Helper()
	var requests atomic.Int64
	return newTLSAPI(t, secured, func(conn *tls.Conn, _ string) {
		http2Conn{conn}.serve(func(c http2Conn, stream uint32) bool {
			if requests.Add(1) <= int64(refusals) {
				return refuse(c, stream)
			}
			return c.ok(stream)
		})
	})
}

// netHTTPRepeats reports whether net/http sends a request without a proof again after such
// a refusal. That depends on the version of Go.
func netHTTPRepeats(t *testing.T, base string, secured *tls.Config) bool {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: secured, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(newRequest(t, "GET", base+"/x", nil))
	if err != nil {
		return false
	}
	return response.Body.Close() == nil
}

// If an HTTP/2 server's answer makes net/http send the request again, the proof is a new
// one.
func TestProofIsNotRepeatedOverHTTP2(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := testTLS(t)
	for name, refuse := range map[string]func(http2Conn, uint32) bool{
		"refused stream": func(c http2Conn, stream uint32) bool { return c.reset(stream, refusedStream) },
		"protocol error": func(c http2Conn, stream uint32) bool { return c.reset(stream, protocolError) },
		"going away":     func(c http2Conn, _ uint32) bool { return c.goAway() },
		"early hints, then refused stream": func(c http2Conn, stream uint32) bool {
			c.frame(frameHeaders, flagEndHeaders, stream, []byte("\x08\x03103")) // :status 103
			return c.reset(stream, refusedStream)
		},
	} {
		for _, method := range []string{"GET", "HEAD", "DELETE", "POST", "POST with Idempotency-Key"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				repeats := netHTTPRepeats(t, refusing(t, serverTLS.Clone(), 1, refuse), clientTLS.Clone())
				require.True(t, repeats || name == "protocol error", "before Go 1.27 that was repeated, too")
				for refusals := range 4 {
					api := refusing(t, serverTLS.Clone(), refusals, refuse)
					w := newWorld(t, worldOptions{})
					throughNetwork(t, w, &http.Transport{TLSClientConfig: clientTLS.Clone(), ForceAttemptHTTP2: true})
					var log proofLog
					verb, key, _ := strings.Cut(method, " ")
					var body io.Reader
					if verb == "POST" {
						body = strings.NewReader("text")
					}
					request := newRequest(t, verb, api+"/x", body)
					if key != "" {
						request.Header.Set("Idempotency-Key", "1")
					}
					status, err := send(t, w.client.HTTPClient(apiRequest), request.WithContext(log.watch(t.Context())))
					if refusals > 0 && !repeats {
						require.Error(t, err)
						log.requireDistinct(t, 1)
						require.Zero(t, w.events.of(helseid.EventRetry))
						continue
					}
					if refusals < 3 {
						require.NoError(t, err)
						require.Equal(t, 200, status)
						log.requireDistinct(t, refusals+1)
						require.Equal(t, refusals, w.events.of(helseid.EventRetry))
						continue
					}
					require.ErrorContains(t, err, "connection to the API was lost")
					require.NotErrorIs(t, err, context.Canceled, "nobody has cancelled it")
					log.requireDistinct(t, 3)
				}
			})
		}
	}
}

// switching is a transport that is one or another.
type switching struct{ current http.RoundTripper }

func (s *switching) RoundTrip(request *http.Request) (*http.Response, error) {
	return s.current.RoundTrip(request)
}

// What an origin spoke before says nothing of the next connection: behind one
// address there may be several servers.
func TestProofIsNotRepeatedWhereProtocolsTakeTurns(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := testTLS(t)
	var closing atomic.Bool
	api := newTLSAPI(t, serverTLS, func(conn *tls.Conn, protocol string) {
		if protocol == "h2" {
			http2Conn{conn}.serve(func(c http2Conn, stream uint32) bool { return c.ok(stream) })
			return
		}
		inner := &rawAPI{}
		inner.closing.Store(closing.Load())
		inner.serve(conn, func(int) { inner.closing.Store(closing.Load()) })
	})
	http1 := &http.Transport{TLSClientConfig: clientTLS.Clone()}
	http1.TLSClientConfig.NextProtos = []string{"http/1.1"}
	http2 := &http.Transport{TLSClientConfig: clientTLS.Clone(), ForceAttemptHTTP2: true}
	t.Cleanup(http2.CloseIdleConnections)
	w := newWorld(t, worldOptions{})
	throughNetwork(t, w, http1)
	turn := &switching{}
	w.net.fallback = turn
	var log proofLog
	call := func(transport *http.Transport) {
		turn.current = transport
		status, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", api+"/x", nil).WithContext(log.watch(t.Context())))
		require.NoError(t, err)
		require.Equal(t, 200, status)
	}
	call(http1)
	call(http2)
	closing.Store(true)
	call(http1) // over the first connection, which the server closes
	log.requireDistinct(t, 4)
	call(http2)
	call(http1)
	log.requireDistinct(t, 7)
	http1.CloseIdleConnections()
}

// A request whose body cannot be had again is never stopped, whatever connection
// it gets.
func TestUnrepeatableRequestOverAWarmConnection(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := testTLS(t)
	for _, scheme := range []string{"http", "https"} {
		for _, key := range []string{"", "Idempotency-Key", "X-Idempotency-Key"} {
			for _, method := range []string{"POST", "PUT", "GET", "OPTIONS"} {
				t.Run(scheme+" "+method+" "+key, func(t *testing.T) {
					t.Parallel()
					api := newRawAPI(t, tlsFor(scheme, serverTLS), nil)
					w := newWorld(t, worldOptions{})
					throughNetwork(t, w, &http.Transport{TLSClientConfig: clientTLS.Clone()})
					build := func() *http.Request {
						request := newRequest(t, method, api.url+"/x", io.NopCloser(strings.NewReader("text")))
						if key != "" {
							request.Header.Set(key, "1")
						}
						require.Nil(t, request.GetBody)
						return request
					}
					other := newClient(t, w.config) // as in a rotation of keys
					_, err := send(t, other.HTTPClient(apiRequest), build())
					require.NoError(t, err)
					status, err := send(t, w.client.HTTPClient(apiRequest), build())
					require.NoError(t, err)
					require.Equal(t, 200, status)
					api.requireDistinctProofs(t, 2)
					api.closing.Store(true)
					_, err = send(t, w.client.HTTPClient(apiRequest), build())
					require.Error(t, err, "the body is gone")
					api.requireDistinctProofs(t, 3)
				})
			}
		}
	}
}

// A repetition that is stopped reaches nobody: of the requests that the server has
// read, it has dropped all but the one that it answered.
func TestStoppedRepetitionReachesNobody(t *testing.T) {
	t.Parallel()
	const rounds = 40
	serverTLS, clientTLS := testTLS(t)
	for name, dial := range map[string]func(net.Conn) net.Conn{
		"http": nil, "https": nil,
		"http, connections without deadlines": func(conn net.Conn) net.Conn { return noDeadline{conn} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scheme, _, _ := strings.Cut(name, ",")
			api := newRawAPI(t, tlsFor(scheme, serverTLS), nil)
			w := newWorld(t, worldOptions{})
			transport := &http.Transport{TLSClientConfig: clientTLS.Clone(), MaxIdleConnsPerHost: 8}
			if dial != nil {
				transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
					if err != nil {
						return nil, err
					}
					return dial(conn), nil
				}
			}
			throughNetwork(t, w, transport)
			client := w.client.HTTPClient(apiRequest)
			for round := range rounds {
				api.closing.Store(false)
				var group sync.WaitGroup
				for range 3 { // several connections, so that another is at hand at once
					group.Go(func() {
						_, err := send(t, client, newRequest(t, "GET", api.url+"/warm", nil))
						assert.NoError(t, err)
					})
				}
				group.Wait()
				api.closing.Store(true)
				read, dropped := api.counts()
				request := newRequest(t, "POST", api.url+"/x", strings.NewReader(strings.Repeat("x", 100*(round%100))))
				request.Header.Set("Idempotency-Key", "1")
				_, err := send(t, client, request)
				readAfter, droppedAfter := api.counts()
				answered := 1
				if err != nil { // all of the three sendings were dropped
					require.Equal(t, 3, droppedAfter-dropped)
					answered = 0
				}
				require.Equal(t, droppedAfter-dropped+answered, readAfter-read, "a request that was stopped has been read")
				transport.CloseIdleConnections()
			}
			read, _ := api.counts()
			api.requireDistinctProofs(t, read)
		})
	}
}

// noDeadline is a connection that knows no deadlines.
type noDeadline struct{ net.Conn }

func (noDeadline) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func (a *rawAPI) counts() (read, dropped int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests), a.dropped
}

// A side request that a transport makes in the same context is not a repetition.
func TestTransportMaySendMore(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		api := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, "text")
		}))
		api.EnableHTTP2 = http2
		api.StartTLS()
		t.Cleanup(api.Close)
		base := api.Client().Transport.(*http.Transport)
		aside := func(ctx context.Context) {
			request, err := http.NewRequestWithContext(ctx, "GET", api.URL+"/aside", nil)
			assert.NoError(t, err)
			response, err := base.RoundTrip(request)
			if assert.NoError(t, err) {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		}
		w := newWorld(t, worldOptions{})
		throughNetwork(t, w, base)
		w.net.fallback = roundTripper(func(request *http.Request) (*http.Response, error) {
			aside(request.Context())
			response, err := base.RoundTrip(request)
			aside(request.Context())
			return response, err
		})
		for range 3 {
			response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "GET", api.URL+"/x", nil))
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, "text", string(body))
			require.NoError(t, response.Body.Close())
		}
		require.Zero(t, w.events.of(helseid.EventRetry))
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
