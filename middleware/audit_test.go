package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A record names the caller, the organisation, the request and its outcome.
func TestAuditRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	mux := http.NewServeMux()
	mux.Handle("GET /journal/{id}", w.auth.Require(w.reach, middleware.User()))
	mux.Handle("GET /other", w.auth.Require(w.reach, middleware.System()))
	w.handler = mux
	options := []mint.TokenOption{mint.Clinician(), mint.Organization("994598759", "999977775", "987654325"), mint.Claim("jti", "THE-JTI"), mint.Claim("idp", 7)}
	w.requireOK(w.genuine(options...))
	want := middleware.Record{
		Allowed: true, Method: http.MethodGet, Route: "GET /journal/{id}",
		ClientID: "helseidtest-client", HPRNumber: mint.DefaultHPRNumber, TokenID: "THE-JTI",
		Organization: identity.Organization{Parent: "994598759", Child: "999977775", Supplier: "987654325"},
		Malformed:    []string{"idp"},
	}
	record := w.lastRecord()
	require.Positive(t, record.Duration)
	user := middleware.Claims(w.caller()).User
	want.Subject, want.SessionID, want.Duration = user.Subject, user.SessionID, record.Duration
	require.NotEmpty(t, want.Subject)
	require.NotEmpty(t, want.SessionID)
	require.Equal(t, want, record)

	// A genuine caller who is refused is recorded by name …
	request := w.at("GET", "https://api.example.no/other", "GET", "https://api.example.no/other")
	w.requireOK(request)
	w.requireRefused(request, "proof_replayed")
	require.Equal(t, middleware.Record{
		Status: http.StatusUnauthorized, Reason: "proof_replayed", Method: http.MethodGet, Route: "GET /other", ClientID: "helseidtest-client",
		Organization: identity.Organization{Parent: "994598759"}, TokenID: w.lastRecord().TokenID,
		Unproven: true, Duration: w.lastRecord().Duration,
	}, w.lastRecord())
	// … and a caller without a genuine token is not.
	w.requireRefused(w.genuine(append(options, mint.BrokenSignature())...), "token_signature")
	require.Equal(t, middleware.Record{Status: http.StatusUnauthorized, Reason: "token_signature", Method: http.MethodGet, Route: "GET /journal/{id}", Duration: w.lastRecord().Duration}, w.lastRecord())
}

// A record names the token's owner as soon as it is known, and whether a proof shows
// that the sender is the owner.
func TestAuditRecordOfARefusal(t *testing.T) {
	t.Parallel()
	known := []mint.TokenOption{mint.Clinician()}
	for name, test := range map[string]struct {
		requirement middleware.Requirement
		request     func(*world) *http.Request
		named       bool
		unproven    bool
	}{
		"a requirement":  {middleware.System(), func(w *world) *http.Request { return w.genuine(known...) }, true, false},
		"another method": {nil, func(w *world) *http.Request { r := w.genuine(known...); r.Method = "PUT"; return r }, true, true},
		"a broken proof": {nil, func(w *world) *http.Request { r := w.genuine(known...); r.Header.Set("DPoP", "x.y.z"); return r }, true, true},
		"another's key":  {nil, func(w *world) *http.Request { return w.genuine(append(known, mint.BoundToAnotherKey())...) }, true, true},
		"no key":         {nil, func(w *world) *http.Request { return w.genuine(append(known, mint.Unbound())...) }, true, true},
		"a forged token": {nil, func(w *world) *http.Request { return w.genuine(append(known, mint.BrokenSignature())...) }, false, false},
		"no token":       {nil, func(w *world) *http.Request { return httptest.NewRequest("GET", resource, nil) }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requirements []middleware.Requirement
			if test.requirement != nil {
				requirements = append(requirements, test.requirement)
			}
			w := newWorld(t, worldOptions{cold: true, requirements: requirements})
			require.GreaterOrEqual(t, w.serve(test.request(w)).StatusCode, 400)
			record := w.lastRecord()
			require.Equal(t, test.named, record.ClientID != "" && record.Subject != "" && record.SessionID != "" && record.HPRNumber != "" && record.TokenID != "")
			require.Equal(t, test.unproven, record.Unproven)
			require.Positive(t, record.Duration)
			if !test.named {
				require.Empty(t, record.ClientID+record.Subject+record.SessionID+record.TokenID)
			}
		})
	}
}

// The slog implementation logs the fields that are set, and never a national identity
// number or a token.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var buffer bytes.Buffer
			w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Audit = middleware.AuditLog(slog.New(handler(&buffer))) }})
			requests := []*http.Request{
				w.genuine(mint.Clinician(), mint.Claim("name", 1)), w.genuine(mint.BrokenSignature()), withHeaders(nil, nil),
				w.genuine(mint.Clinician(), mint.Organization("994598759", "999977775", "987654325"), mint.Scopes("x")),
			}
			// A path with a number in it is not logged as a route.
			requests = append(requests, w.at("GET", "https://api.example.no/patient/06828399789", "GET", "https://api.example.no/patient/06828399789"))
			// Nor is a number in the method, or in the error of the API's own requirement.
			requests = append(requests, w.at("06828399789", "https://api.example.no/x", "06828399789", "https://api.example.no/x"))
			for _, request := range requests {
				w.serve(request)
			}
			refusing := w.auth.Require(w.reach, func(context.Context, *tokenvalidation.Claims) error {
				return fmt.Errorf("the journal of Ola Nordmann, 06828399789: %w", middleware.ErrUnavailable)
			})
			serveOn(t, refusing, w.genuine(mint.TokenID("THE-JTI")))
			log := buffer.String()
			require.Equal(t, len(requests)+1, strings.Count(log, "\n"))
			require.NotContains(t, log, "Nordmann")
			require.NotRegexp(t, testkit.IdentityNumber, log)
			require.NotRegexp(t, testkit.JWS, log)
			for _, text := range []string{"request allowed", "request refused", "helseidtest-client", mint.DefaultHPRNumber, "994598759", "999977775", "987654325", "token_signature", "no_credentials", "scope", "malformed_claims", "INFO", "WARN", "THE-JTI", "requirement cannot be checked", "other"} {
				require.Contains(t, log, text)
			}
			for _, request := range requests {
				for part := range strings.FieldsFuncSeq(request.Header.Get("Authorization")+"."+request.Header.Get("DPoP"), func(r rune) bool { return r == '.' || r == ' ' }) {
					if len(part) > 16 {
						require.NotContains(t, log, part)
					}
				}
			}
		})
	}
}

// Callers can invent any method, even one that is a person's number: only HTTP's
// standard methods are recorded and logged.
func TestAuditMethods(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	w := newWorld(t, worldOptions{cold: true})
	log := middleware.AuditLog(slog.New(slog.NewTextHandler(&buffer, nil)))
	for method, want := range map[string]string{
		"GET": "GET", "HEAD": "HEAD", "POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "DELETE": "DELETE", "CONNECT": "CONNECT",
		"OPTIONS": "OPTIONS", "TRACE": "TRACE", "get": "other", "PROPFIND": "other", "06828399789": "other", "GET06828399789": "other",
	} {
		w.serve(w.at(method, "https://api.example.no/x", method, "https://api.example.no/x"))
		require.Equal(t, want, w.lastRecord().Method, method)
		log(t.Context(), w.lastRecord())
	}
	require.NotContains(t, buffer.String(), "06828399789")
	require.Contains(t, buffer.String(), "method=other")
}

// Empty fields are left out of a line.
func TestAuditLogLine(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	audit := middleware.AuditLog(slog.New(slog.NewJSONHandler(&buffer, nil)))
	audit(context.Background(), middleware.Record{Status: 401, Reason: "no_credentials", Method: "GET"})
	var line map[string]any
	require.NoError(t, json.Unmarshal(buffer.Bytes(), &line))
	delete(line, "time")
	require.Equal(t, map[string]any{"level": "WARN", "msg": "request refused", "method": "GET", "route": "", "status": 401.0, "reason": "no_credentials"}, line)

	buffer.Reset()
	audit(context.Background(), middleware.Record{Allowed: true, Method: "GET", Route: "GET /x", Subject: "a+/=", SessionID: "S", Nested: true, Unproven: true, Duration: time.Millisecond})
	line = nil
	require.NoError(t, json.Unmarshal(buffer.Bytes(), &line))
	delete(line, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "request allowed", "method": "GET", "route": "GET /x", "sub": "a+/=", "sid": "S",
		"nested": true, "unproven": true, "duration": float64(time.Millisecond),
	}, line)
}

// Errors of the API's own requirements or its replay store may name people. The record
// contains only their kind.
func TestAuditQuotesNobody(t *testing.T) {
	t.Parallel()
	const words = "Ola Nordmann of Lillevik legekontor AS"
	w := newWorld(t, worldOptions{cold: true})
	for want, err := range map[string]error{
		"another error (*errors.errorString)":                     errors.New(words),
		"requirement cannot be checked":                           fmt.Errorf("%s: %w", words, middleware.ErrUnavailable),
		"requirement cannot be checked; no answer in time":        fmt.Errorf("%w: %s: %w", middleware.ErrUnavailable, words, context.DeadlineExceeded),
		"requirement cannot be checked; dial; connection refused": fmt.Errorf("%w: %w", middleware.ErrUnavailable, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
	} {
		w.handler = w.auth.Require(w.reach, func(context.Context, *tokenvalidation.Claims) error { return err })
		w.serve(w.genuine())
		require.Equal(t, want, w.lastRecord().Cause)
	}
}

// The same holds for a replay store.
func TestAuditQuotesNoStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(config *middleware.Config) { config.Proof.Replay = quotingReplay{} }})
	w.serve(w.genuine())
	require.Equal(t, "replay_store_unavailable", w.lastRecord().Reason)
	require.Equal(t, "DPoP replay store not available: another error (*errors.errorString)", w.lastRecord().Cause)
}

type quotingReplay struct{}

func (quotingReplay) Record(context.Context, dpop.Use) (bool, error) {
	return false, errors.New("Ola Nordmann of Lillevik legekontor AS")
}

// An access token is never printed.
func TestAccessTokenIsNeverPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	request := w.genuine()
	w.requireOK(request)
	token := middleware.Token(w.caller())
	require.NotEmpty(t, token.Reveal())
	type own struct{ token identity.Secret }
	for _, value := range []any{token, &token, []identity.Secret{token}, own{token}, &own{token}, map[string]any{"t": token}, w.caller()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, value)
			require.NotRegexp(t, testkit.JWS, text, verb)
			require.NotContains(t, text, fmt.Sprintf("%x", token.Reveal()))
		}
		var buffer bytes.Buffer
		slog.New(slog.NewTextHandler(&buffer, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&buffer, nil)).Info("x", "value", value)
		require.NotRegexp(t, testkit.JWS, buffer.String())
	}
	data, err := json.Marshal(token)
	require.NoError(t, err)
	require.JSONEq(t, `"[redacted]"`, string(data))
	require.Equal(t, "[redacted]", token.String())
	require.Equal(t, "[redacted]", token.GoString())
}

// A handler that is wrapped in another one is still guarded.
func TestGuardAsMiddleware(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	mux := http.NewServeMux()
	mux.HandleFunc("/journal/1", w.reach)
	w.handler = w.auth.Guard(middleware.Scope(testScope))(mux)
	w.requireOK(w.genuine())
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, resource, nil))
	require.Equal(t, http.StatusUnauthorized, recorder.Code)
	require.Equal(t, 1, w.reached())
	// Without requirements a genuine token is enough.
	w.handler = w.auth.Guard()(mux)
	w.requireOK(w.genuine(mint.Scopes()))
}
