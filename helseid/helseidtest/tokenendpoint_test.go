package helseidtest_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/testkit"
)

// Every refusal of the token endpoint, one by one. Each case changes one thing
// of a request that is good otherwise. Times leave seconds for a slow machine;
// TestTokenEndpointTimes has the limits.
func TestTokenEndpointRefusals(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, a *asker, r *attempt)
	assertion := func(name string, value any) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.assertion[name] = value }
	}
	header := func(name string, value any) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.assertionHeader[name] = value }
	}
	proof := func(name string, value any) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.proof[name] = value }
	}
	proofHeader := func(name string, value any) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.proofHeader[name] = value }
	}
	form := func(name string, values ...string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.form[name] = values }
	}
	shift := func(claims func(*attempt) map[string]any, seconds int64, names ...string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { later(claims(r), seconds, names...) }
	}
	tests := map[string]struct {
		change change
		code   string // "" means a token
		says   string
	}{
		"as it should be":        {func(*testing.T, *asker, *attempt) {}, "", ""},
		"GET":                    {func(_ *testing.T, _ *asker, r *attempt) { r.method = "GET" }, "invalid_request", "POST"},
		"PUT":                    {func(_ *testing.T, _ *asker, r *attempt) { r.method = "PUT" }, "invalid_request", "POST"},
		"content type JSON":      {func(_ *testing.T, _ *asker, r *attempt) { r.contentType = "application/json" }, "invalid_request", "Content-Type"},
		"content type with more": {func(_ *testing.T, _ *asker, r *attempt) { r.contentType += "; charset=utf-8" }, "", ""},
		"no content type":        {func(_ *testing.T, _ *asker, r *attempt) { r.contentType = "" }, "invalid_request", "Content-Type"},
		"repeated parameter":     {form("scope", testScope, testScope), "invalid_request", "repeated"},
		"no assertion type":      {form("client_assertion_type"), "invalid_client", "client_assertion_type"},
		"other assertion type":   {form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), "invalid_client", "client_assertion_type"},
		"no assertion":           {func(_ *testing.T, _ *asker, r *attempt) { r.rawAssertion = "-" }, "invalid_client", "compact"},
		"assertion no JWS":       {func(_ *testing.T, _ *asker, r *attempt) { r.rawAssertion = "a.b" }, "invalid_client", "compact"},
		"assertion alg none":     {func(t *testing.T, _ *asker, r *attempt) { r.rawAssertion = unsigned(r.assertion) }, "invalid_client", ""},
		"assertion typ JWT":      {header("typ", "JWT"), "invalid_client", "typ"},
		"assertion without typ":  {header("typ", nil), "invalid_client", "typ"},
		"assertion with crit":    {header("crit", []string{"x"}), "invalid_client", ""},
		"assertion other alg":    {header("alg", "ES384"), "invalid_client", "registered key"},
		"assertion unknown kid":  {header("kid", "unknown"), "invalid_client", "registered key"},
		"assertion without kid":  {header("kid", nil), "", ""},
		"assertion unknown key":  {func(t *testing.T, _ *asker, r *attempt) { r.assertionKey = newKey(t) }, "invalid_client", "registered key"},
		"assertion broken": {func(t *testing.T, _ *asker, r *attempt) {
			r.rawAssertion = tampered(sign(t, r.assertionKey, r.assertionHeader, r.assertion))
		}, "invalid_client", "registered key"},
		"client_id unknown":      {form("client_id", "somebody"), "invalid_client", "unknown"},
		"client_id missing":      {form("client_id"), "invalid_client", "unknown"},
		"iss somebody":           {assertion("iss", "somebody"), "invalid_client", "iss"},
		"iss missing":            {assertion("iss", nil), "invalid_client", "iss"},
		"sub somebody":           {assertion("sub", "somebody"), "invalid_client", "sub"},
		"sub missing":            {assertion("sub", nil), "invalid_client", "sub"},
		"aud token endpoint":     {func(_ *testing.T, a *asker, r *attempt) { r.assertion["aud"] = a.server.Issuer() + "/connect/token" }, "invalid_client", "aud"},
		"aud with slash":         {func(_ *testing.T, a *asker, r *attempt) { r.assertion["aud"] = a.server.Issuer() + "/" }, "invalid_client", "aud"},
		"aud array":              {func(_ *testing.T, a *asker, r *attempt) { r.assertion["aud"] = []string{a.server.Issuer()} }, "invalid_client", "aud"},
		"aud missing":            {assertion("aud", nil), "invalid_client", "aud"},
		"aud elsewhere":          {assertion("aud", "https://helseid-sts.nhn.no"), "invalid_client", "aud"},
		"T177 61 seconds":        {shift(ofAssertion, 51, "exp"), "invalid_client", "60 seconds"},
		"60 seconds":             {shift(ofAssertion, 50, "exp"), "", ""},
		"expired":                {shift(ofAssertion, -15, "iat", "nbf", "exp"), "invalid_client", "expired"},
		"nearly expired":         {shift(ofAssertion, -12, "iat", "nbf", "exp"), "", ""},
		"in the future":          {shift(ofAssertion, 9, "iat", "exp"), "invalid_client", "future"},
		"a little in the future": {shift(ofAssertion, 4, "iat", "nbf", "exp"), "", ""},
		"not valid yet":          {shift(ofAssertion, 9, "nbf"), "invalid_client", "not valid yet"},
		"nbf a text":             {assertion("nbf", "soon"), "invalid_client", "not valid yet"},
		"without nbf":            {assertion("nbf", nil), "", ""},
		"without iat":            {assertion("iat", nil), "invalid_client", "iat"},
		"iat in words":           {assertion("iat", "now"), "invalid_client", "iat"},
		"iat a number in a text": {func(_ *testing.T, _ *asker, r *attempt) {
			r.assertion["iat"] = json.Number("")
			r.assertion["iat"] = decimal(r.assertion["exp"].(int64) - 10)
		}, "", ""},
		"without exp": {assertion("exp", nil), "invalid_client", "exp"},
		"exp a text":  {assertion("exp", "9999999999"), "invalid_client", "exp"},
		"without jti": {assertion("jti", nil), "invalid_client", "jti"},
		"empty jti":   {assertion("jti", ""), "invalid_client", "jti"},
		"details under two names": {func(_ *testing.T, _ *asker, r *attempt) {
			r.assertion["assertion_details"] = map[string]any{}
			r.assertion["authorization_details"] = map[string]any{}
		}, "invalid_request", "exclude"},

		"no proof": {func(_ *testing.T, _ *asker, r *attempt) { r.proofs = []string{} }, "invalid_dpop_proof", "exactly one"},
		"two proofs": {func(t *testing.T, a *asker, r *attempt) {
			second := a.build(t, "")
			r.proofs = []string{sign(t, r.proofKey, r.proofHeader, r.proof), sign(t, r.proofKey, r.proofHeader, second.proof)}
		}, "invalid_dpop_proof", "exactly one"},
		"proof no JWS":      {func(_ *testing.T, _ *asker, r *attempt) { r.proofs = []string{"x"} }, "invalid_dpop_proof", ""},
		"proof typ JWT":     {proofHeader("typ", "JWT"), "invalid_dpop_proof", "typ"},
		"proof alg none":    {proofHeader("alg", "none"), "invalid_dpop_proof", "alg"},
		"proof alg HS256":   {proofHeader("alg", "HS256"), "invalid_dpop_proof", "alg"},
		"proof without key": {proofHeader("jwk", nil), "invalid_dpop_proof", "jwk"},
		"proof private key": {func(t *testing.T, _ *asker, r *attempt) {
			jwk := publicJWK(t, r.proofKey)
			secret, err := r.proofKey.Bytes()
			require.NoError(t, err)
			jwk["d"] = b64(secret)
			r.proofHeader["jwk"] = jwk
		}, "invalid_dpop_proof", "private"},
		"proof of another key": {func(t *testing.T, _ *asker, r *attempt) { r.proofKey = newKey(t) }, "invalid_dpop_proof", "signature"},
		"proof broken": {func(t *testing.T, _ *asker, r *attempt) {
			r.proofs = []string{tampered(sign(t, r.proofKey, r.proofHeader, r.proof))}
		}, "invalid_dpop_proof", "signature"},
		"proof without jti":     {proof("jti", nil), "invalid_dpop_proof", "jti"},
		"proof for GET":         {proof("htm", "GET"), "invalid_dpop_proof", "htm"},
		"proof for post":        {proof("htm", "post"), "invalid_dpop_proof", "htm"},
		"proof elsewhere":       {proof("htu", "https://elsewhere.example.no/connect/token"), "invalid_dpop_proof", "htu"},
		"proof for the issuer":  {func(_ *testing.T, a *asker, r *attempt) { r.proof["htu"] = a.server.Issuer() }, "invalid_dpop_proof", "htu"},
		"proof with query":      {func(_ *testing.T, a *asker, r *attempt) { r.proof["htu"] = a.server.Issuer() + "/connect/token?x=1" }, "", ""},
		"proof stale":           {shift(ofProof, -15, "iat"), "invalid_dpop_proof", "iat"},
		"proof nearly stale":    {shift(ofProof, -6, "iat"), "", ""},
		"proof in the future":   {shift(ofProof, 13, "iat"), "invalid_dpop_proof", "iat"},
		"proof nearly there":    {shift(ofProof, 4, "iat"), "", ""},
		"proof without iat":     {proof("iat", nil), "invalid_dpop_proof", "iat"},
		"proof with ath":        {proof("ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"), "invalid_dpop_proof", "ath"},
		"no nonce":              {proof("nonce", nil), "use_dpop_nonce", ""},
		"empty nonce":           {proof("nonce", ""), "use_dpop_nonce", ""},
		"nonce of somebody":     {proof("nonce", "made-up"), "use_dpop_nonce", ""},
		"nonce a number":        {proof("nonce", 7), "invalid_dpop_proof", "nonce"},
		"grant missing":         {form("grant_type"), "unsupported_grant_type", "missing"},
		"grant unknown":         {form("grant_type", "password"), "unsupported_grant_type", ""},
		"grant in capitals":     {form("grant_type", "CLIENT_CREDENTIALS"), "unsupported_grant_type", ""},
		"identity scope openid": {form("scope", "openid"), "invalid_scope", "identity"},
		"identity scope pid":    {form("scope", testScope+" helseid://scopes/identity/pid"), "invalid_scope", "identity"},
		"identity scope hpr":    {form("scope", "helseid://scopes/hpr/hpr_number"), "invalid_scope", "identity"},
		"offline_access":        {form("scope", "offline_access"), "invalid_scope", "identity"},
		"unknown scope":         {form("scope", testScope+" nhn:test-api/delete"), "invalid_scope", "not granted"},
		"scope in other case":   {form("scope", strings.ToUpper(testScope)), "invalid_scope", "not granted"},
		"no scope":              {form("scope"), "", ""},
		"resource of the scope": {form("resource", "nhn:test-api"), "", ""},
		"another resource":      {form("resource", "nhn:other-api"), "invalid_target", ""},
		"one resource of two":   {form("resource", "nhn:test-api", "nhn:other-api"), "invalid_target", ""},
	}
	for name, test := range tests {
		for _, kind := range []string{"in memory", "on loopback"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				var options []helseidtest.Option
				if kind == "in memory" {
					options = append(options, helseidtest.InMemory())
				}
				a := newAsker(t, helseidtest.NewServer(t, options...))
				attempt := a.build(t, a.nonce(t))
				test.change(t, a, attempt)
				answer := a.send(t, attempt)
				require.Equal(t, test.code, answer.Error, answer.Description)
				require.Contains(t, answer.Description, test.says)
				require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
				if test.code == "" {
					require.Equal(t, http.StatusOK, answer.status)
					require.NotEmpty(t, answer.AccessToken)
					require.Equal(t, "DPoP", answer.TokenType)
					return
				}
				require.Equal(t, http.StatusBadRequest, answer.status)
				require.Empty(t, answer.AccessToken)
				require.Equal(t, test.code == "use_dpop_nonce", answer.header.Get("DPoP-Nonce") != "")
			})
		}
	}
}

func ofAssertion(r *attempt) map[string]any { return r.assertion }

func ofProof(r *attempt) map[string]any { return r.proof }

func later(claims map[string]any, seconds int64, names ...string) {
	for _, name := range names {
		claims[name] = claims[name].(int64) + seconds
	}
}

// The limits of each time, to the second: inside of a bubble none passes between
// the making and the check.
func TestTokenEndpointTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims         func(*attempt) map[string]any
		names          []string
		good, bad      int64 // seconds that the claims are moved by
		code, saysWhat string
	}{
		"assertion that expires":     {ofAssertion, []string{"iat", "nbf", "exp"}, -14, -15, "invalid_client", "expired"},
		"assertion of the future":    {ofAssertion, []string{"iat", "exp"}, 5, 6, "invalid_client", "future"},
		"assertion not valid yet":    {ofAssertion, []string{"nbf"}, 5, 6, "invalid_client", "not valid yet"},
		"assertion that lives long":  {ofAssertion, []string{"exp"}, 50, 51, "invalid_client", "60 seconds"},
		"proof that is stale":        {ofProof, []string{"iat"}, -10, -11, "invalid_dpop_proof", "iat"},
		"proof that is ahead of now": {ofProof, []string{"iat"}, 8, 9, "invalid_dpop_proof", "iat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory()))
				send := func(seconds int64) result {
					attempt := a.build(t, a.nonce(t))
					later(test.claims(attempt), seconds, test.names...)
					return a.send(t, attempt)
				}
				answer := send(test.good)
				require.Empty(t, answer.Error, answer.Description)
				answer = send(test.bad)
				require.Equal(t, test.code, answer.Error)
				require.Contains(t, answer.Description, test.saysWhat)
			})
		})
	}
}

func decimal(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func unsigned(claims map[string]any) string {
	text, _ := json.Marshal(claims)
	return b64([]byte(`{"alg":"none","typ":"client-authentication+jwt"}`)) + "." + b64(text) + ".AA"
}

func tampered(token string) string {
	dot := strings.LastIndexByte(token, '.')
	signature, _ := base64.RawURLEncoding.DecodeString(token[dot+1:])
	signature[10] ^= 1
	return token[:dot+1] + b64(signature)
}

func TestGrantOfTheClient(t *testing.T) {
	t.Parallel()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory()))
	a.register(t, helseidtest.Client{ID: clientID, GrantTypes: []string{"authorization_code"}})
	require.Equal(t, "unauthorized_client", a.send(t, a.build(t, a.nonce(t))).Error)
}

func TestCredentialsAreSpent(t *testing.T) {
	t.Parallel()
	newServer := func(t *testing.T) *asker { return newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory())) }
	t.Run("T177 an assertion, by a token", func(t *testing.T) {
		t.Parallel()
		a := newServer(t)
		first := a.build(t, a.nonce(t))
		require.Empty(t, a.send(t, first).Error)
		second := a.build(t, first.proof["nonce"].(string))
		second.rawAssertion = first.rawAssertion
		answer := a.send(t, second)
		require.Equal(t, "invalid_client", answer.Error)
		require.Contains(t, answer.Description, "used before")
	})
	t.Run("an assertion, by a nonce challenge", func(t *testing.T) {
		t.Parallel()
		a := newServer(t)
		first := a.build(t, "")
		nonce := a.send(t, first).header.Get("DPoP-Nonce")
		second := a.build(t, nonce)
		second.rawAssertion = first.rawAssertion
		require.Contains(t, a.send(t, second).Description, "used before")
	})
	t.Run("an assertion's jti, in another assertion", func(t *testing.T) {
		t.Parallel()
		a := newServer(t)
		first := a.build(t, a.nonce(t))
		require.Empty(t, a.send(t, first).Error)
		second := a.build(t, first.proof["nonce"].(string))
		second.assertion["jti"] = first.assertion["jti"]
		require.Contains(t, a.send(t, second).Description, "used before")
	})
	t.Run("T068 a proof", func(t *testing.T) {
		t.Parallel()
		a := newServer(t)
		first := a.build(t, a.nonce(t))
		require.Empty(t, a.send(t, first).Error)
		second := a.build(t, "")
		second.proofs = first.proofs
		answer := a.send(t, second)
		require.Equal(t, "invalid_dpop_proof", answer.Error)
		require.Contains(t, answer.Description, "used before")
	})
	t.Run("a proof, for as long as it could be accepted, whatever the clock says", func(t *testing.T) {
		t.Parallel()
		for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				a := newServer(t)
				a.server.SetClockSkew(skew)
				first := a.build(t, a.nonce(t))
				require.Empty(t, a.send(t, first).Error)
				testkit.Sleep(5 * time.Second)
				second := a.build(t, "")
				second.proofs = first.proofs
				require.Equal(t, "invalid_dpop_proof", a.send(t, second).Error, "skew %v", skew)
			})
		}
	})
	t.Run("not a nonce", func(t *testing.T) {
		t.Parallel()
		a := newServer(t)
		nonce := a.nonce(t)
		for range 3 {
			require.Empty(t, a.send(t, a.build(t, nonce)).Error)
		}
	})
}

func TestNonces(t *testing.T) {
	t.Parallel()
	t.Run("live for two minutes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory()))
			nonce := a.nonce(t)
			testkit.Sleep(2*time.Minute - time.Second)
			require.Empty(t, a.send(t, a.build(t, nonce)).Error)
			testkit.Sleep(time.Second)
			require.Equal(t, "use_dpop_nonce", a.send(t, a.build(t, nonce)).Error)
		})
	})
	t.Run("relaxed", func(t *testing.T) {
		t.Parallel()
		a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
		require.Empty(t, a.send(t, a.build(t, "")).Error)
		require.Equal(t, "use_dpop_nonce", a.send(t, a.build(t, "made-up")).Error)
	})
	t.Run("a new one each time", func(t *testing.T) {
		t.Parallel()
		for _, options := range [][]helseidtest.Option{{helseidtest.InMemory()}, {helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)}} {
			a := newAsker(t, helseidtest.NewServer(t, options...))
			a.server.DemandNewNonceEachTime(true)
			nonce := a.nonce(t)
			answer := a.send(t, a.build(t, nonce))
			require.Empty(t, answer.Error)
			next := answer.header.Get("DPoP-Nonce")
			require.NotEmpty(t, next)
			require.NotEqual(t, nonce, next)
			require.Equal(t, "use_dpop_nonce", a.send(t, a.build(t, nonce)).Error, "the last one but one")
			a.server.DemandNewNonceEachTime(false)
			require.Empty(t, a.send(t, a.build(t, next)).Error)
		}
	})
}

func TestTokensOfTheEndpoint(t *testing.T) {
	t.Parallel()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(5*time.Minute)))
	ask := func(scope string, resources ...string) (result, map[string]any) {
		attempt := a.build(t, "")
		attempt.form.Set("scope", scope)
		attempt.form["resource"] = resources
		answer := a.send(t, attempt)
		require.Empty(t, answer.Error, answer.Description)
		header, claims := jws(t, answer.AccessToken)
		require.Equal(t, "RS256", header["alg"])
		require.Equal(t, "at+jwt", header["typ"])
		return answer, claims
	}
	answer, claims := ask(testScope)
	require.Equal(t, 300, answer.ExpiresIn)
	require.InDelta(t, 300, claims["exp"].(float64)-claims["iat"].(float64), 0)
	require.Equal(t, testScope, answer.Scope)
	require.Equal(t, a.server.Issuer(), claims["iss"])
	require.Equal(t, "nhn:test-api", claims["aud"])
	require.Equal(t, clientID, claims["client_id"])
	require.Equal(t, map[string]any{"jkt": thumbprint(t, a.dpopKey)}, claims["cnf"])

	_, claims = ask(testScope + " nhn:other-api/read")
	require.Equal(t, []any{"nhn:test-api", "nhn:other-api"}, claims["aud"])
	answer, claims = ask(testScope+" nhn:other-api/read", "nhn:other-api")
	require.Equal(t, "nhn:other-api", claims["aud"])
	require.Equal(t, []any{"nhn:other-api/read"}, claims["scope"])
	require.Equal(t, "nhn:other-api/read", answer.Scope)
	answer, _ = ask("")
	require.Equal(t, testScope+" nhn:test-api/write nhn:other-api/read", answer.Scope)
}

func TestClientWithTwoKeys(t *testing.T) {
	t.Parallel()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
	first, second := a.key, newKey(t)
	var jwks [][]byte
	for i, key := range []*ecdsa.PrivateKey{first, second} {
		jwk := publicJWK(t, key)
		jwk["kid"] = []string{"old", "new"}[i]
		text, err := json.Marshal(jwk)
		require.NoError(t, err)
		jwks = append(jwks, text)
	}
	require.NoError(t, a.server.AddClient(helseidtest.Client{ID: clientID, PublicJWKs: jwks, Scopes: []string{testScope}}))
	for _, test := range []struct {
		key  *ecdsa.PrivateKey
		kid  any
		code string
	}{
		{first, "old", ""}, {second, "new", ""}, {first, nil, ""}, {second, nil, ""},
		{first, "new", "invalid_client"}, {second, "old", "invalid_client"}, {second, "other", "invalid_client"},
	} {
		attempt := a.build(t, "")
		attempt.assertionKey = test.key
		attempt.assertionHeader["kid"] = test.kid
		require.Equal(t, test.code, a.send(t, attempt).Error)
	}
}

func TestAddClientMistakes(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	good, err := json.Marshal(publicJWK(t, newKey(t)))
	require.NoError(t, err)
	for name, client := range map[string]helseidtest.Client{
		"no id":                         {PublicJWKs: [][]byte{good}},
		"no key":                        {ID: "x"},
		"key no JSON":                   {ID: "x", PublicJWKs: [][]byte{[]byte("x")}},
		"key private":                   {ID: "x", PublicJWKs: [][]byte{[]byte(`{"kty":"oct","k":"AAAA"}`)}},
		"key wrong type":                {ID: "x", PublicJWKs: [][]byte{good, []byte(`{"kty":"OKP"}`)}},
		"delegation by no organisation": {ID: "x", PublicJWKs: [][]byte{good}, MultiTenant: true, Delegations: []string{"994598759", "12"}},
	} {
		require.Error(t, server.AddClient(client), name)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce))
	a := newAsker(t, server)
	first := a.build(t, "")
	require.Empty(t, a.send(t, first).Error)
	bad := a.build(t, "")
	bad.rawAssertion, bad.proofs = "no.jws", []string{"nor this"}
	require.NotEmpty(t, a.send(t, bad).Error)
	response, err := server.HTTPClient().Get(server.Issuer() + "/.well-known/openid-configuration")
	require.NoError(t, err)
	_ = response.Body.Close()

	requests := server.Requests(helseidtest.EndpointToken)
	require.Len(t, requests, 2)
	require.Equal(t, "POST", requests[0].Method)
	require.Equal(t, testScope, requests[0].Form.Get("scope"))
	require.JSONEq(t, asText(t, first.assertion), requests[0].Assertion)
	require.JSONEq(t, asText(t, first.assertionHeader), requests[0].AssertionHeader)
	require.JSONEq(t, asText(t, first.proof), requests[0].Proof)
	require.Contains(t, requests[0].ProofHeader, `"dpop+jwt"`)
	require.Empty(t, requests[1].Assertion)
	require.Empty(t, requests[1].Proof)
	require.Len(t, server.Requests(), 3)
	require.Len(t, server.Requests(helseidtest.EndpointMetadata), 1)
	require.Len(t, server.Requests(helseidtest.EndpointMetadata, helseidtest.EndpointToken), 3)
	require.Empty(t, server.Requests(helseidtest.EndpointJWKS))
}

func asText(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

// A token request in a body that is too large, or in the URL, is none.
func TestOtherPlacesForParameters(t *testing.T) {
	t.Parallel()
	a := newAsker(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce)))
	attempt := a.build(t, "")
	attempt.path += "?" + url.Values{"scope": {"nhn:test-api/write"}}.Encode()
	answer := a.send(t, attempt)
	require.Equal(t, testScope, answer.Scope, "parameters in the URL do not count")
	attempt = a.build(t, "")
	attempt.form.Set("padding", strings.Repeat("x", 300<<10))
	require.NotEmpty(t, a.send(t, attempt).Error)
}

// The configuration that the server hands out works with package helseid.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	for _, options := range [][]helseidtest.Option{{}, {helseidtest.InMemory()}, {helseidtest.Path("a/b/")}, {helseidtest.InMemory(), helseidtest.Path("/a")}} {
		server := helseidtest.NewServer(t, options...)
		client, err := helseid.New(server.NewClient(helseidtest.Scopes(testScope)))
		require.NoError(t, err)
		token, err := client.Token(t.Context(), helseid.TokenRequest{})
		require.NoError(t, err)
		require.Equal(t, []string{testScope}, token.Scopes)
		client.Close()
	}
}
