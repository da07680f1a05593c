package metadata

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// host answers requests for the document without a network.
type host struct {
	mu       sync.Mutex
	requests []string
	delay    time.Duration
	err      error
	status   int
	header   http.Header
	body     string
}

func newHost() *host {
	h := &host{}
	h.repair()
	return h
}

func (h *host) repair() {
	h.delay, h.err, h.status, h.header = 0, nil, http.StatusOK, nil
	h.body = document(`"jwks_uri":"https://issuer.test/keys"`)
}

func (h *host) RoundTrip(request *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.requests = append(h.requests, request.URL.String())
	delay, err, status, header, body := h.delay, h.err, h.status, h.header, h.body
	h.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	if err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	maps.Copy(recorder.Header(), header)
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result(), nil
}

func (h *host) change(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}

func (h *host) source(required ...string) *Source {
	return NewSource(issuer, &http.Client{Transport: h}, required...)
}

// wait moves a synctest bubble's clock.
func wait(d time.Duration) { <-time.After(d) }

func requireEndpoint(t testing.TB, document *Document, err error, want string) {
	t.Helper()
	require.NoError(t, err)
	endpoint, err := document.Endpoint("jwks_uri")
	require.NoError(t, err)
	require.Equal(t, want, endpoint.String())
}

// The document is fetched on first use and kept for a day.
func TestGet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		source := h.source()
		require.Zero(t, h.count())
		for range 3 {
			found, err := source.Get(t.Context())
			requireEndpoint(t, found, err, "https://issuer.test/keys")
		}
		require.Equal(t, []string{"https://issuer.test/.well-known/openid-configuration"}, h.requests)
		h.change(func() { h.body = document(`"jwks_uri":"https://issuer.test/new"`) })
		wait(24*time.Hour - time.Second)
		found, err := source.Get(t.Context())
		requireEndpoint(t, found, err, "https://issuer.test/keys")
		require.Equal(t, 1, h.count())
		wait(time.Second)
		found, err = source.Get(t.Context())
		requireEndpoint(t, found, err, "https://issuer.test/new")
		require.Equal(t, 2, h.count())
	})
}

// An old document is better than none, and an outage is looked at again after a
// minute.
func TestStaleIfError(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(h *host){
		"status 500":     func(h *host) { h.status = http.StatusInternalServerError },
		"status 404":     func(h *host) { h.status = http.StatusNotFound },
		"connection":     func(h *host) { h.err = errors.New("connection refused") },
		"another issuer": func(h *host) { h.body = `{"issuer":"https://other.test"}` },
		"not JSON":       func(h *host) { h.body = "<html>" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				source := h.source()
				_, err := source.Get(t.Context())
				require.NoError(t, err)
				h.change(func() { fail(h) })
				wait(25 * time.Hour)
				found, err := source.Get(t.Context())
				requireEndpoint(t, found, err, "https://issuer.test/keys")
				failed := h.count()
				require.Greater(t, failed, 1)
				wait(50 * time.Second)
				found, err = source.Get(t.Context())
				requireEndpoint(t, found, err, "https://issuer.test/keys")
				require.Equal(t, failed, h.count())
				h.change(func() { h.repair(); h.body = document(`"jwks_uri":"https://issuer.test/new"`) })
				wait(20 * time.Second)
				found, err = source.Get(t.Context())
				requireEndpoint(t, found, err, "https://issuer.test/new")
			})
		})
	}
}

// A failed first fetch has the right category and is not remembered.
func TestFirstFetchFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail     func(h *host)
		want     error
		requests int
	}{
		"status 500":          {func(h *host) { h.status = 500 }, ErrUnavailable, 3},
		"status 429":          {func(h *host) { h.status = 429 }, ErrUnavailable, 3},
		"connection":          {func(h *host) { h.err = errors.New("connection refused") }, ErrUnavailable, 3},
		"never answers":       {func(h *host) { h.delay = time.Hour }, ErrUnavailable, 3},
		"status 404":          {func(h *host) { h.status = 404 }, ErrInvalid, 1},
		"status 204":          {func(h *host) { h.status = 204 }, ErrInvalid, 1},
		"redirect":            {func(h *host) { h.status, h.header = 302, http.Header{"Location": {"https://issuer.test/elsewhere"}} }, ErrInvalid, 1},
		"permanent redirect":  {func(h *host) { h.status, h.header = 308, http.Header{"Location": {"https://attacker.example/"}} }, ErrInvalid, 1},
		"HTML":                {func(h *host) { h.body, h.header = "<html>", http.Header{"Content-Type": {"text/html"}} }, ErrInvalid, 1},
		"another issuer":      {func(h *host) { h.body = `{"issuer":"https://other.test"}` }, ErrIssuerMismatch, 1},
		"duplicates":          {func(h *host) { h.body = document(`"issuer":"https://issuer.test"`) }, ErrInvalid, 1},
		"an endless document": {func(h *host) { h.body = document(`"x":"` + string(make([]byte, 2<<20)) + `"`) }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				test.fail(h)
				source := h.source()
				start := time.Now()
				found, err := source.Get(t.Context())
				require.Error(t, err)
				require.Nil(t, found)
				require.Less(t, time.Since(start), 25*time.Second)
				if test.want != nil {
					require.ErrorIs(t, err, test.want)
					require.Equal(t, test.requests, h.count())
				}
				for _, requested := range h.requests {
					require.Equal(t, issuer+wellKnownPath, requested)
				}
				h.change(h.repair)
				found, err = source.Get(t.Context())
				requireEndpoint(t, found, err, "https://issuer.test/keys")
			})
		})
	}
}

// A document without what it is needed for is not kept.
func TestRequiredEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		source := h.source("jwks_uri", "token_endpoint")
		_, err := source.Get(t.Context())
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, "token_endpoint")
		h.change(func() {
			h.body = document(`"jwks_uri":"https://issuer.test/keys","token_endpoint":"http://issuer.test/token"`)
		})
		_, err = source.Get(t.Context())
		require.ErrorIs(t, err, ErrInvalid)
		h.change(func() {
			h.body = document(`"jwks_uri":"https://issuer.test/keys","token_endpoint":"https://issuer.test/token"`)
		})
		found, err := source.Get(t.Context())
		requireEndpoint(t, found, err, "https://issuer.test/keys")
	})
}

// Renew tells what the server says at the given time or later, and an outage is an
// error, which costs the document nothing.
func TestRenew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		source := h.source()
		start := time.Now()
		_, err := source.Renew(t.Context(), start)
		require.NoError(t, err)
		h.change(func() { h.body = document(`"jwks_uri":"https://issuer.test/new"`) })
		wait(time.Minute)
		found, err := source.Renew(t.Context(), start)
		requireEndpoint(t, found, err, "https://issuer.test/keys")
		require.Equal(t, 1, h.count())
		found, err = source.Renew(t.Context(), start.Add(time.Nanosecond))
		requireEndpoint(t, found, err, "https://issuer.test/new")
		require.Equal(t, 2, h.count())
		found, err = source.Get(t.Context())
		requireEndpoint(t, found, err, "https://issuer.test/new")

		for _, status := range []int{http.StatusNotFound, http.StatusServiceUnavailable} {
			h.change(func() { h.status = status })
			wait(time.Second)
			asked := h.count()
			_, err = source.Renew(t.Context(), time.Now())
			require.Error(t, err)
			require.Equal(t, asked+1, h.count(), "there are no retries here")
			found, err = source.Get(t.Context())
			requireEndpoint(t, found, err, "https://issuer.test/new")
		}
		h.change(func() { h.repair() })
		found, err = source.Renew(t.Context(), time.Now())
		requireEndpoint(t, found, err, "https://issuer.test/keys")

		// An old document that serves for want of a better one is no answer.
		wait(25 * time.Hour)
		h.change(func() { h.status = http.StatusServiceUnavailable })
		before := time.Now()
		_, err = source.Get(t.Context())
		require.NoError(t, err)
		_, err = source.Renew(t.Context(), before)
		require.ErrorIs(t, err, ErrUnavailable)
	})
}

// A document that comes while an attempt to replace the old one fails is kept.
func TestRenewWhileGetFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		source := h.source()
		_, err := source.Get(t.Context())
		require.NoError(t, err)
		wait(25 * time.Hour)
		h.change(func() { h.delay, h.status = 4*time.Second, http.StatusNotFound })
		ended := make(chan error)
		go func() {
			_, err := source.Get(context.Background())
			ended <- err
		}()
		synctest.Wait()
		h.change(func() { h.repair(); h.body = document(`"jwks_uri":"https://issuer.test/new"`) })
		_, err = source.Renew(t.Context(), time.Now())
		require.NoError(t, err)
		require.NoError(t, <-ended)
		found, err := source.Get(t.Context())
		requireEndpoint(t, found, err, "https://issuer.test/new")
	})
}

// Callers at once share one fetch.
func TestSharedFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.delay = time.Second
		source := h.source()
		var all sync.WaitGroup
		var good atomic.Int64
		for range 100 {
			all.Go(func() {
				if _, err := source.Get(context.Background()); err == nil {
					good.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 100, good.Load())
		require.Equal(t, 1, h.count())
	})
}

// The wall clock was wrong when the document came: it is fetched again, and serves
// until then.
func TestClockStep(t *testing.T) {
	t.Parallel()
	for name, wall := range map[string]time.Duration{"the clock was ahead": 48 * time.Hour, "it was a year ahead": 365 * 24 * time.Hour, "the machine has slept": -48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost()
			source := NewSource(issuer, &http.Client{Transport: h}, "jwks_uri")
			document, err := source.Get(t.Context())
			require.NoError(t, err)
			step := func() {
				then := *source.current.Load()
				then.at.Wall = then.at.Wall.Add(wall)
				source.current.Store(&then)
			}
			step()
			require.Nil(t, source.Current())
			h.err = errors.New("down")
			again, err := source.Get(t.Context())
			require.NoError(t, err)
			require.Same(t, document, again, "better than none")
			h.repair()
			step()
			again, err = source.Get(t.Context())
			require.NoError(t, err)
			require.NotSame(t, document, again)
		})
	}
	t.Run("Renew", func(t *testing.T) {
		t.Parallel()
		h := newHost()
		source := NewSource(issuer, &http.Client{Transport: h}, "jwks_uri")
		_, err := source.Get(t.Context())
		require.NoError(t, err)
		then := *source.current.Load()
		then.at.Wall = then.at.Wall.Add(2 * time.Hour)
		source.current.Store(&then)
		_, err = source.Renew(t.Context(), time.Now())
		require.NoError(t, err)
		require.Len(t, h.requests, 2, "in spite of a document that is dated in the future")
		require.Contains(t, source.current.Load().asked.String(), " m=", "by the process's own clock")
	})
}
