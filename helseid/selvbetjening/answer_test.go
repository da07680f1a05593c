package selvbetjening_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/redact"
)

// calls are all that a client can do.
var calls = map[string]func(ctx context.Context, t testing.TB, self *selvbetjening.Client) error{
	"ClientSecrets": func(ctx context.Context, _ testing.TB, self *selvbetjening.Client) error {
		_, err := self.ClientSecrets(ctx)
		return err
	},
	"AddClientSecret": func(ctx context.Context, t testing.TB, self *selvbetjening.Client) error {
		_, err := self.AddClientSecret(ctx, newKey(t))
		return err
	},
	"ClientStatus": func(ctx context.Context, _ testing.TB, self *selvbetjening.Client) error {
		_, err := self.ClientStatus(ctx)
		return err
	},
	"Update": func(ctx context.Context, _ testing.TB, self *selvbetjening.Client) error {
		return self.Update(ctx, addChild)
	},
	"Delegations": func(ctx context.Context, _ testing.TB, self *selvbetjening.Client) error {
		_, err := self.Delegations(ctx)
		return err
	},
}

// Every call takes every wrong answer for what it is: a refusal, an API that is down, or
// somebody else.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	const problem = "application/problem+json"
	document := `{"type":"https://example.no/problems/x","title":"No","status":200,"detail":"because","instance":"/v1/client"}`
	cut := func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		refused *selvbetjening.Error
		is      error
	}{
		"400 problem":          {answering(400, document, "Content-Type", problem), &selvbetjening.Error{Status: 400, Type: "https://example.no/problems/x", Title: "No", Detail: "because"}, nil},
		"409 problem as JSON":  {answering(409, document), &selvbetjening.Error{Status: 409, Type: "https://example.no/problems/x", Title: "No", Detail: "because"}, nil},
		"401 nothing":          {answering(401, "", "WWW-Authenticate", "DPoP"), &selvbetjening.Error{Status: 401}, nil},
		"403 nothing":          {answering(403, ""), &selvbetjening.Error{Status: 403}, nil},
		"404 nothing":          {answering(404, ""), &selvbetjening.Error{Status: 404}, nil},
		"403 problem in part":  {answering(403, `{"title":"Forbidden","detail":null,"type":7}`, "Content-Type", problem), &selvbetjening.Error{Status: 403, Title: "Forbidden"}, nil},
		"400 other JSON":       {answering(400, `["x"]`), &selvbetjening.Error{Status: 400}, nil},
		"400 a text":           {answering(400, `Detail: x`, "Content-Type", "text/plain"), &selvbetjening.Error{Status: 400}, nil},
		"400 a problem twice":  {answering(400, `{"title":"a","title":"b"}`, "Content-Type", problem), &selvbetjening.Error{Status: 400}, nil},
		"400 problem as text":  {answering(400, document, "Content-Type", "text/plain"), &selvbetjening.Error{Status: 400}, nil},
		"404 HTML":             {answering(404, `<html>404</html>`, "Content-Type", "text/html; charset=utf-8"), nil, helseid.ErrInvalidResponse},
		"401 HTML":             {answering(401, `<html>log in</html>`, "Content-Type", "text/html"), nil, helseid.ErrInvalidResponse},
		"200 HTML":             {answering(200, `<html>log in</html>`, "Content-Type", "text/html"), nil, helseid.ErrInvalidResponse},
		"200 JSON as HTML":     {answering(200, registered, "Content-Type", "text/html"), nil, helseid.ErrInvalidResponse},
		"200 huge":             {answering(200, `["`+strings.Repeat("x", 1<<20)+`"]`), nil, helseid.ErrInvalidResponse},
		"400 huge":             {answering(400, `{"title":"`+strings.Repeat("x", 1<<20)+`"}`, "Content-Type", problem), nil, helseid.ErrInvalidResponse},
		"429 problem":          {answering(429, document, "Content-Type", problem, "Retry-After", "86400"), &selvbetjening.Error{Status: 429, Type: "https://example.no/problems/x", Title: "No", Detail: "because", RetryAfter: 24 * time.Hour}, helseid.ErrUnavailable},
		"429 nothing":          {answering(429, ""), &selvbetjening.Error{Status: 429}, helseid.ErrUnavailable},
		"500 problem":          {answering(500, document, "Content-Type", problem), &selvbetjening.Error{Status: 500, Type: "https://example.no/problems/x", Title: "No", Detail: "because"}, helseid.ErrUnavailable},
		"500 HTML":             {answering(500, `<html>`, "Content-Type", "text/html"), &selvbetjening.Error{Status: 500}, helseid.ErrUnavailable},
		"502 nothing":          {answering(502, ""), &selvbetjening.Error{Status: 502}, helseid.ErrUnavailable},
		"503 JSON":             {answering(503, `{}`), &selvbetjening.Error{Status: 503}, helseid.ErrUnavailable},
		"no answer":            {cut, nil, helseid.ErrUnavailable},
		"half an answer":       {answering(200, `[`, "Content-Length", "1000"), nil, helseid.ErrUnavailable},
		"a redirect elsewhere": {answering(302, "", "Location", "https://elsewhere.example.no/"), nil, helseid.ErrInvalidResponse},
		"304":                  {answering(304, ""), nil, helseid.ErrInvalidResponse},
	} {
		for call, do := range calls {
			t.Run(name+"/"+call, func(t *testing.T) {
				t.Parallel()
				fake := newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
					if call == "Update" && r.Method == http.MethodGet {
						answering(http.StatusOK, registered)(w, r)
						return
					}
					c.handler(w, r)
				})
				_, self := with(t, fake)
				err := do(t.Context(), t, self)
				var refused *selvbetjening.Error
				if c.refused != nil {
					require.ErrorAs(t, err, &refused)
					require.Equal(t, c.refused, refused)
				} else {
					require.NotErrorAs(t, err, &refused)
				}
				for _, category := range []error{helseid.ErrUnavailable, helseid.ErrInvalidResponse} {
					require.Equal(t, c.is == category, errors.Is(err, category), "%v: %v", category, err) //nolint:errorlint // which of the two
				}
				require.Equal(t, c.is == helseid.ErrUnavailable, redact.IsOutage(err)) //nolint:errorlint // which of the two
				require.NotErrorIs(t, err, helseid.ErrNoToken)
				require.LessOrEqual(t, fake.count(http.MethodPost)+fake.count(http.MethodPut), 1, "what changes something is sent once")
				require.ErrorContains(t, err, "selvbetjening: ")
				require.ErrorContains(t, err, " /v1/")
				require.Less(t, len(err.Error()), 1000)
			})
		}
	}
}

// What a document says is cleaned, and not logged.
func TestProblemIsRedacted(t *testing.T) {
	t.Parallel()
	const number, token = "13116900216", "eyJhbGciOiJQUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlc2lnbmF0dXJl"
	document := fmt.Sprintf(`{"type":"urn:%s","title":"Ola %s\u0007","detail":"token %s of 131169 00216 %s"}`, token, number, token, strings.Repeat("long ", 200))
	for _, status := range []int{400, 503} {
		_, self := with(t, newFakeAPI(t, answering(status, document, "Content-Type", "application/problem+json")))
		_, err := self.ClientSecrets(t.Context())
		require.Error(t, err)
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("failed", "cause", redact.Cause(err))
		printed := fmt.Sprintf("%v %+v %#v", err, err, err)
		if refused, ok := errors.AsType[*selvbetjening.Error](err); ok {
			printed += fmt.Sprintf("%+v %#v %s", *refused, refused, refused.LogValue())
			require.Contains(t, refused.Title, "Ola [redacted]")
			require.LessOrEqual(t, len([]rune(refused.Detail)), 300)
			require.NotContains(t, refused.LogValue().String(), "Ola")
		}
		for _, secret := range []string{number, "131169 00216", token, token[:40], "\a"} {
			require.NotContains(t, printed, secret)
		}
		for _, said := range []string{"Ola", "token", "urn:"} {
			require.NotContains(t, logged.String(), said)
		}
		require.Contains(t, logged.String(), "status "+strconv.Itoa(status))
	}
	for status, hint := range map[int]string{401: "clock", 403: selvbetjening.Scope, 404: "BaseURL", 429: "less often", 503: "in trouble"} {
		require.Contains(t, (&selvbetjening.Error{Status: status}).Error(), hint)
	}
}

// What changes something is sent once, whatever happens to it; what reads is tried again.
func TestOnlyReadsAreRepeated(t *testing.T) {
	t.Parallel()
	faults := map[string]http.HandlerFunc{
		"429": answering(429, ""), "500": answering(500, ""), "503": answering(503, "", "Retry-After", "1"),
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, fault := range faults {
		for call, do := range calls {
			t.Run(name+"/"+call, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					seen := map[string]int{}
					w.server.Mount("self.example.no", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						seen[r.Method]++
						if call == "Update" && r.Method == http.MethodGet {
							answering(http.StatusOK, registered)(rw, r)
							return
						}
						fault(rw, r)
					}))
					self := w.self(func(config *selvbetjening.Config) { config.BaseURL = "https://self.example.no" })
					require.ErrorIs(t, do(t.Context(), t, self), helseid.ErrUnavailable)
					switch call {
					case "AddClientSecret":
						require.Equal(t, map[string]int{http.MethodPost: 1}, seen)
					case "Update":
						require.Equal(t, map[string]int{http.MethodGet: 1, http.MethodPut: 1}, seen)
					default:
						require.Equal(t, map[string]int{http.MethodGet: 3}, seen)
					}
				})
			})
		}
	}
	t.Run("a read succeeds in the end", func(t *testing.T) {
		t.Parallel()
		tries := 0
		fake := newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
			if tries++; tries < 3 {
				answering(503, "")(w, r)
				return
			}
			answering(200, `[]`)(w, r)
		})
		_, self := with(t, fake, func(config *selvbetjening.Config) { config.Retries = 0 })
		_, err := self.ClientSecrets(t.Context())
		require.NoError(t, err)
		proofs := map[string]bool{}
		for _, request := range fake.received() {
			proofs[request.header.Get("DPoP")] = true
		}
		require.Len(t, proofs, 3, "each attempt has a proof of its own")
	})
}

// HelseID's refusal of a token is not the API's, and is not asked for again.
func TestNoToken(t *testing.T) {
	t.Parallel()
	for call, do := range calls {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			fake := newFakeAPI(t, answering(200, registered))
			server := helseidtest.NewServer(t)
			w := startWorld(t, server, server.NewClient(helseidtest.Scopes(otherScope)))
			self := w.self(func(config *selvbetjening.Config) { config.BaseURL = fake.url })
			err := do(t.Context(), t, self)
			require.ErrorIs(t, err, helseid.ErrNoToken)
			var noToken *helseid.TokenError
			require.ErrorAs(t, err, &noToken)
			require.Equal(t, "invalid_scope", noToken.Code)
			var refused *selvbetjening.Error
			require.NotErrorAs(t, err, &refused)
			require.NotErrorIs(t, err, helseid.ErrUnavailable)
			require.Empty(t, fake.received())
		})
	}
	t.Run("HelseID is down", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: -1})
			start := time.Now()
			_, err := w.self().ClientSecrets(t.Context())
			require.ErrorIs(t, err, helseid.ErrUnavailable)
			require.ErrorIs(t, err, helseid.ErrNoToken)
			require.Len(t, w.server.Requests(helseidtest.EndpointToken), 3, "the client's own attempts")
			require.Less(t, time.Since(start), 30*time.Second)
		})
	})
}

// An API that is silent is down, within the limit; a caller who leaves is not an outage.
func TestSilentAPI(t *testing.T) {
	t.Parallel()
	for call, do := range calls {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.server.Mount("self.example.no", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
				self := w.self(func(config *selvbetjening.Config) {
					config.BaseURL, config.Timeout, config.Retries = "https://self.example.no", 5*time.Second, -1
				})
				start := time.Now()
				require.ErrorIs(t, do(t.Context(), t, self), helseid.ErrUnavailable)
				require.Equal(t, 5*time.Second, time.Since(start))

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := do(ctx, t, self)
				require.ErrorIs(t, err, helseid.ErrUnavailable)
				require.ErrorIs(t, err, context.DeadlineExceeded)

				ctx, leave := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, leave)
				err = do(ctx, t, self)
				require.ErrorIs(t, err, context.Canceled)
				require.NotErrorIs(t, err, helseid.ErrUnavailable)
				require.False(t, redact.IsOutage(err))
			})
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		_, self := with(t, &fakeAPI{url: "http://" + listener.Addr().String()})
		_, err = self.ClientSecrets(t.Context())
		require.ErrorIs(t, err, helseid.ErrUnavailable)
	})
}

// Credentials go nowhere but to the API.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for call, do := range calls {
			t.Run(fmt.Sprint(status, "/", call), func(t *testing.T) {
				t.Parallel()
				elsewhere := newFakeAPI(t, answering(200, registered))
				for _, target := range []string{elsewhere.url + "/v1/client", "/other"} {
					fake := newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
						if call == "Update" && r.Method == http.MethodGet {
							answering(http.StatusOK, registered)(w, r)
							return
						}
						answering(status, "", "Location", target)(w, r)
					})
					_, self := with(t, fake)
					err := do(t.Context(), t, self)
					require.ErrorIs(t, err, helseid.ErrInvalidResponse)
					require.ErrorContains(t, err, "redirect")
					require.NotContains(t, err.Error(), elsewhere.url)
					for _, request := range fake.received() {
						require.NotEqual(t, "/other", request.path)
					}
				}
				require.Empty(t, elsewhere.received())
			})
		}
	}
}

// A client that is limited to other origins does not call the API.
func TestClientsAllowedOrigins(t *testing.T) {
	t.Parallel()
	fake := newFakeAPI(t, answering(200, `[]`))
	server := helseidtest.NewServer(t)
	config := server.NewClient(helseidtest.Scopes(selvbetjening.Scope))
	config.AllowedOrigins = []string{"https://api.example.no"}
	w := startWorld(t, server, config)
	_, err := w.self(func(config *selvbetjening.Config) { config.BaseURL = fake.url }).ClientSecrets(t.Context())
	require.ErrorIs(t, err, helseid.ErrOriginRefused)
	require.Empty(t, fake.received())
}

// The client acts for itself, whatever the request that it serves has chosen.
func TestContextChoosesNothing(t *testing.T) {
	t.Parallel()
	for name, choose := range map[string]func(context.Context) context.Context{
		"an organisation": func(ctx context.Context) context.Context { return helseid.ForOrganization(ctx, "", "999977775") },
		"no organisation": func(ctx context.Context) context.Context { return helseid.ForOrganization(ctx, "", "") },
		"another token": func(ctx context.Context) context.Context {
			return helseid.WithTokenRequest(ctx, helseid.TokenRequest{Scopes: []string{otherScope}})
		},
		"an unbound token": func(ctx context.Context) context.Context {
			return helseid.WithTokenRequest(ctx, helseid.TokenRequest{UnboundBearerToken: true})
		},
		"other origins": func(ctx context.Context) context.Context {
			return helseid.WithTokenRequest(ctx, helseid.TokenRequest{AllowedOrigins: []string{"https://x.example.no"}})
		},
		"a caller's token": func(ctx context.Context) context.Context {
			return helseid.WithSubjectToken(ctx, identity.NewSecret("x"))
		},
		"no caller's token":  func(ctx context.Context) context.Context { return helseid.WithSubjectToken(ctx, nil) },
		"nothing whatsoever": func(ctx context.Context) context.Context { return ctx },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			self := w.self()
			for call, do := range calls {
				require.NoError(t, do(choose(t.Context()), t, self), call)
			}
			sent := w.server.Requests(helseidtest.EndpointToken)
			require.NotEmpty(t, sent)
			for _, request := range sent {
				require.Equal(t, "client_credentials", request.Form.Get("grant_type"))
				require.Equal(t, selvbetjening.Scope, request.Form.Get("scope"))
			}
		})
	}
	t.Run("values of others stay", func(t *testing.T) {
		t.Parallel()
		type mark struct{}
		fake := newFakeAPI(t, answering(200, `[]`))
		server := helseidtest.NewServer(t)
		config := server.NewClient(helseidtest.Scopes(selvbetjening.Scope))
		marked := 0
		config.OnEvent = func(ctx context.Context, event helseid.Event) {
			if event.Kind == helseid.EventProof && event.API && ctx.Value(mark{}) == "here" {
				marked++
			}
		}
		w := startWorld(t, server, config)
		ctx := helseid.ForOrganization(context.WithValue(t.Context(), mark{}, "here"), "", "999977775")
		_, err := w.self(func(config *selvbetjening.Config) { config.BaseURL = fake.url }).ClientSecrets(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, marked)
	})
}

func TestPrintedClient(t *testing.T) {
	t.Parallel()
	self := newWorld(t).self()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		require.Equal(t, "[redacted]", fmt.Sprintf(verb, self))
	}
}
