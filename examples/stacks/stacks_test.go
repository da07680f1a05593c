package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func TestEverybodyIsLetInWhereNobodyAsks(t *testing.T) {
	inEachRouter(t, plain, func(w *world) {
		response, err := w.client.Get(w.url + "/healthz")
		require.NoError(w, err)
		require.NoError(w, response.Body.Close())
		require.Equal(w, http.StatusOK, response.StatusCode)
		require.Empty(w, w.log())
	})
}

// Handlers find the caller, also behind guards within guards.
func TestHandlersFindTheCaller(t *testing.T) {
	for name, around := range map[string]bool{"guards at routes": false, "and one around all": true} {
		t.Run(name, func(t *testing.T) {
			inEachRouter(t, func() worldOptions { return worldOptions{around: around} }, func(w *world) {
				requireJSON(w, `{"client_id":"helseidtest-client","organization":"994598759"}`, w.get("/caller"))
				requireJSON(w, `{"client_id":"helseidtest-client","organization":"994598759","hpr_number":"565505933"}`,
					w.get("/clinician/caller", mint.Clinician()))
				for _, record := range w.log() {
					require.True(w, record.Allowed)
					require.Equal(w, mint.DefaultClientID, record.ClientID)
				}
			})
		})
	}
}

// A guard in a guard checks its own requirements alone, and what it lets in and
// refuses is on record beside what the outer one has decided.
func TestGuardsWithinGuards(t *testing.T) {
	for name, outer := range map[string]int{"guards at routes": 1, "and one around all": 2} {
		t.Run(name, func(t *testing.T) {
			inEachRouter(t, func() worldOptions { return worldOptions{around: outer == 2} }, func(w *world) {
				refused := w.get("/clinician/caller", mint.Clinician(), mint.SecurityLevel(3))
				w.requireReason("security_level", http.StatusUnauthorized, refused)
				records := w.log()
				require.Len(w, records, outer+1)
				for i, record := range records[:outer] {
					require.True(w, record.Allowed)
					require.Equal(w, i > 0, record.Nested)
				}
				last := records[outer]
				require.False(w, last.Allowed)
				require.True(w, last.Nested)
				require.Equal(w, mint.DefaultSubject, last.Subject)
			})
		})
	}
}

// The record names the route, so that nobody needs the path, which may name people.
func TestRecordsNameTheRoute(t *testing.T) {
	inEachRouter(t, plain, func(w *world) {
		require.Equal(w, http.StatusOK, w.get("/organizations/"+organization).Status)
		records := w.log()
		require.Len(w, records, 2)
		for _, record := range records {
			require.Contains(w, []string{"GET /organizations/{organization}", "/organizations/{organization}", "/organizations/:organization"}, record.Route)
		}
	})
}

// The organisation in the path is the token's, or nobody gets in.
func TestOrganizationInPath(t *testing.T) {
	inEachRouter(t, plain, func(w *world) {
		requireJSON(w, `{"organization":"994598759"}`, w.get("/organizations/"+organization))
		requireJSON(w, `{"organization":"999977775"}`, w.get("/organizations/"+neighbour, mint.Organization(neighbour, "", "")))
		w.requireReason("parent_organization", http.StatusForbidden, w.get("/organizations/"+neighbour))
		w.requireReason("parent_organization", http.StatusForbidden, w.get("/organizations/"+organization, mint.Organization(neighbour, "", "")))
		w.requireReason("parent_organization", http.StatusForbidden, w.get("/organizations/"+organization, mint.Organization("", "", "")))
		for _, odd := range []string{"%20" + organization, organization + "%20", organization + "%00", "%2F" + organization, organization + "%2F", "0" + organization, "%39%39", neighbour + "?organization=" + organization} {
			require.GreaterOrEqual(w, w.get("/organizations/"+odd).Status, 300, odd)
		}
	})
}

// A requirement that looks at the path where no router has read it, or for a part that the
// route does not have, is met by nobody, and the operator learns why.
func TestOrganizationInPathOutsideOfTheRouter(t *testing.T) {
	for _, name := range routers {
		t.Run(name, func(t *testing.T) {
			outside := func(auth *middleware.Middleware, everybody middleware.Requirement, own backend) (server, error) {
				inner, err := stacks[name](auth, everybody, own)
				require.NoError(t, err)
				around := func(*middleware.Middleware, middleware.Requirement, backend) http.Handler {
					return auth.Guard(middleware.ParentOrganizationInPath("organization"))(inner)
				}
				return overHTTP(around)(auth, everybody, own)
			}
			w := newWorldOf(t, name, outside, plain())
			w.requireMisconfigured(w.get("/organizations/" + organization))
		})
	}
}

func TestOrganizationInPathThatIsMisspelt(t *testing.T) {
	options := func() worldOptions {
		return worldOptions{everybody: middleware.Any(middleware.ParentOrganizationInPath("organisation"), middleware.User())}
	}
	inEachRouter(t, options, func(w *world) { w.requireMisconfigured(w.get("/organizations/" + organization)) })
}

func (w *world) requireMisconfigured(got answer) {
	w.Helper()
	w.requireReason("misconfigured", http.StatusInternalServerError, got)
	records := w.log()
	require.Len(w, records, 1)
	require.Contains(w, records[0].Cause, "the route has no path parameter")
}

// An answer that brings a nonce is kept by no cache, whatever the handler says of its
// answers (RFC 9449 section 8.2).
func TestAnswerWithNonceIsNotStored(t *testing.T) {
	secret := bytes.Repeat([]byte("s"), 32)
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: secret})
	require.NoError(t, err)
	options := func() worldOptions {
		return worldOptions{config: func(c *middleware.Config) { c.Proof.Nonces = nonces }}
	}
	inEachRouter(t, options, func(w *world) {
		send := func(method, path, nonce string) answer {
			request := w.request(method, path, nil)
			w.helseid.Authorize(request, w.helseid.Token(), mint.ProofClaim("nonce", nonce))
			return w.send(request)
		}
		const path = "/organizations/" + organization
		for _, older := range []answer{send(http.MethodGet, path, nonceBefore(secret)), send(http.MethodPost, "/documents", nonceBefore(secret))} {
			require.True(w, nonces.Valid(older.Header.Get("DPoP-Nonce")))
			require.Equal(w, []string{"no-store"}, older.Header.Values("Cache-Control"))
			require.Contains(w, []int{http.StatusOK, http.StatusBadRequest}, older.Status, "the handler's own")
			require.Equal(w, older.Status == http.StatusOK, strings.Contains(older.Body, organization))
		}
		newest := send(http.MethodGet, path, nonces.Nonce())
		if newest.Header.Get("DPoP-Nonce") != "" { // a new one has just begun
			newest = send(http.MethodGet, path, nonces.Nonce())
		}
		require.Equal(w, []string{"private, max-age=60"}, newest.Header.Values("Cache-Control"))
	})
}

// nonceBefore is the nonce before the newest, which still serves.
func nonceBefore(secret []byte) string {
	var step [8]byte
	binary.BigEndian.PutUint64(step[:], uint64(time.Now().Unix()/30-1))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("helseid-go/sdk dpop nonce"))
	mac.Write(step[:])
	return base64.RawURLEncoding.EncodeToString(append(step[:], mac.Sum(nil)[:16]...))
}

// A requirement that panics lets nobody in, and is on record; what the stack makes of
// the panic is its own.
func TestRequirementThatPanics(t *testing.T) {
	options := func() worldOptions {
		return worldOptions{everybody: func(context.Context, *tokenvalidation.Claims) error { panic("a requirement") }}
	}
	inEachRouter(t, options, func(w *world) {
		w.requirePanic(w.request(http.MethodGet, "/caller", nil))
		records := w.log()
		require.Len(w, records, 1)
		require.False(w, records[0].Allowed)
		require.Equal(w, "panicked", records[0].Reason)
		require.Equal(w, mint.DefaultClientID, records[0].ClientID)
	})
}

// requirePanic sends a request that somebody panics about: the answer is a 500 of the
// stack's usual middleware, or with net/http alone none.
func (w *world) requirePanic(request *http.Request) {
	w.Helper()
	response, err := w.client.Do(request)
	if strings.HasSuffix(w.Name(), "/servemux") {
		require.Error(w, err)
		return
	}
	require.NoError(w, err)
	require.NoError(w, response.Body.Close())
	require.Equal(w, http.StatusInternalServerError, response.StatusCode)
}

// However a path is written, nobody gets by a guard: routers clean and decode paths, and
// some send callers on.
func TestOddPathsAreGuarded(t *testing.T) {
	inEachRouter(t, plain, func(w *world) {
		for _, path := range []string{
			"/caller", "//caller", "/caller/", "/./caller", "/x/../caller", "/CALLER", "/%63aller", "/caller%2F", "/healthz/../caller",
			"/clinician/caller", "/clinician//caller", "/clinician%2Fcaller", "/clinician/./caller", "//clinician/caller",
			"/caller/../clinician/caller", "/clinician", "/clinician/", "/organizations/" + organization, "/organizations//" + organization,
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, "get"} {
				stranger := w.request(method, path, nil)
				stranger.Header = http.Header{"X-Http-Method-Override": {http.MethodGet}}
				w.requireNotLetIn(stranger)
				if strings.Contains(path, "clinician") {
					w.requireNotLetIn(w.request(method, path, nil, mint.Clinician(), mint.SecurityLevel(3)))
				}
			}
		}
	})
}

// requireNotLetIn does not follow redirects.
func (w *world) requireNotLetIn(request *http.Request) {
	w.Helper()
	response, err := w.client.Transport.RoundTrip(request)
	require.NoError(w, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	require.NoError(w, response.Body.Close())
	allowed := response.StatusCode < 300 && response.Header.Get("Allow") == ""
	require.False(w, allowed, "%s %s", request.Method, request.URL)
	require.NotContains(w, string(body), mint.DefaultClientID)
}

// In each stack, the lines of the routes that are about guards are few. Gin takes an
// adapter besides, once for all of them.
func TestProtectionTakesEightLines(t *testing.T) {
	for file, function := range map[string]string{
		"servemux.go": "serveMuxStack", "chi.go": "chiStack", "gin.go": "ginStack", "echo.go": "echoStack",
		"connect.go": "connectStack", "grpc.go": "grpcStack",
	} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := strings.Split(string(source), "\n")
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, file, source, 0)
		require.NoError(t, err)
		count := 0
		ast.Inspect(parsed, func(node ast.Node) bool {
			declared, ok := node.(*ast.FuncDecl)
			if ok && declared.Name.Name == function {
				for _, line := range lines[files.Position(declared.Body.Lbrace).Line:files.Position(declared.Body.Rbrace).Line] {
					if strings.Contains(line, "auth.") || strings.Contains(line, "guarded(") || strings.Contains(line, "clinician(") ||
						strings.Contains(line, "grpcauth.") || strings.Contains(line, "guard.") || strings.Contains(line, "ServiceName") {
						count++
					}
				}
			}
			return true
		})
		require.NotZero(t, count, file)
		require.LessOrEqual(t, count, 8, file)
	}
}
