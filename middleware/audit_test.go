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

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A record says who came, for whom, what for, and how it ended.
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
		Organization: tokenvalidation.Organization{Parent: "994598759", Child: "999977775", Supplier: "987654325"},
		Malformed:    []string{"idp"},
	}
	require.Equal(t, want, w.lastRecord())

	// A genuine caller who is refused is on record by name …
	request := w.at("GET", "https://api.example.no/other", "GET", "https://api.example.no/other")
	w.requireOK(request)
	w.requireRefused(request, "proof_replayed")
	require.Equal(t, middleware.Record{
		Status: http.StatusUnauthorized, Reason: "proof_replayed", Method: http.MethodGet, Route: "GET /other", ClientID: "helseidtest-client",
		Organization: tokenvalidation.Organization{Parent: "994598759"}, TokenID: w.lastRecord().TokenID,
	}, w.lastRecord())
	// … and one whose token is not is nobody.
	w.requireRefused(w.genuine(append(options, mint.BrokenSignature())...), "token_signature")
	require.Equal(t, middleware.Record{Status: http.StatusUnauthorized, Reason: "token_signature", Method: http.MethodGet, Route: "GET /journal/{id}"}, w.lastRecord())
}

// The slog implementation writes what there is, and never a number or a token.
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
			// A path with a number in it is no route.
			requests = append(requests, w.at("GET", "https://api.example.no/patient/06828399789", "GET", "https://api.example.no/patient/06828399789"))
			for _, request := range requests {
				w.serve(request)
			}
			log := buffer.String()
			require.Equal(t, len(requests), strings.Count(log, "\n"))
			require.NotRegexp(t, identityNumber, log)
			require.NotRegexp(t, jwsLike, log)
			for _, text := range []string{"request allowed", "request refused", "helseidtest-client", mint.DefaultHPRNumber, "994598759", "999977775", "987654325", "token_signature", "no_credentials", "scope", "malformed_claims", "INFO", "WARN"} {
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

// What is empty is left out of a line.
func TestAuditLogLine(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	audit := middleware.AuditLog(slog.New(slog.NewJSONHandler(&buffer, nil)))
	audit(context.Background(), middleware.Record{Status: 401, Reason: "no_credentials", Method: "GET"})
	var line map[string]any
	require.NoError(t, json.Unmarshal(buffer.Bytes(), &line))
	delete(line, "time")
	require.Equal(t, map[string]any{"level": "WARN", "msg": "request refused", "method": "GET", "route": "", "status": 401.0, "reason": "no_credentials"}, line)
}

// What a requirement of the API's or its replay store says may name people. The
// record tells the kind.
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

// The same of a replay store.
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
	type own struct{ token middleware.AccessToken }
	for _, value := range []any{token, &token, []middleware.AccessToken{token}, own{token}, &own{token}, map[string]any{"t": token}, w.caller()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, value)
			require.NotRegexp(t, jwsLike, text, verb)
			require.NotContains(t, text, fmt.Sprintf("%x", token.Reveal()))
		}
		var buffer bytes.Buffer
		slog.New(slog.NewTextHandler(&buffer, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&buffer, nil)).Info("x", "value", value)
		require.NotRegexp(t, jwsLike, buffer.String())
	}
	data, err := json.Marshal(token)
	require.NoError(t, err)
	require.JSONEq(t, `"[redacted]"`, string(data))
	require.Equal(t, "[redacted]", token.String())
	require.Equal(t, "[redacted]", token.GoString())
}

// A handler that an outer one wraps is guarded all the same.
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
