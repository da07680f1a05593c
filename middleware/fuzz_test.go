package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

// lastingToken is for fuzz targets that run for a long time.
func (w *world) lastingToken() string { return w.server.Token(mint.ExpiresIn(24 * time.Hour)) }

// FuzzCredentials: whatever the two headers contain, no request is accepted, nothing
// panics, and the response is a well-formed refusal.
func FuzzCredentials(f *testing.F) {
	w := newWorld(f, worldOptions{})
	good := w.server.Token()
	proof := w.server.Proof(http.MethodGet, "https://other.example.no/", good)
	for _, seed := range [][2]string{
		{"", ""}, {"DPoP", ""}, {"DPoP " + good, proof}, {"DPoP " + good, ""}, {"Bearer " + good, proof}, {"DPoP " + good + ", DPoP " + good, proof + "," + proof},
		{"DPoP ..", ".."}, {"DPoP e30.e30.AA", "e30.e30.AA"}, {"DPoP " + good, w.server.Proof("GET", resource, good, mint.ProofClaim("nonce", 1), mint.ProofClaim("ath", 1))},
		{"DPoP " + w.server.Token(mint.BrokenSignature()), proof}, {"DPoP " + good, good}, {"DPoP " + proof, proof},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, authorization, proof string) {
		request := plain(authorization, proof)
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, request)
		response := recorder.Result()
		require.NotEqual(t, http.StatusOK, response.StatusCode)
		if response.StatusCode == http.StatusServiceUnavailable {
			// The fuzzer's processes have a HelseID each: a seed of another one is signed
			// with a key that this one was not asked about.
			require.Contains(t, recorder.Body.String(), "keys_unavailable")
		} else {
			require.Less(t, response.StatusCode, 500)
			parseChallenge(t, response.Header.Get("WWW-Authenticate"))
		}
		require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
		require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	})
}

// FuzzProof: a proof that is signed by the right key is accepted only if its contents
// are right.
func FuzzProof(f *testing.F) {
	w := newWorld(f, worldOptions{cold: true})
	w.publishForge()
	w.requireLetIn(false)
	token := w.token(nil, nil)
	claims := w.proofClaims(token)
	for _, seed := range []string{claims, `{}`, "", with("htu", `"https://other.example.no/"`)(claims), also(`"nonce":null`)(claims), also(`"jti":1`)(claims), with("iat", "1e300")(claims)} {
		f.Add(w.proofHeader(), seed)
	}
	f.Add(also(`"crit":[]`)(w.proofHeader()), claims)
	f.Fuzz(func(t *testing.T, header, claims string) {
		proof, err := w.key.SignRaw(t.Context(), []byte(header), []byte(claims))
		require.NoError(t, err)
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, plain("DPoP "+token, proof))
		if recorder.Code == http.StatusOK {
			require.Contains(t, claims, hashOf(token))
			require.True(t, strings.Contains(header, "jwk") || strings.Contains(header, `\u`))
			return
		}
		require.Less(t, recorder.Code, 500)
		parseChallenge(t, recorder.Header().Get("WWW-Authenticate"))
	})
}

// FuzzForwarded: headers of untrusted senders about the API's address have no effect,
// and those of trusted proxies, however malformed, cause no panic.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "for=203.0.113.9;host=api.example.no;proto=https", "for=10.0.0.1, for=10.0.0.2;host=a", `for="[2001:db8::1]:1";host="a;b,c"`, ";;,=", "api.example.no", "https, http", `"`, "for=unknown", "\x00", "host=api.example.no"} {
		f.Add(seed, "https", "/x")
		f.Add(seed, seed, seed)
	}
	worlds := make(map[*world]string) // with a token of each
	for _, header := range []middleware.ForwardedHeader{middleware.XForwarded, middleware.Forwarded} {
		w := newWorld(f, worldOptions{cold: true, config: trusting(header)})
		worlds[w] = w.lastingToken()
	}
	auth := newWorld(f, worldOptions{cold: true, config: func(c *middleware.Config) {
		trusting(middleware.XForwarded)(c)
		c.ForwardAuth = &middleware.ForwardAuth{}
	}})
	authToken := auth.lastingToken()
	f.Fuzz(func(t *testing.T, host, proto, path string) {
		headers := func(request *http.Request) {
			request.Header["X-Forwarded-Host"], request.Header["X-Forwarded-Proto"] = []string{host}, []string{proto}
			request.Header["Forwarded"] = []string{host, proto}
			request.Header["X-Forwarded-Uri"], request.Header["X-Forwarded-Method"] = []string{path}, []string{"GET"}
		}
		for w, token := range worlds {
			// From a stranger: nothing changes.
			request := w.genuineWith(token)
			headers(request)
			request.RemoteAddr = "203.0.113.9:1"
			recorder := httptest.NewRecorder()
			w.handler.ServeHTTP(recorder, request)
			require.Equal(t, http.StatusOK, recorder.Code)
			// From a proxy: it gets in at most where the proxy says that it is.
			request = w.genuineWith(token)
			headers(request)
			recorder = httptest.NewRecorder()
			w.handler.ServeHTTP(recorder, request)
			require.Less(t, recorder.Code, 500)
		}
		request := auth.genuineWith(authToken)
		headers(request)
		recorder := httptest.NewRecorder()
		auth.handler.ServeHTTP(recorder, request)
		require.Less(t, recorder.Code, 500)
	})
}

// FuzzTarget: a proof for one URL is accepted at another only if the standard library
// considers them the same, too.
func FuzzTarget(f *testing.F) {
	w := newWorld(f, worldOptions{})
	for _, seed := range []string{resource, "https://API.example.no:443/journal/1", "https://api.example.no/%6aournal/1", "https://api.example.no//journal/1", "https://\u212a", "https://api.example.no%25x/journal/1",
		`https://api.example.no\journal\1`, "https://api.example.no/journal/1?x#y", "//api.example.no/journal/1", "", "https://ap\u0130.example.no/journal/1"} {
		f.Add(seed)
	}
	token := w.lastingToken()
	f.Fuzz(func(t *testing.T, htu string) {
		request := plain("DPoP "+token, w.server.Proof(http.MethodGet, resource, token, mint.ProofClaim("htu", htu)))
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, request)
		require.Less(t, recorder.Code, 500)
		if recorder.Code != http.StatusOK {
			return
		}
		parsed, err := url.Parse(htu)
		require.NoError(t, err)
		require.True(t, isASCIIFold(parsed.Hostname(), "api.example.no"), "%q", htu)
		require.Equal(t, "https", strings.ToLower(parsed.Scheme))
		require.Equal(t, "/journal/1", parsed.Path)
		require.Contains(t, []string{"", "443"}, parsed.Port())
		require.Nil(t, parsed.User)
	})
}

// isASCIIFold compares without regard to the case of a to z alone.
func isASCIIFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] >= 0x80 || b[i] >= 0x80 {
			return false
		}
	}
	return strings.EqualFold(a, b)
}
