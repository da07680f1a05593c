package middleware_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// All mistakes are reported at once, each with its field.
func TestConfig(t *testing.T) {
	t.Parallel()
	config := middleware.Config{
		Issuer: "http://issuer.example", Realm: "a\"b", PublicURL: "http://api.example.no",
		TrustedProxies: []netip.Prefix{{}}, ForwardedHeader: 7,
	}
	config.Proof.MaxAge = time.Hour
	config.Proof.Algorithms = []string{"none"}
	config.Token.Leeway = time.Hour
	_, err := middleware.New(config)
	require.ErrorIs(t, err, middleware.ErrConfig)
	require.ErrorIs(t, err, tokenvalidation.ErrConfig)
	for _, field := range []string{"Issuer", "Audience", "Leeway", "Algorithms", "MaxAge", "PublicURL", "TrustedProxies", "ForwardedHeader", "Realm"} {
		require.ErrorContains(t, err, field)
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*middleware.Config){
		"no issuer":                   func(c *middleware.Config) { c.Issuer = "" },
		"no audience":                 func(c *middleware.Config) { c.Audience = "" },
		"plain http issuer":           func(c *middleware.Config) { c.Issuer = "http://issuer.example" },
		"PublicURL relative":          func(c *middleware.Config) { c.PublicURL = "/journal" },
		"PublicURL without scheme":    func(c *middleware.Config) { c.PublicURL = "api.example.no" },
		"PublicURL plain http":        func(c *middleware.Config) { c.PublicURL = "http://api.example.no" },
		"PublicURL with query":        func(c *middleware.Config) { c.PublicURL = "https://api.example.no?x=y" },
		"PublicURL with fragment":     func(c *middleware.Config) { c.PublicURL = "https://api.example.no#x" },
		"PublicURL with user":         func(c *middleware.Config) { c.PublicURL = "https://u@api.example.no" },
		"PublicURL that is none":      func(c *middleware.Config) { c.PublicURL = "::" },
		"PublicURL of another kind":   func(c *middleware.Config) { c.PublicURL = "ftp://api.example.no" },
		"PublicURL beyond ASCII":      func(c *middleware.Config) { c.PublicURL = "https://blåbær.example.no" },
		"a prefix that is none":       func(c *middleware.Config) { c.TrustedProxies = []netip.Prefix{{}} },
		"an unknown forwarded header": func(c *middleware.Config) { c.ForwardedHeader = 7 },
		"ForwardAuth without proxies": func(c *middleware.Config) { c.ForwardAuth = &middleware.ForwardAuth{} },
		"a realm with a quote":        func(c *middleware.Config) { c.Realm = `a"b` },
		"a realm with a backslash":    func(c *middleware.Config) { c.Realm = `a\b` },
		"a realm with a line break":   func(c *middleware.Config) { c.Realm = "a\r\nX: y" },
		"a realm beyond ASCII":        func(c *middleware.Config) { c.Realm = "blåbær" },
		"an algorithm that is none":   func(c *middleware.Config) { c.Proof.Algorithms = []string{"HS256"} },
		"MaxAge too long":             func(c *middleware.Config) { c.Proof.MaxAge = time.Hour },
		"MaxFuture negative":          func(c *middleware.Config) { c.Proof.MaxFuture = -time.Second },
		"MaxAge not in whole seconds": func(c *middleware.Config) { c.Proof.MaxAge = 1500 * time.Millisecond },
		"ReplicaSkew negative":        func(c *middleware.Config) { c.Proof.ReplicaSkew = -time.Second },
		"an empty token type":         func(c *middleware.Config) { c.Token.TokenTypes = []string{""} },
		"a snapshot that is none":     func(c *middleware.Config) { c.Token.Snapshot = []byte("x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := middleware.Config{Issuer: "https://issuer.example", Audience: "nhn:some-api"}
			change(&config)
			_, err := middleware.New(config)
			require.ErrorIs(t, err, middleware.ErrConfig)
		})
	}
}

// Issuer and audience can be set in either place.
func TestIssuerInToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{config: func(c *middleware.Config) {
		c.Token.Issuer, c.Token.Audience = c.Issuer, c.Audience
		c.Issuer, c.Audience = "", ""
	}})
	w.requireGenuine()
}

// The constructor makes no network call.
func TestNewIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true})
	require.Empty(t, w.server.Requests())
	w.auth.Close()
	w.auth.Close()
}

func TestRealm(t *testing.T) {
	t.Parallel()
	for _, bearer := range []bool{false, true} {
		w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Realm, c.BearerOnly = "journal", bearer }})
		request := withHeaders(nil, nil)
		response := w.serve(request)
		_, found := refusal(t, request, response)
		require.Equal(t, "journal", found.parameters["realm"])
	}
	w := newWorld(t, worldOptions{cold: true, config: bearerOnly})
	require.Equal(t, "Bearer", w.serve(withHeaders(nil, nil)).Header.Get("WWW-Authenticate"))
}

// The window for proofs can be narrower or wider than the default.
func TestProofWindowOption(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.MaxAge, c.Proof.MaxFuture = time.Minute, 5*time.Minute }})
	for seconds, reason := range map[int64]string{-55: "", 290: "", -65: "proof_iat", 305: "proof_iat"} {
		token := w.server.Token()
		request := plain("DPoP "+token, w.server.Proof(http.MethodGet, resource, token, proofAt(seconds)))
		if reason == "" {
			w.requireOK(request)
		} else {
			w.requireRefused(request, reason)
		}
	}
}

// The body of the middleware's refusals can be replaced, but not status and challenge.
func TestWriteProblem(t *testing.T) {
	t.Parallel()
	var problems []middleware.Problem
	w := newWorld(t, worldOptions{cold: true, requirements: []middleware.Requirement{middleware.SecurityLevel(4)}, config: func(c *middleware.Config) {
		c.WriteProblem = func(w http.ResponseWriter, r *http.Request, problem middleware.Problem) {
			problems = append(problems, problem)
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(problem.Status)
			_, _ = w.Write([]byte("no: " + problem.Reason + " " + r.Method))
		}
	}})
	response := w.serve(w.genuine(mint.Clinician(), mint.SecurityLevel(3)))
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Equal(t, "text/plain", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	found := parseChallenge(t, response.Header.Get("WWW-Authenticate"))
	require.Equal(t, "insufficient_user_authentication", found.parameters["error"])
	require.Equal(t, []middleware.Problem{{
		Status: http.StatusUnauthorized, Code: "insufficient_user_authentication", Reason: "security_level",
		Detail: "the user must log in at security level 4", ACRValues: "Level4",
	}}, problems)
	w.net.setDown(true)
	response = w.serve(w.genuine(mint.Header("kid", "x")))
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Len(t, problems, 2)
}

// Without an audit function, requests are handled as usual.
func TestNoAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Audit = nil }})
	w.requireOK(w.genuine())
	require.Equal(t, http.StatusUnauthorized, w.serve(withHeaders(nil, nil)).StatusCode)
}

// A context from outside of the middleware has no claims or token, and other packages
// cannot add them.
func TestContext(t *testing.T) {
	t.Parallel()
	require.Nil(t, middleware.Claims(context.Background()))
	require.Empty(t, middleware.Token(context.Background()).Reveal())
	w := newWorld(t, worldOptions{cold: true})
	request := w.genuine(mint.Clinician())
	w.requireOK(request)
	require.Nil(t, middleware.Claims(request.Context()), "the caller's own request is as before")
	caller := middleware.Claims(w.caller())
	require.Equal(t, mint.DefaultPersonalIdentityNumber, caller.User.PersonalIdentityNumber.Reveal())
	require.Equal(t, request.Header.Get("Authorization"), "DPoP "+middleware.Token(w.caller()).Reveal())
}
