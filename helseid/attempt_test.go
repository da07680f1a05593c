package helseid_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// countingContext is a long-lived context that counts the children it has.
type countingContext struct {
	context.Context
	done     chan struct{}
	children atomic.Int64
}

func newCountingContext() *countingContext {
	return &countingContext{Context: context.Background(), done: make(chan struct{})}
}

func (c *countingContext) Done() <-chan struct{} { return c.done }

// AfterFunc is how package context registers a child with a context that it does
// not know.
func (c *countingContext) AfterFunc(func()) (stop func() bool) {
	c.children.Add(1)
	var stopped atomic.Bool
	return func() bool {
		if stopped.CompareAndSwap(false, true) {
			c.children.Add(-1)
			return true
		}
		return false
	}
}

// A service calls APIs in one context for as long as it lives. Nothing of a call
// stays there, however it ends.
func TestCallsLeaveNothingInTheirContext(t *testing.T) {
	t.Parallel()
	const calls = 200
	ways := map[string]struct {
		handler func(*http.Request) *http.Response
		end     func(*http.Response) error
	}{
		"no answer":      {func(*http.Request) *http.Response { return nil }, nil},
		"body closed":    {good, func(r *http.Response) error { return r.Body.Close() }},
		"body read":      {good, func(r *http.Response) error { _, err := io.Copy(io.Discard, r.Body); return err }},
		"no body":        {func(*http.Request) *http.Response { r := answer(204); r.Body = http.NoBody; return r }, nil},
		"a body of nil":  {func(*http.Request) *http.Response { r := answer(204); r.Body = nil; return r }, nil},
		"nonce demanded": {func(*http.Request) *http.Response { return nonceDemand("one") }, func(r *http.Response) error { return r.Body.Close() }},
		"a body in error": {func(*http.Request) *http.Response {
			r := answer(200)
			r.Body = io.NopCloser(&failingReader{io.ErrUnexpectedEOF})
			return r
		}, func(r *http.Response) error { _, _ = io.Copy(io.Discard, r.Body); return nil }},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.OnEvent = nil }})
			w.net.hosts[apiHost] = roundTripper(func(request *http.Request) (*http.Response, error) {
				response := way.handler(request)
				if response == nil {
					return nil, io.ErrUnexpectedEOF
				}
				return response, nil
			})
			w.token(t)
			ctx := newCountingContext()
			request := newRequest(t, "GET", apiURL, nil).WithContext(ctx)
			api := w.client.Transport(apiRequest)
			for range calls {
				response, err := api.RoundTrip(request)
				if err != nil {
					continue
				}
				require.NotNil(t, response.Body)
				if way.end != nil {
					require.NoError(t, way.end(response))
				}
			}
			require.Zero(t, ctx.children.Load(), "after %d calls", calls)
		})
	}
	t.Run("over sockets", func(t *testing.T) {
		t.Parallel()
		for _, http2 := range []bool{false, true} {
			api := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/break" {
					panic(http.ErrAbortHandler)
				}
				_, _ = io.WriteString(rw, "text")
			}))
			api.EnableHTTP2 = http2
			api.StartTLS()
			t.Cleanup(api.Close)
			w := newWorld(t, worldOptions{})
			throughNetwork(t, w, api.Client().Transport.(*http.Transport))
			ctx := newCountingContext()
			for range 20 {
				for _, path := range []string{"/x", "/break"} {
					for _, body := range []string{"", "text"} {
						request := newRequest(t, "POST", api.URL+path, strings.NewReader(body)).WithContext(ctx)
						_, err := send(t, w.client.HTTPClient(apiRequest), request)
						require.Equal(t, path == "/break", err != nil, "%v", err)
					}
				}
			}
			require.Eventually(t, func() bool { return ctx.children.Load() == 0 }, 5*time.Second, time.Millisecond)
		}
	})
}

// A body lives until it is closed, and no longer than the caller wants.
func TestStreamedAnswer(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		lines := make(chan string)
		api := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(http.StatusOK)
			for {
				_ = http.NewResponseController(rw).Flush()
				select {
				case line := <-lines:
					_, _ = io.WriteString(rw, line)
				case <-r.Context().Done():
					return
				}
			}
		}))
		api.EnableHTTP2 = http2
		api.StartTLS()
		t.Cleanup(api.Close)
		w := newWorld(t, worldOptions{})
		throughNetwork(t, w, api.Client().Transport.(*http.Transport))
		ctx, cancel := context.WithCancel(t.Context())
		response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "GET", api.URL, nil).WithContext(ctx))
		require.NoError(t, err)
		reader := bufio.NewReader(response.Body)
		for range 3 {
			lines <- "one line\n"
			line, err := reader.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "one line\n", line)
		}
		cancel()
		_, err = reader.ReadString('\n')
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, response.Body.Close())
	}
}

// After 101, the body is the connection (net/http.Response.Body).
func TestUpgradedConnection(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	t.Cleanup(api.Close)
	w := newWorld(t, worldOptions{})
	throughNetwork(t, w, &http.Transport{})
	ctx := newCountingContext()
	request := newRequest(t, "GET", api.URL, nil).WithContext(ctx)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "echo")
	response, err := w.client.HTTPClient(apiRequest).Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	conn, ok := response.Body.(io.ReadWriteCloser)
	require.True(t, ok, "%T", response.Body)
	reader := bufio.NewReader(conn)
	for range 3 {
		_, err = io.WriteString(conn, "a line\n")
		require.NoError(t, err)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "a line\n", line)
	}
	half, ok := conn.(interface{ CloseWrite() error })
	require.True(t, ok, "as net/http's has it")
	require.NoError(t, half.CloseWrite())
	_, err = reader.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, conn.Close())
	require.Zero(t, ctx.children.Load())
}

// trailerBody fills the request's trailers when it has been read, as net/http
// says that a body may.
type trailerBody struct {
	io.Reader
	request *http.Request
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.request.Trailer.Set("Digest", "the sum")
	}
	return n, err
}

func (b *trailerBody) Close() error { return nil }

func TestTrailersOfARequest(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		var sums []string
		api := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			sums = append(sums, r.Trailer.Get("Digest"))
			if len(sums) == 1 {
				rw.Header().Set("DPoP-Nonce", "one")
				rw.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
				rw.WriteHeader(http.StatusUnauthorized)
			}
		}))
		api.EnableHTTP2 = http2
		api.StartTLS()
		t.Cleanup(api.Close)
		w := newWorld(t, worldOptions{})
		throughNetwork(t, w, api.Client().Transport.(*http.Transport))
		request := newRequest(t, "POST", api.URL, nil)
		request.Trailer = http.Header{"Digest": nil}
		body := func() (io.ReadCloser, error) {
			return &trailerBody{strings.NewReader(strings.Repeat("text", 10_000)), request}, nil
		}
		request.Body, _ = body()
		request.GetBody = body
		request.ContentLength = -1
		// http.Client hands the transport a copy, with the same map.
		status, err := send(t, w.client.HTTPClient(apiRequest), request)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, []string{"the sum", "the sum"}, sums)
	}
}
