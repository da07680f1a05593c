package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A handler refuses as a guard does: status, challenge, document and record.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
		reason string
	}{
		"a denial":            {&middleware.Denial{Reason: "not_this_patient", Detail: "ask for access first"}, http.StatusForbidden, "not_this_patient"},
		"a step-up":           {&middleware.Denial{Reason: "sensitive", Detail: "log in", ACRValues: "Level4", MaxAge: time.Minute}, http.StatusUnauthorized, "sensitive"},
		"no telling":          {fmt.Errorf("register: %w", middleware.ErrUnavailable), http.StatusServiceUnavailable, "lookup_unavailable"},
		"an error of its own": {errors.New("patient 06828399789"), http.StatusForbidden, "requirement"},
		"no error":            {nil, http.StatusForbidden, "requirement"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true})
			mux := http.NewServeMux()
			mux.Handle("GET /journal/{id}", w.auth.Require(func(rw http.ResponseWriter, r *http.Request) { w.auth.Refuse(rw, r, test.err) }))
			w.handler = mux
			request := w.genuine(mint.Clinician())
			response, found := w.requireRefused(request, test.reason)
			require.Equal(t, test.status, response.StatusCode)
			if name == "a step-up" {
				require.Equal(t, "insufficient_user_authentication", found.parameters["error"])
				require.Equal(t, "Level4", found.parameters["acr_values"])
				require.Equal(t, "60", found.parameters["max_age"])
			}
			require.Len(t, w.records, 2)
			require.True(t, w.records[0].Allowed)
			record := w.lastRecord()
			require.False(t, record.Allowed)
			require.True(t, record.Nested)
			require.False(t, record.Unproven)
			require.Equal(t, test.status, record.Status)
			require.Equal(t, test.reason, record.Reason)
			require.Equal(t, "helseidtest-client", record.ClientID)
			require.NotEmpty(t, record.Subject)
			require.Equal(t, "GET /journal/{id}", record.Route)
		})
	}
	t.Run("without a guard", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{cold: true})
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.auth.Refuse(rw, r, nil) })
		request := httptest.NewRequest(http.MethodGet, resource, nil)
		w.requireRefused(request.WithContext(middleware.NewContext(t.Context(), &tokenvalidation.Claims{ClientID: "made up"}, "")), "requirement")
		require.Empty(t, w.lastRecord().ClientID)
	})
}

// Any of this SDK's errors for an outage makes the response a 503 instead of a refusal.
func TestRequirementThatCannotTell(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		helseid.ErrUnavailable, helseid.ErrBusy, tokenvalidation.ErrUnavailable, dpop.ErrUnavailable, dpop.ErrReplayFull,
		context.DeadlineExceeded, context.Canceled, &helseid.TokenError{Temporary: true},
	} {
		for _, err := range []error{err, fmt.Errorf("ask the register: %w", err), errors.Join(errors.New("x"), err)} {
			w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{
				middleware.Any(middleware.User(), func(context.Context, *tokenvalidation.Claims) error { return err }),
			}})
			response, _ := w.requireRefused(w.genuine(), "lookup_unavailable")
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "%v", err)
		}
	}
	for _, err := range []error{helseid.ErrInvalidResponse, tokenvalidation.ErrInvalidToken, io.EOF, fmt.Errorf("%w: %w", helseid.ErrUnavailable, &middleware.Denial{Reason: "own"})} {
		w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{func(context.Context, *tokenvalidation.Claims) error { return err }}})
		require.Equal(t, http.StatusForbidden, w.serve(w.genuine()).StatusCode, "%v", err)
	}
}

// A requirement that panics does not accept the request, and an audit record is
// written.
func TestRequirementThatPanics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	panicking := func(context.Context, *tokenvalidation.Claims) error { panic("patient 06828399789") }
	server := w.listen(recovering(w.auth.Require(w.reach, panicking)))
	status, body := w.call(w.authorized(http.MethodGet, server.URL+"/x", nil, mint.Clinician()))
	require.Equal(t, http.StatusInternalServerError, status)
	require.Empty(t, body)
	require.Zero(t, w.reached())
	require.Len(t, w.records, 1)
	record := w.lastRecord()
	require.False(t, record.Allowed)
	require.Equal(t, http.StatusInternalServerError, record.Status)
	require.Equal(t, "panicked", record.Reason)
	require.Equal(t, "helseidtest-client", record.ClientID)
	require.NotContains(t, fmt.Sprintf("%+v", record), "06828399789")

	require.PanicsWithValue(t, "patient 06828399789", func() { w.auth.Decide(t.Context(), w.rpc(grpcMethod), panicking) }, "the panic goes on")
	require.Equal(t, "panicked", w.lastRecord().Reason)
}

// Whatever a WriteProblem writes, the response is a refusal.
func TestWriteProblemThatForgets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		write  func(http.ResponseWriter)
		status int
	}{
		"the status":          {func(rw http.ResponseWriter) { fmt.Fprint(rw, "no") }, http.StatusUnauthorized},
		"everything":          {func(http.ResponseWriter) {}, http.StatusUnauthorized},
		"that it is a no":     {func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusOK) }, http.StatusUnauthorized},
		"and flushes":         {func(rw http.ResponseWriter) { rw.(http.Flusher).Flush() }, http.StatusUnauthorized},
		"and flushes by name": {func(rw http.ResponseWriter) { _ = http.NewResponseController(rw).Flush() }, http.StatusUnauthorized},
		"and copies":          {func(rw http.ResponseWriter) { _, _ = io.Copy(rw, io.LimitReader(neverEnding{}, 9)) }, http.StatusUnauthorized},
		"after a hint":        {func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusEarlyHints) }, http.StatusUnauthorized},
		"nothing":             {func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusNotFound) }, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) {
				c.WriteProblem = func(rw http.ResponseWriter, _ *http.Request, _ middleware.Problem) { test.write(rw) }
			}})
			server := w.listen(w.auth.Require(w.reach))
			request := w.authorized(http.MethodGet, server.URL+"/x", nil)
			request.Header.Del("DPoP")
			status, _ := w.call(request)
			require.Equal(t, test.status, status)
		})
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// A response with a nonce is not cached, whatever the handler sets on its own responses
// (RFC 9449 section 8.2).
func TestNonceIsNotStored(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a plain one":  func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "hello") },
		"an empty one": func(http.ResponseWriter, *http.Request) {},
		"a lasting one": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "public, max-age=3600")
			rw.WriteHeader(http.StatusOK)
		},
		"a stream": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "public")
			rw.(http.Flusher).Flush()
			fmt.Fprint(rw, "hello")
		},
		"a refusal of its own": func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusConflict) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, nonces := newNonceWorld(t)
			server := w.listen(w.auth.Require(answer))
			get := func(nonce string) *http.Response {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/x", nil)
				require.NoError(t, err)
				w.server.Authorize(request, w.server.Token(), mint.ProofClaim("nonce", nonce))
				response, err := server.Client().Do(request)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				return response
			}
			response := get(olderNonce())
			require.NotEqual(t, http.StatusUnauthorized, response.StatusCode)
			require.True(t, nonces.Valid(response.Header.Get(dpop.NonceHeaderName)))
			require.Equal(t, []string{"no-store"}, response.Header.Values("Cache-Control"))
			for range 2 { // a new nonce may just have begun
				if response = get(nonces.Nonce()); response.Header.Get(dpop.NonceHeaderName) == "" {
					break
				}
			}
			require.Empty(t, response.Header.Get(dpop.NonceHeaderName))
			require.NotEqual(t, "no-store", response.Header.Get("Cache-Control"), "it is the handler's to say")
		})
	}
}

// The same holds for a router whose adapter bypasses the guard's writer: its handlers
// decide about caching, so the response has no nonce, except without a body.
func TestNonceIsNotStoredByAdapters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		nonce  bool
	}{
		"a lasting one": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "public, max-age=3600")
			fmt.Fprint(rw, "hello")
		}, false},
		"an empty one": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "public, max-age=3600")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, nonces := newNonceWorld(t)
			guard := w.auth.Guard()
			server := w.listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { test.answer(rw, r) })).ServeHTTP(rw, r)
			}))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/x", nil)
			require.NoError(t, err)
			w.server.Authorize(request, w.server.Token(), mint.ProofClaim("nonce", olderNonce()))
			response, err := server.Client().Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, test.nonce, nonces.Valid(response.Header.Get(dpop.NonceHeaderName)))
			if test.nonce {
				require.Equal(t, []string{"no-store"}, response.Header.Values("Cache-Control"))
			}
		})
	}
}
