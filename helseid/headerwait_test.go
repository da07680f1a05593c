package helseid_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

func requireSilent(t testing.TB, err error, what string) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller had no deadline")
	require.NotErrorIs(t, err, context.Canceled)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.ErrorContains(t, err, "Config.APIHeaderTimeout")
	require.ErrorContains(t, err, what)
	requireNoSecret(t, err)
}

// withHeaderTimeout is a world whose client waits so long for an API.
func withHeaderTimeout(t testing.TB, limit time.Duration) *world {
	t.Helper()
	w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.APIHeaderTimeout = limit }})
	w.token(t)
	return w
}

// untilDone is a transport without limits, and an API that says nothing.
func untilDone(request *http.Request) (*http.Response, error) {
	<-request.Context().Done()
	return nil, request.Context().Err()
}

func TestSilentAPI(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ limit, want time.Duration }{
		"default": {0, 60 * time.Second}, "longer": {5 * time.Minute, 5 * time.Minute}, "shorter": {time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := withHeaderTimeout(t, test.limit)
				w.net.hosts[apiHost] = roundTripper(untilDone)
				for _, body := range []io.Reader{nil, strings.NewReader("text"), io.NopCloser(strings.NewReader("text"))} {
					start := time.Now()
					_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "POST", apiURL, body))
					requireSilent(t, err, "the headers of an answer")
					require.ErrorContains(t, err, test.want.String())
					require.Equal(t, test.want, time.Since(start))
				}
				require.Zero(t, w.events.of(helseid.EventRetry))
			})
		})
	}
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := withHeaderTimeout(t, -1)
			w.net.hosts[apiHost] = roundTripper(untilDone)
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			start := time.Now()
			_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", apiURL, nil).WithContext(ctx))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, 24*time.Hour, time.Since(start))
		})
	})
	t.Run("the caller's own limit stays the caller's", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := withHeaderTimeout(t, time.Minute)
			w.net.hosts[apiHost] = roundTripper(untilDone)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", apiURL, nil).WithContext(ctx))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotContains(t, err.Error(), "APIHeaderTimeout")
		})
	})
	t.Run("an answer that comes too late is closed", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := withHeaderTimeout(t, time.Minute)
			body := &trackedBody{Reader: strings.NewReader("text")}
			w.api(apiHost, func(*http.Request) *http.Response {
				pause(time.Minute + 1)
				response := answer(200)
				response.Body = body
				return response
			})
			_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", apiURL, nil))
			requireSilent(t, err, "headers")
			require.EqualValues(t, 1, body.closed.Load())
		})
	})
	t.Run("each sending has its own", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := withHeaderTimeout(t, time.Minute)
			responses := inTurn(nonceDemand("one"))
			w.api(apiHost, func(r *http.Request) *http.Response { pause(50 * time.Second); return responses(r) })
			status, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", apiURL, nil))
			require.NoError(t, err)
			require.Equal(t, 200, status)
		})
	})
	t.Run("a refusal whose body does not come", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := withHeaderTimeout(t, time.Minute)
			w.net.hosts[apiHost] = roundTripper(func(request *http.Request) (*http.Response, error) {
				response := answer(400, "DPoP-Nonce", "one", "Content-Type", "application/json")
				reader, writer := io.Pipe()
				context.AfterFunc(request.Context(), func() { _ = writer.CloseWithError(request.Context().Err()) })
				response.Body = reader
				return response, nil
			})
			start := time.Now()
			response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "GET", apiURL, nil))
			require.NoError(t, err)
			require.Equal(t, 400, response.StatusCode)
			require.Equal(t, time.Minute, time.Since(start))
			require.NoError(t, response.Body.Close())
		})
	})
}

// steps is a body that comes in parts, with a wait before each.
type steps struct {
	parts int
	wait  time.Duration
}

func (s *steps) Read(p []byte) (int, error) {
	if s.parts == 0 {
		return 0, io.EOF
	}
	s.parts--
	pause(s.wait)
	return copy(p, "part"), nil
}

// An upload may take as long as it takes, whether the caller's data or the API is
// slow, and so may an answer.
func TestLongTransfersAreNotCutOff(t *testing.T) {
	t.Parallel()
	slowly := func(wait time.Duration) roundTripper { // takes the request in parts
		return func(request *http.Request) (*http.Response, error) {
			buffer := make([]byte, 4)
			for {
				if _, err := request.Body.Read(buffer); err != nil {
					break
				}
				select {
				case <-time.After(wait):
				case <-request.Context().Done():
					return nil, request.Context().Err()
				}
			}
			return answer(200), nil
		}
	}
	for name, test := range map[string]struct {
		transport roundTripper
		body      io.Reader
		silent    bool
	}{
		"slow data":            {slowly(0), &steps{parts: 10, wait: 10 * time.Minute}, false},
		"slow API":             {slowly(59 * time.Second), &steps{parts: 10}, false},
		"slow API, large body": {slowly(time.Second), strings.NewReader(strings.Repeat("part", 20_000)), false},
		"API that stops":       {slowly(time.Hour), &steps{parts: 10}, true},
		"small body":           {slowly(59 * time.Second), strings.NewReader("part"), false},
	} {
		t.Run("upload: "+name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := withHeaderTimeout(t, 0)
				w.net.hosts[apiHost] = test.transport
				start := time.Now()
				_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "PUT", apiURL, test.body))
				if test.silent {
					requireSilent(t, err, "no more of the request")
					require.Equal(t, time.Minute, time.Since(start))
					return
				}
				require.NoError(t, err)
			})
		})
	}
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := withHeaderTimeout(t, 0)
			w.net.hosts[apiHost] = roundTripper(func(request *http.Request) (*http.Response, error) {
				response := answer(200)
				reader, writer := io.Pipe()
				go func() {
					for range 10 {
						pause(10 * time.Minute)
						if request.Context().Err() != nil {
							_ = writer.CloseWithError(request.Context().Err())
						}
						_, _ = io.WriteString(writer, "part")
					}
					_ = writer.Close()
				}()
				response.Body = reader
				return response, nil
			})
			response, err := w.client.HTTPClient(apiRequest).Do(newRequest(t, "GET", apiURL, nil))
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Len(t, body, 40)
			require.NoError(t, response.Body.Close())
		})
	})
}

// silentListener accepts connections, and says nothing.
func silentListener(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var group sync.WaitGroup
	var conns []net.Conn
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		group.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return listener.Addr().String()
}

// Over sockets, with a transport that has no limits of its own.
func TestSilentSocket(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		scheme string
		body   func() io.Reader
		what   string
	}{
		"after the connection":   {"http", func() io.Reader { return nil }, "headers of an answer"},
		"in the TLS handshake":   {"https", func() io.Reader { return nil }, "no connection"},
		"with a small body":      {"http", func() io.Reader { return strings.NewReader("text") }, "headers of an answer"},
		"in the midst of a body": {"http", func() io.Reader { return io.LimitReader(zeros{}, 1<<40) }, "no more of the request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := withHeaderTimeout(t, 2*time.Second) // enough for a connection on a busy machine
			throughNetwork(t, w, &http.Transport{})
			ctx := newCountingContext()
			request := newRequest(t, "POST", test.scheme+"://"+silentListener(t)+"/x", test.body()).WithContext(ctx)
			_, err := send(t, w.client.HTTPClient(apiRequest), request)
			requireSilent(t, err, test.what)
			require.Zero(t, ctx.children.Load())
		})
	}
	t.Run("over HTTP/2", func(t *testing.T) {
		t.Parallel()
		end := make(chan struct{})
		api := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
		api.EnableHTTP2 = true
		api.StartTLS()
		t.Cleanup(api.Close)
		t.Cleanup(func() { close(end) })
		w := withHeaderTimeout(t, 2*time.Second) // enough for a connection on a busy machine
		throughNetwork(t, w, api.Client().Transport.(*http.Transport))
		_, err := send(t, w.client.HTTPClient(apiRequest), newRequest(t, "GET", api.URL, nil))
		requireSilent(t, err, "was silent")
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
