package middleware_test

import (
	"crypto"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/middleware"
)

// Requests that the standards and the conformance suite require an API to accept are
// accepted.
func TestAccepted(t *testing.T) {
	t.Parallel()
	token := func(header, claims edit) func(*world) *http.Request {
		return func(w *world) *http.Request {
			token := w.token(header, claims)
			return plain("DPoP "+token, w.proof(token, nil, nil))
		}
	}
	proof := func(header, claims edit) func(*world) *http.Request {
		return func(w *world) *http.Request {
			token := w.token(nil, nil)
			return plain("DPoP "+token, w.proof(token, header, claims))
		}
	}
	asked := func(requested, htu string) func(*world) *http.Request {
		return func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(http.MethodGet, requested, nil)
			request.Header.Set("Authorization", "DPoP "+token)
			request.Header.Set("DPoP", w.proof(token, nil, with("htu", jsonText(htu))))
			return request
		}
	}
	scheme := func(scheme string) func(*world) *http.Request {
		return func(w *world) *http.Request {
			token := w.token(nil, nil)
			return plain(scheme+token, w.proof(token, nil, nil))
		}
	}
	signed := func(kid, alg string, sign signer) func(*world) *http.Request {
		return func(w *world) *http.Request {
			token := forged(kid, alg, sign)(w)
			return plain("DPoP "+token, w.proof(token, nil, nil))
		}
	}
	f := theForge()
	cases := map[string]func(*world) *http.Request{
		"T114 a system":            func(w *world) *http.Request { return w.genuine() },
		"T114 a clinician":         func(w *world) *http.Request { return w.genuine(mint.Clinician()) },
		"T136 DPOP":                scheme("DPOP "),
		"T136 dpop":                scheme("dpop "),
		"T136 dpOP":                scheme("dpOP "),
		"several spaces":           scheme("DPoP   "),
		"extra members in a proof": proof(also(`"x":{"y":[1]},"kid":"k","jku":"https://attacker.example/"`), also(`"x":{"y":[1]},"sub":"x"`)),
		"extra members in a token": token(also(`"x":1,"x5t":"AAAA"`), also(`"x":1`)),
		"members in other case beside the real ones": func(w *world) *http.Request {
			token := w.token(also(`"ALG":"none","KID":"x","TYP":"JWT"`), also(`"ISS":"x","AUD":"x","EXP":1,"CNF":null`))
			return plain("DPoP "+token, w.proof(token, also(`"ALG":"none","JWK":{}`), also(`"JTI":"","HTU":"x","HTM":"x","IAT":1,"ATH":""`)))
		},
		"typ of a token as media type":          token(with("typ", `"application/at+jwt"`), nil),
		"typ of a token in capitals":            token(with("typ", `"AT+JWT"`), nil),
		"typ of a proof as media type":          proof(with("typ", `"application/dpop+jwt"`), nil),
		"typ of a proof in capitals":            proof(with("typ", `"DPoP+JWT"`), nil),
		"OIDF iat 10 s old":                     proof(nil, at("iat", -7)), // the edge is in TestProofWindow
		"OIDF iat in 8 s":                       proof(nil, at("iat", 8)),
		"OIDF nbf and exp":                      proof(nil, both(at("nbf", -5), at("exp", 60))),
		"iat with a fraction":                   proof(nil, func(c string) string { return with("iat", fmt.Sprintf("%d.5", time.Now().Unix()))(c) }),
		"a nonce that nobody asked for":         proof(nil, also(`"nonce":"whatever"`)),
		"a nonce that is null":                  proof(nil, also(`"nonce":null`)),
		"jti of 256 characters":                 proof(nil, with("jti", quote(strings.Repeat("j", 256)))),
		"jti with characters beyond ASCII":      proof(nil, with("jti", `"æøå\n\u0000"`)),
		"T140 OIDF query in htu":                asked(resource+"?a=b", resource+"?a=b"),
		"T140 OIDF fragment in htu":             asked(resource, resource+"#x"),
		"T140 OIDF htu without query":           asked(resource+"?a=b", resource),
		"T140 another query in htu":             asked(resource+"?a=b", resource+"?c=d"),
		"T140 OIDF scheme and host in capitals": asked(resource, "HTTPS://API.EXAMPLE.NO/journal/1"),
		"T140 OIDF default port in htu":         asked(resource, "https://api.example.no:443/journal/1"),
		"T140 default port in the request":      asked("https://api.example.no:443/journal/1", resource),
		"T140 default port of http":             asked("http://api.example.no/journal/1", "http://api.example.no:80/journal/1"),
		"an empty port":                         asked(resource, "https://api.example.no:/journal/1"),
		"another port":                          asked("https://api.example.no:8443/journal/1", "https://api.example.no:8443/journal/1"),
		"the host in capitals":                  asked("https://API.example.no/journal/1", resource),
		"no path":                               asked("https://api.example.no", "https://api.example.no"),
		"no path against a slash":               asked("https://api.example.no/", "https://api.example.no"),
		"needless encoding in htu":              asked(resource, "https://api.example.no/%6aournal/%31"),
		"needless encoding in the request":      asked("https://api.example.no/%6Aournal/%31", resource),
		"encoding in another case":              asked("https://api.example.no/a%2fb", "https://api.example.no/a%2Fb"),
		"D3 an encoded space":                   asked("https://api.example.no/a%20b", "https://api.example.no/a%20b"),
		"letters beyond ASCII":                  asked("https://api.example.no/bl%C3%A5", "https://api.example.no/blå"),
		"a double slash":                        asked("https://api.example.no/files//x", "https://api.example.no/files//x"),
		"dot dot":                               asked("https://api.example.no/files/../x", "https://api.example.no/files/../x"),
		"IPv6":                                  asked("https://[::1]:8443/x", "https://[::1]:8443/x"),
		"xn--":                                  asked("https://xn--bl-zia.example.no/x", "https://xn--bl-zia.example.no/x"),
		"aud as an array of one":                token(nil, with("aud", `["nhn:test-api"]`)),
		"scope as one text":                     token(nil, with("scope", `"openid nhn:test-api/read"`)),
		"exp with a fraction":                   token(nil, func(c string) string { return with("exp", fmt.Sprintf("%d.9", time.Now().Unix()+60))(c) }),
		"exp as 2e9":                            token(nil, with("exp", "2e9")),
		"exp within the leeway":                 token(nil, at("exp", -2)),
		"nbf within the leeway":                 token(nil, at("nbf", 4)),
		"iat within the leeway":                 token(nil, at("iat", 4)),
		"without sub, nbf, iat and jti":         token(nil, both(without("sub"), without("nbf"), without("iat"), without("jti"))),
		"sub that is the client":                token(nil, with("sub", `"the-client"`)),
		"nbf and iat null":                      token(nil, both(with("nbf", "null"), with("iat", "null"))),
		"claims of the wrong type":              token(nil, also(`"name":1,"amr":{},"nhn:tillitsrammeverk:parameters":[],"act":"x"`)),
		"an escaped name":                       token(nil, replace(`"iss"`, `"\u0069ss"`)),
		"white space":                           token(replace(`{`, " {\n\t"), replace(`{`, "{ \r\n")),
		"inline jwk that is not needed":         token(also(`"jwk":{"kty":"oct","k":"AAAA"},"jku":"https://attacker.example/"`), nil),
		"T139 RS256":                            signed("rs256", "RS256", pkcs1(f.rsa, crypto.SHA256)),
		"T139 PS256":                            signed("ps256", "PS256", pss(f.rsa, crypto.SHA256, 32)),
		"T139 PS384":                            signed("ps384", "PS384", pss(f.rsa, crypto.SHA384, 48)),
		"T139 ES256":                            signed("es256", "ES256", ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)),
		"T139 ES384":                            signed("es384", "ES384", ecdsaRaw(f.ec["P-384"], crypto.SHA384, nil)),
		"T139 ES512":                            signed("es512", "ES512", ecdsaRaw(f.ec["P-521"], crypto.SHA512, nil)),
		"T176 a key without alg":                signed("noalg", "RS256", pkcs1(f.rsa, crypto.SHA256)),
		"an EC key without alg":                 signed("es-noalg", "ES256", ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)),
		"a key with key_ops":                    signed("ops", "RS256", pkcs1(f.rsa, crypto.SHA256)),
		"the first of a kid":                    signed("twice", "RS256", pkcs1(f.rsa, crypto.SHA256)),
		"the second of a kid":                   signed("twice", "RS256", pkcs1(f.other, crypto.SHA256)),
		"the third of a kid":                    signed("twice", "ES256", ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)),
		"a mixed kid":                           signed("mixed", "RS256", pkcs1(f.rsa, crypto.SHA256)),
		"ECDSA: s negated":                      signed("es256", "ES256", ecdsaRaw(f.ec["P-256"], crypto.SHA256, func(_, s, n *big.Int) { s.Sub(n, s) })),
		"the longest token":                     token(nil, func(c string) string { return also(`"x":"` + strings.Repeat("x", 11_500) + `"`)(c) }),
		"X-HTTP-Method-Override": func(w *world) *http.Request {
			r := w.genuine()
			r.Header.Set("X-HTTP-Method-Override", "DELETE")
			return r
		},
		"another path in r.URL (StripPrefix)": func(w *world) *http.Request {
			r := w.genuine()
			r.URL.Path, r.URL.RawPath = "/1", ""
			return r
		},
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"} {
		cases["method "+method] = func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(method, resource, nil)
			request.Header.Set("Authorization", "DPoP "+token)
			request.Header.Set("DPoP", w.proof(token, nil, with("htm", quote(method))))
			return request
		}
	}
	for _, algorithm := range jose.Algorithms() {
		cases["T139 a proof by "+string(algorithm)] = func(w *world) *http.Request {
			var signing crypto.Signer = theForge().rsa
			if curve, ok := map[jose.Algorithm]string{jose.ES256: "P-256", jose.ES384: "P-384", jose.ES512: "P-521"}[algorithm]; ok {
				signing = theForge().ec[curve]
			}
			w.key = newKey(w, signing, algorithm)
			token := w.token(nil, nil)
			return plain("DPoP "+token, w.proof(token, nil, nil))
		}
	}
	for name, send := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true})
			w.publishForge()
			w.requireLetIn(false)
			keys, metadata := w.fetches()
			reached := w.reached()
			response := w.serve(send(w))
			require.Equal(t, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
			require.Equal(t, reached+1, w.reached())
			require.Empty(t, response.Header.Get("WWW-Authenticate"))
			keysAfter, metadataAfter := w.fetches()
			require.Equal(t, []int{keys, metadata}, []int{keysAfter, metadataAfter})
			require.Empty(t, w.net.strayed())
			require.True(t, w.lastRecord().Allowed)
		})
	}
}

// The header's name is matched in any case, on the wire.
func TestHeaderNamesOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	api := httptest.NewServer(w.handler)
	defer api.Close()
	for _, name := range []string{"DPOP", "dpop", "dPoP"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/x?y=z", nil)
		require.NoError(t, err)
		token := w.server.Token()
		request.Header["authorization"] = []string{"DPoP " + token}
		request.Header[name] = []string{w.server.Proof(http.MethodGet, api.URL+"/x", token)}
		response, err := api.Client().Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, name)
	}
	// Two spellings of the name still make two headers.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/x", nil)
	require.NoError(t, err)
	token := w.server.Token()
	proof := w.server.Proof(http.MethodGet, api.URL+"/x", token)
	request.Header["Authorization"] = []string{"DPoP " + token}
	request.Header["DPOP"] = []string{proof}
	request.Header["dpop"] = []string{proof}
	response, err := api.Client().Do(request)
	require.NoError(t, err)
	document, _ := refusal(t, request, response)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "proof_repeated", document.Reason)
}

// A proof's nonce of a wrong type makes the proof invalid, even if the API requires no
// nonce.
func TestNonceOfWrongType(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`1`, `true`, `[]`, `{}`, `["x"]`} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{cold: true})
			w.publishForge()
			token := w.token(nil, nil)
			request := plain("DPoP "+token, w.proof(token, nil, also(`"nonce":`+value)))
			response := w.serve(request)
			require.Equal(t, http.StatusUnauthorized, response.StatusCode)
			document, _ := refusal(t, request, response)
			require.Equal(t, "invalid_dpop_proof", document.Error)
		})
	}
}

// A token for several APIs is accepted only if the configuration allows it.
func TestAllowOtherAudiences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{config: func(c *middleware.Config) { c.Token.AllowOtherAudiences = true }})
	require.Equal(t, http.StatusOK, w.serve(w.genuine(mint.Audience(mint.DefaultAudience, "nhn:other"))).StatusCode)
	require.Equal(t, http.StatusUnauthorized, w.serve(w.genuine(mint.Audience("nhn:other", "nhn:another"))).StatusCode)
	w = newWorld(t, worldOptions{})
	require.Equal(t, http.StatusUnauthorized, w.serve(w.genuine(mint.Audience(mint.DefaultAudience, "nhn:other"))).StatusCode, "not asked for")
	require.Equal(t, http.StatusUnauthorized, w.serve(w.genuine(mint.Audience("nhn:other", mint.DefaultAudience))).StatusCode, "in whichever order")
}

// The type JWT is accepted only if the configuration allows it.
func TestTokenTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{config: func(c *middleware.Config) { c.Token.TokenTypes = []string{"at+jwt", "JWT"} }})
	for typ, status := range map[string]int{
		"at+jwt": 200, "JWT": 200, "jwt": 200, "application/jwt": 200, "dpop+jwt": 401, "client-authentication+jwt": 401, "": 401,
	} {
		require.Equal(t, status, w.serve(w.genuine(mint.Header("typ", typ))).StatusCode, typ)
	}
	w = newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Token.TokenTypes = []string{"JWT"} }})
	require.Equal(t, http.StatusUnauthorized, w.serve(w.genuine()).StatusCode)
	require.Equal(t, http.StatusOK, w.serve(w.genuine(mint.Header("typ", "JWT"))).StatusCode)
}

// Proofs with an algorithm that is not configured are refused, and the challenge names
// the configured ones.
func TestProofAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{cold: true, config: func(c *middleware.Config) { c.Proof.Algorithms = []string{"PS256"} }})
	request := w.genuine()
	document, found := refusal(t, request, w.serve(request))
	require.Equal(t, "proof_alg", document.Reason)
	require.Equal(t, "PS256", found.parameters["algs"])
}
