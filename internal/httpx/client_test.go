package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// roundTrip is a transport that is a function, so that time can be that of a
// synctest bubble.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string, headers ...string) *http.Response {
	header := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

const documentURL = "https://sts.example/.well-known/openid-configuration"

func TestGet(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 302, 307, 308, 400, 401, 404, 501} {
		t.Run("no retry of "+strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			calls := 0
			client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				calls++
				require.Equal(t, documentURL, r.URL.String(), "no redirect is followed")
				require.Equal(t, http.MethodGet, r.Method)
				require.Equal(t, "application/json", r.Header.Get("Accept"))
				require.Empty(t, r.Header.Get("Authorization"))
				return answer(status, "body", "Location", "https://evil.example/"), nil
			})}
			resp, body, err := Get(context.Background(), client, documentURL, GetPolicy{Timeout: time.Second, Retries: 3})
			require.NoError(t, err)
			require.Equal(t, status, resp.StatusCode)
			require.Equal(t, "body", string(body))
			require.Equal(t, 1, calls)
		})
	}
	for _, status := range []int{429, 500, 502, 503} {
		t.Run("retries of "+strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
					calls++
					return answer(status, "body "+strconv.Itoa(calls)), nil
				})}
				resp, body, err := Get(t.Context(), client, documentURL, GetPolicy{Timeout: time.Second, Retries: 2})
				require.NoError(t, err)
				require.Equal(t, status, resp.StatusCode)
				require.Equal(t, "body 3", string(body), "the last answer comes back")
				require.Equal(t, 3, calls)
			})
		})
	}
	t.Run("a lost connection is tried again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				if calls++; calls == 1 {
					return nil, errors.New("connection reset")
				}
				return answer(200, "ok"), nil
			})}
			_, body, err := Get(t.Context(), client, documentURL, GetPolicy{Timeout: time.Second, Retries: 1})
			require.NoError(t, err)
			require.Equal(t, "ok", string(body))
		})
	})
	t.Run("no retries wanted", func(t *testing.T) {
		t.Parallel()
		lost := errors.New("connection reset")
		calls := 0
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			calls++
			return nil, lost
		})}
		_, _, err := Get(context.Background(), client, documentURL, GetPolicy{Timeout: time.Second})
		require.ErrorIs(t, err, lost)
		require.Equal(t, 1, calls)
	})
	t.Run("an error that is final", func(t *testing.T) {
		t.Parallel()
		refused := errors.New("no credential for it")
		calls := 0
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			calls++
			return nil, refused
		})}
		policy := GetPolicy{Timeout: time.Second, Retries: 3, Final: func(err error) bool { return errors.Is(err, refused) }}
		_, _, err := Get(context.Background(), client, documentURL, policy)
		require.ErrorIs(t, err, refused)
		require.Equal(t, 1, calls)
	})
	t.Run("a body without end", func(t *testing.T) {
		t.Parallel()
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			resp := answer(200, "")
			resp.Body, resp.ContentLength = io.NopCloser(endless{}), -1
			return resp, nil
		})}
		_, _, err := Get(context.Background(), client, documentURL, GetPolicy{Timeout: time.Second})
		require.ErrorIs(t, err, ErrTooLarge)
	})
	t.Run("a URL that is none", func(t *testing.T) {
		t.Parallel()
		_, _, err := Get(context.Background(), &http.Client{}, "https://[::1", GetPolicy{})
		require.Error(t, err)
	})
}

func TestGetWaits(t *testing.T) {
	t.Parallel()
	unavailable := func(retryAfter string) *http.Client {
		return &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return answer(503, "", "Retry-After", retryAfter), nil
		})}
	}
	// go-retryablehttp alone obeys any Retry-After: a day, or a time so long
	// that it overflows.
	for _, retryAfter := range []string{"", "0", "1", "86400", "9223372036", "18446744073709551615", "-5", "soon", "Fri, 31 Dec 2100 23:59:59 GMT"} {
		t.Run("Retry-After "+retryAfter, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, _, err := Get(t.Context(), unavailable(retryAfter), documentURL, GetPolicy{Timeout: time.Second, Retries: 3})
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(start), 3*maxRetryWait)
				require.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond, "a server in trouble is not hammered")
			})
		})
	}
	t.Run("the context wins over the wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, _, err := Get(ctx, unavailable("86400"), documentURL, GetPolicy{Timeout: time.Second, Retries: 5})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 500*time.Millisecond, time.Since(start))
		})
	})
	t.Run("an attempt has a limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done() // a server that never answers
				return nil, r.Context().Err()
			})}
			start := time.Now()
			_, _, err := Get(t.Context(), client, documentURL, GetPolicy{Timeout: 3 * time.Second})
			require.Error(t, err)
			require.Equal(t, 3*time.Second, time.Since(start))
		})
	})
}

func TestNoRedirect(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	followed := false
	original := &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		followed = true
		return nil
	}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		require.Equal(t, "sts.example", r.URL.Host)
		return answer(307, "", "Location", "https://evil.example/", "Set-Cookie", "a=b"), nil
	})}
	client := NoRedirect(original)
	require.Equal(t, time.Minute, client.Timeout)
	// net/http would send the body of a POST on to the other host.
	resp, err := client.Post("https://sts.example/connect/token", "application/x-www-form-urlencoded", strings.NewReader("client_assertion=x"))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 307, resp.StatusCode)
	require.False(t, followed)
	require.Empty(t, jar.Cookies(parse(t, "https://sts.example/connect/token")))
	require.NotNil(t, original.Jar, "the caller's client is left as it was")
}

func TestTransport(t *testing.T) {
	t.Parallel()
	require.Equal(t, http.DefaultTransport, Transport(&http.Client{}))
	own := NewTransport()
	require.Same(t, own, Transport(&http.Client{Transport: own}))
	require.NotNil(t, own.Proxy)
	require.NotSame(t, own, NewTransport())
	for _, wait := range []time.Duration{own.TLSHandshakeTimeout, own.ResponseHeaderTimeout, own.IdleConnTimeout, own.ExpectContinueTimeout} {
		require.Positive(t, wait)
	}
	if own.TLSClientConfig != nil {
		require.False(t, own.TLSClientConfig.InsecureSkipVerify)
	}
}

type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

// An answer that comes when the context has just ended is closed.
func TestGetClosesWhatComesTooLate(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	body := &closeRecorder{Reader: strings.NewReader("{}")}
	client := &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		cancel()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: request}, nil
	})}
	_, _, err := Get(ctx, client, documentURL, GetPolicy{Timeout: time.Second})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, body.closed)
}
