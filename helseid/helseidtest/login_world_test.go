package helseidtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

const (
	callbackURI = "https://app.example.no/callback"
	loggedOut   = "https://app.example.no/"
	otherScope  = "nhn:other-api/read"
	hprScope    = "helseid://scopes/hpr/hpr_number"
	pidScope    = "helseid://scopes/identity/pid"
	levelScope  = "helseid://scopes/identity/security_level"

	// The example of RFC 7636 appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// loginClient is the registration that logins are tested with.
func loginClient() helseidtest.Client {
	return helseidtest.Client{
		ID: clientID, ParentOrganization: mint.DefaultParentOrganization,
		GrantTypes:             []string{"authorization_code", "refresh_token", "client_credentials"},
		RedirectURIs:           []string{callbackURI, "http://localhost:1234/callback", "http://127.0.0.1/other", "http://[::1]:1/other"},
		PostLogoutRedirectURIs: []string{loggedOut},
	}
}

// newLoginAsker starts a server and registers a client that logs users in.
func newLoginAsker(t testing.TB, options ...helseidtest.Option) *asker {
	t.Helper()
	a := newAsker(t, helseidtest.NewServer(t, append([]helseidtest.Option{helseidtest.InMemory()}, options...)...))
	a.register(t, loginClient())
	return a
}

// push makes a good pushed authorization request, without a proof.
func (a *asker) push(t testing.TB) *attempt {
	r := a.build(t, "")
	r.path = "/connect/par"
	r.form.Del("grant_type")
	for name, value := range map[string]string{
		"response_type": "code", "redirect_uri": callbackURI, "state": "the-state", "nonce": "the-nonce",
		"scope":          "openid profile offline_access " + pidScope + " " + levelScope + " " + hprScope + " " + testScope + " " + otherScope,
		"code_challenge": challenge, "code_challenge_method": "S256",
	} {
		r.form.Set(name, value)
	}
	r.proofs = []string{}
	return r
}

// withProof adds the proof to a pushed request.
func (a *asker) withProof(r *attempt, nonce string) {
	r.proofs = nil
	r.proof["htu"] = a.server.Issuer() + r.path
	if nonce != "" {
		r.proof["nonce"] = nonce
	}
}

// authorizeURL is where the browser goes with a pushed request.
func (a *asker) authorizeURL(requestURI string) string {
	return a.server.Issuer() + "/connect/authorize?" + url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
}

// login pushes and logs in, and returns the callback.
func (a *asker) login(t testing.TB, r *attempt, options ...helseidtest.LoginOption) url.Values {
	t.Helper()
	answer := a.send(t, r)
	require.Equal(t, http.StatusCreated, answer.status, answer.Description)
	callback, err := a.server.LogIn(a.authorizeURL(answer.RequestURI), options...)
	require.NoError(t, err)
	return callback.Query()
}

// redeem makes a good request for a code.
func (a *asker) redeem(t testing.TB, code string) *attempt {
	r := a.grant(t, "authorization_code")
	r.form.Set("code", code)
	r.form.Set("redirect_uri", callbackURI)
	r.form.Set("code_verifier", verifier)
	return r
}

// refresh makes a good request for a refresh token.
func (a *asker) refresh(t testing.TB, token string) *attempt {
	r := a.grant(t, "refresh_token")
	r.form.Set("refresh_token", token)
	return r
}

func (a *asker) grant(t testing.TB, name string) *attempt {
	r := a.build(t, a.nonce(t))
	r.form.Del("scope")
	r.form.Set("grant_type", name)
	return r
}

// tokens logs in and redeems the code.
func (a *asker) tokens(t testing.TB, r *attempt, options ...helseidtest.LoginOption) result {
	t.Helper()
	answer := a.send(t, a.redeem(t, a.login(t, r, options...).Get("code")))
	require.Equal(t, http.StatusOK, answer.status, answer.Description)
	return answer
}

// claimsOf decodes a token's claims.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	_, claims := jws(t, token)
	return claims
}

// userInfo calls the endpoint with a token and a proof.
func (a *asker) userInfo(t testing.TB, method, scheme, token string, change func(proof map[string]any)) (int, map[string]any) {
	t.Helper()
	proof := map[string]any{
		"jti": a.id(), "htm": method, "htu": a.server.Issuer() + "/connect/userinfo", "iat": a.server.Now().Unix(),
		"ath": b64(sha256Sum(token)),
	}
	if change != nil {
		change(proof)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, a.server.Issuer()+"/connect/userinfo", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", scheme+" "+token)
	if len(proof) > 0 {
		request.Header.Set("DPoP", sign(t, a.dpopKey, map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": publicJWK(t, a.dpopKey)}, proof))
	}
	response, err := a.http.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(body, &answer))
	return response.StatusCode, answer
}
