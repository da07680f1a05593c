package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

// withHeaders is a request with any number of values of the two headers.
func withHeaders(authorization, proofs []string) *http.Request {
	request := httptest.NewRequest(http.MethodGet, resource, nil)
	if authorization != nil {
		request.Header["Authorization"] = authorization
	}
	if proofs != nil {
		request.Header["Dpop"] = proofs
	}
	return request
}

// headers is an attack with genuine material in the wrong headers.
func headers(name, reason string, arrange func(token, proof string) (authorization, proofs []string)) attack {
	return newAttack(name, reason, func(w *world) *http.Request {
		token := w.token(nil, nil)
		return withHeaders(arrange(token, w.proof(token, nil, nil)))
	})
}

// inQuery puts the token in the query, too, in addition to a valid header.
func inQuery(name string) attack {
	return newAttack("the token in the header and in the query: "+name, "token_in_query", func(w *world) *http.Request {
		request := w.genuine()
		request.URL.RawQuery = name + "=" + w.server.Token()
		return request
	})
}

func headerAttacks() []attack {
	table := []attack{
		headers("T115 nothing", "no_credentials", func(_, _ string) ([]string, []string) { return nil, nil }),
		headers("T115 a proof alone", "no_credentials", func(_, p string) ([]string, []string) { return nil, []string{p} }),
		headers("an empty Authorization header", "no_credentials", func(_, p string) ([]string, []string) { return []string{""}, []string{p} }),
		headers("Basic", "no_credentials", func(_, p string) ([]string, []string) { return []string{"Basic YTpi"}, []string{p} }),
		headers("the token without scheme", "no_credentials", func(t, p string) ([]string, []string) { return []string{t}, []string{p} }),
		headers("the token as scheme", "no_credentials", func(t, p string) ([]string, []string) { return []string{t + " DPoP"}, []string{p} }),
		headers("a tab after the scheme", "no_credentials", func(t, p string) ([]string, []string) { return []string{"DPoP\t" + t}, []string{p} }),
		headers("a space before the scheme", "no_credentials", func(t, p string) ([]string, []string) { return []string{" DPoP " + t}, []string{p} }),
		headers("a colon after the scheme", "no_credentials", func(t, p string) ([]string, []string) { return []string{"DPoP: " + t}, []string{p} }),
		headers("a comma after the scheme", "no_credentials", func(t, p string) ([]string, []string) { return []string{"DPoP, " + t}, []string{p} }),
		headers("another scheme that starts the same", "no_credentials", func(t, p string) ([]string, []string) { return []string{"DPoPX " + t}, []string{p} }),
		headers("the scheme alone", "token_malformed", func(_, p string) ([]string, []string) { return []string{"DPoP"}, []string{p} }),
		headers("the scheme and spaces", "token_malformed", func(_, p string) ([]string, []string) { return []string{"DPoP    "}, []string{p} }),
		headers("the scheme alone, without a proof", "token_malformed", func(_, _ string) ([]string, []string) { return []string{"DPoP"}, nil }),
		headers("the scheme twice", "token_malformed", func(t, p string) ([]string, []string) { return []string{"DPoP DPoP " + t}, []string{p} }),
		headers("a parameter after the token", "token_malformed", func(t, p string) ([]string, []string) { return []string{"DPoP " + t + ", a=b"}, []string{p} }),
		headers("a token parameter", "token_malformed", func(t, p string) ([]string, []string) { return []string{`DPoP token="` + t + `"`}, []string{p} }),

		headers("T116 D3 a bound token as Bearer, with a proof", "authorization_scheme", func(t, p string) ([]string, []string) { return []string{"Bearer " + t}, []string{p} }),
		headers("T116 T149 a bound token as Bearer, without a proof", "authorization_scheme", func(t, _ string) ([]string, []string) { return []string{"Bearer " + t}, nil }),
		headers("bearer in lower case", "authorization_scheme", func(t, _ string) ([]string, []string) { return []string{"bearer " + t}, nil }),
		headers("Bearer without token", "authorization_scheme", func(_, _ string) ([]string, []string) { return []string{"Bearer"}, nil }),
		newAttack("T149 an unbound token as Bearer", "authorization_scheme", func(w *world) *http.Request {
			return withHeaders([]string{"Bearer " + w.server.Token(mint.Unbound())}, nil)
		}),
		newAttack("an unbound token as Bearer, with a proof", "authorization_scheme", func(w *world) *http.Request {
			token := w.server.Token(mint.Unbound())
			return plain("Bearer "+token, w.proof(token, nil, nil))
		}),

		headers("T117 no proof", "proof_missing", func(t, _ string) ([]string, []string) { return []string{"DPoP " + t}, nil }),
		headers("T118 two proofs, the same", "proof_repeated", func(t, p string) ([]string, []string) { return []string{"DPoP " + t}, []string{p, p} }),
		headers("T118 two proofs, the second bad", "proof_repeated", func(t, p string) ([]string, []string) { return []string{"DPoP " + t}, []string{p, "x"} }),
		headers("T118 two proofs, the first empty", "proof_repeated", func(t, p string) ([]string, []string) { return []string{"DPoP " + t}, []string{"", p} }),
		headers("two Authorization headers, the same", "authorization_repeated", func(t, p string) ([]string, []string) {
			return []string{"DPoP " + t, "DPoP " + t}, []string{p}
		}),
		headers("two Authorization headers, Bearer first", "authorization_repeated", func(t, p string) ([]string, []string) {
			return []string{"Bearer " + t, "DPoP " + t}, []string{p}
		}),
		headers("two Authorization headers, Basic last", "authorization_repeated", func(t, p string) ([]string, []string) {
			return []string{"DPoP " + t, "Basic YTpi"}, []string{p}
		}),
		headers("two Authorization headers, one empty", "authorization_repeated", func(t, p string) ([]string, []string) {
			return []string{"", "DPoP " + t}, []string{p}
		}),
		headers("two credentials with a comma", "token_malformed", func(t, p string) ([]string, []string) {
			return []string{"DPoP " + t + ", Bearer " + t}, []string{p}
		}),
		headers("T118 two proofs with a comma", "proof_malformed", func(t, p string) ([]string, []string) { return []string{"DPoP " + t}, []string{p + ", " + p} }),
		headers("two proofs with a comma and no space", "proof_malformed", func(t, p string) ([]string, []string) { return []string{"DPoP " + t}, []string{p + "," + p} }),
		headers("a good proof and an empty one with a comma", "proof_malformed", func(t, p string) ([]string, []string) { return []string{"DPoP " + t}, []string{p + ","} }),
		headers("an empty proof", "proof_malformed", func(t, _ string) ([]string, []string) { return []string{"DPoP " + t}, []string{""} }),
		headers("T137 a proof of 9 KiB", "proof_too_long", func(t, _ string) ([]string, []string) {
			return []string{"DPoP " + t}, []string{strings.Repeat("A", 9<<10)}
		}),
		headers("T137 a proof one byte too long", "proof_too_long", func(t, _ string) ([]string, []string) {
			return []string{"DPoP " + t}, []string{strings.Repeat("A", 8<<10+1)}
		}),
		headers("a proof of a megabyte", "proof_too_long", func(_, _ string) ([]string, []string) {
			return []string{"DPoP x"}, []string{strings.Repeat(".", 1<<20)}
		}),

		inQuery("access_token"), inQuery("access%5Ftoken"), inQuery("a=b&%61ccess_token"), inQuery("x;access_token"),
		newAttack("the token in the query", "no_credentials", func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(http.MethodGet, resource+"?access_token="+token, nil)
			request.Header.Set("DPoP", w.proof(token, nil, nil))
			return request
		}),
		newAttack("the token in the form", "no_credentials", func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(http.MethodPost, resource, strings.NewReader("access_token="+token))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("DPoP", w.proof(token, nil, with("htm", `"POST"`)))
			return request
		}),
		newAttack("the token in a cookie", "no_credentials", func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(http.MethodGet, resource, nil)
			request.AddCookie(&http.Cookie{Name: "access_token", Value: token})
			request.Header.Set("DPoP", w.proof(token, nil, nil))
			return request
		}),
	}
	for _, header := range []string{"X-Authorization", "Proxy-Authorization", "X-Forwarded-Authorization", "X-Original-Authorization"} {
		table = append(table, newAttack("the token in "+header, "no_credentials", func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(http.MethodGet, resource, nil)
			request.Header.Set(header, "DPoP "+token)
			request.Header.Set("DPoP", w.proof(token, nil, nil))
			return request
		}))
	}
	for _, header := range []string{"X-DPoP", "DPoP-Proof", "D-PoP"} {
		table = append(table, newAttack("the proof in "+header, "proof_missing", func(w *world) *http.Request {
			token := w.token(nil, nil)
			request := httptest.NewRequest(http.MethodGet, resource, nil)
			request.Header.Set("Authorization", "DPoP "+token)
			request.Header.Set(header, w.proof(token, nil, nil))
			return request
		}))
	}
	return table
}

func bindingAttacks() []attack {
	table := []attack{
		badClaims("T138 cnf missing", "token_binding", without("cnf")),
		badClaims("CNF in place of cnf", "token_binding", replace(`"cnf"`, `"CNF"`)),
		badToken("T133 T147 jkt of another key", "proof_key_mismatch", func(w *world) string {
			return w.token(nil, with("cnf", `{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`))
		}),
		badProof("T133 a proof with another key", "proof_key_mismatch", func(w *world, token string) string {
			return w.server.Proof(http.MethodGet, resource, token)
		}),
		badProof("another key's jwk over the bound key's signature", "proof_key_mismatch", func(w *world, token string) string {
			other := newKey(w, theForge().ec["P-256"], "")
			return w.proof(token, with("jwk", other.Public().JWK()), nil)
		}),
	}
	for name, change := range map[string]func(string) string{
		"padded":        func(jkt string) string { return jkt + "=" },
		"in lower case": func(jkt string) string { return strings.ToLower(jkt) + "x" },
		"cut":           func(jkt string) string { return jkt[:42] },
		"with a space":  func(jkt string) string { return jkt + " " },
		"of the token":  func(jkt string) string { return hashOf(jkt) },
	} {
		table = append(table, badToken("jkt "+name, "proof_key_mismatch", func(w *world) string {
			return w.token(nil, with("cnf", `{"jkt":"`+change(w.key.Public().Thumbprint())+`"}`))
		}))
	}
	for name, cnf := range confirmations() {
		table = append(table, badClaims("cnf "+name, "token_binding", with("cnf", cnf)))
	}
	for name, member := range map[string]string{"x5t#S256": `"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"`, "kid": `"kid":"x"`, "null": `"x":null`} {
		table = append(table, badToken("cnf with the right jkt beside "+name, "token_binding", func(w *world) string {
			return w.token(nil, with("cnf", `{"jkt":"`+w.key.Public().Thumbprint()+`",`+member+`}`))
		}))
	}
	return table
}

func bearerOnly(config *middleware.Config) { config.BearerOnly = true }

func bearerRequest(token string) *http.Request { return withHeaders([]string{"Bearer " + token}, nil) }

// bearerAttacks are against an API that takes bearer tokens only.
func bearerAttacks() []attack {
	bearer := func(name, reason string, send func(w *world) *http.Request) attack {
		a := newAttack(name, reason, send)
		a.config = bearerOnly
		return a
	}
	table := []attack{
		bearer("T115 nothing", "no_credentials", func(*world) *http.Request { return withHeaders(nil, nil) }),
		bearer("T116 DPoP", "authorization_scheme", func(w *world) *http.Request {
			token := w.token(nil, nil)
			return plain("DPoP "+token, w.proof(token, nil, nil))
		}),
		bearer("DPoP with an unbound token", "authorization_scheme", func(w *world) *http.Request {
			token := w.token(nil, without("cnf"))
			return plain("DPoP "+token, w.proof(token, nil, nil))
		}),
		bearer("T149 a bound token", "token_binding", func(w *world) *http.Request { return bearerRequest(w.token(nil, nil)) }),
		bearer("an unbound token with a proof", "proof_unexpected", func(w *world) *http.Request {
			token := w.token(nil, without("cnf"))
			return plain("Bearer "+token, w.proof(token, nil, nil))
		}),
		bearer("two Authorization headers", "authorization_repeated", func(w *world) *http.Request {
			token := w.token(nil, without("cnf"))
			return withHeaders([]string{"Bearer " + token, "Bearer " + token}, nil)
		}),
		bearer("broken signature", "token_signature", func(w *world) *http.Request {
			return bearerRequest(w.server.Token(mint.Unbound(), mint.BrokenSignature()))
		}),
		bearer("expired", "token_expired", func(w *world) *http.Request {
			return bearerRequest(w.server.Token(mint.Unbound(), mint.Expired()))
		}),
	}
	for name, cnf := range confirmations() {
		table = append(table, bearer("cnf "+name, "token_binding", func(w *world) *http.Request {
			return bearerRequest(w.token(nil, with("cnf", cnf)))
		}))
	}
	return table
}
