package helseidtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/testkit"
)

// addClient registers a second client with the same key and returns its id.
func (a *asker) addClient(t testing.TB, client helseidtest.Client) string {
	t.Helper()
	client.ID = "another-client"
	a.register(t, client)
	return client.ID
}

// as makes an attempt that of another client.
func (r *attempt) as(id string) {
	r.form.Set("client_id", id)
	r.assertion["iss"], r.assertion["sub"] = id, id
}

func wait(d time.Duration) {
	testkit.Sleep(d)
}

// Every refusal of the authorization endpoint: a page, since there is no client
// to be trusted with it.
func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, a *asker, query url.Values)
	for name, test := range map[string]struct {
		change change
		says   string
		rule   rule.Rule
	}{
		"state":     {func(_ *testing.T, _ *asker, q url.Values) { q.Set("state", "s") }, "push the others", rule.Parameters},
		"scope":     {func(_ *testing.T, _ *asker, q url.Values) { q.Set("scope", "openid") }, "push the others", rule.Parameters},
		"twice":     {func(_ *testing.T, _ *asker, q url.Values) { q.Add("client_id", clientID) }, "once each", rule.Parameters},
		"no client": {func(_ *testing.T, _ *asker, q url.Values) { q.Del("client_id") }, "unknown client", ""},
		"no request_uri": {func(_ *testing.T, _ *asker, q url.Values) { q.Del("request_uri") },
			"request_uri is missing", ""},
		"unknown request_uri": {func(_ *testing.T, _ *asker, q url.Values) {
			q.Set("request_uri", "urn:ietf:params:oauth:request_uri:x")
		},
			"unknown", ""},
		"of another client": {func(t *testing.T, a *asker, q url.Values) { q.Set("client_id", a.addClient(t, loginClient())) },
			"another client", rule.SameClient},
		"used": {func(t *testing.T, a *asker, q url.Values) {
			_, err := a.server.LogIn(a.authorizeURL(q.Get("request_uri")))
			require.NoError(t, err)
		}, "used before", rule.SingleUse},
		"expired": {func(*testing.T, *asker, url.Values) { wait(time.Minute) }, "expired", rule.Expiry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				run := func(options ...helseidtest.Option) (*url.URL, error) {
					a := newLoginAsker(t, options...)
					query := url.Values{"client_id": {clientID}, "request_uri": {a.send(t, a.push(t)).RequestURI}}
					test.change(t, a, query)
					return a.server.LogIn(a.server.Issuer() + "/connect/authorize?" + query.Encode())
				}
				callback, err := run()
				require.ErrorContains(t, err, test.says)
				require.ErrorContains(t, err, "400")
				require.Nil(t, callback)
				if test.rule != "" {
					callback, err = run(helseidtest.Relaxed(test.rule))
					require.NoError(t, err)
					require.NotEmpty(t, callback.Query().Get("code"))
				}
			})
		})
	}
	a := newLoginAsker(t)
	response, err := a.http.Post(a.authorizeURL(a.send(t, a.push(t)).RequestURI), "text/plain", strings.NewReader(""))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Equal(t, "DENY", response.Header.Get("X-Frame-Options"))
	_, err = a.server.LogIn("https://elsewhere.example.no/")
	require.Error(t, err)
}

// Every refusal of a code, and the rule that it goes by.
func TestCodeRefusals(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, a *asker, r *attempt)
	form := func(name, value string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.form.Set(name, value) }
	}
	without := func(name string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.form.Del(name) }
	}
	pushed := func(pairs ...string) change {
		return func(_ *testing.T, _ *asker, r *attempt) {
			for i := 0; i < len(pairs); i += 2 {
				r.form.Set(pairs[i], pairs[i+1])
			}
		}
	}
	nothing := pushed()
	const grant = "invalid_grant"
	for name, test := range map[string]struct {
		push, redeem change
		code, says   string
		rule         rule.Rule
	}{
		"as it should be":    {nothing, nothing, "", "", ""},
		"no code":            {nothing, without("code"), "invalid_request", "code is missing", ""},
		"unknown code":       {nothing, form("code", "x"), grant, "unknown", ""},
		"with scope":         {nothing, form("scope", testScope), "invalid_request", "scope", rule.Parameters},
		"expired":            {nothing, func(*testing.T, *asker, *attempt) { wait(time.Minute) }, grant, "expired", rule.Expiry},
		"nearly expired":     {nothing, func(*testing.T, *asker, *attempt) { wait(time.Minute - time.Second) }, "", "", ""},
		"no redirect_uri":    {nothing, without("redirect_uri"), grant, "redirect_uri", rule.RedirectURI},
		"other redirect_uri": {nothing, form("redirect_uri", "http://localhost:1234/callback"), grant, "redirect_uri", rule.RedirectURI},
		"no verifier":        {nothing, without("code_verifier"), grant, "missing", rule.PKCE},
		"other verifier":     {nothing, form("code_verifier", strings.Repeat("a", 43)), grant, "does not fit", rule.PKCE},
		"the challenge":      {nothing, form("code_verifier", challenge), grant, "does not fit", rule.PKCE},
		"short verifier":     {nothing, form("code_verifier", "abc"), grant, "43 to 128", rule.PKCE},
		"another client's": {nothing, func(t *testing.T, a *asker, r *attempt) { r.as(a.addClient(t, loginClient())) },
			grant, "another client", rule.SameClient},
		"client without the grant": {nothing, func(t *testing.T, a *asker, _ *attempt) {
			client := loginClient()
			client.GrantTypes = []string{"client_credentials"}
			a.register(t, client)
		}, "unauthorized_client", "grant type", rule.GrantType},
		"used": {nothing, func(t *testing.T, a *asker, r *attempt) {
			require.Empty(t, a.send(t, a.redeem(t, r.form.Get("code"))).Error)
		}, grant, "used before", rule.SingleUse},
		"bound to another key": {func(t *testing.T, _ *asker, r *attempt) { r.form.Set("dpop_jkt", thumbprint(t, newKey(t))) }, nothing,
			grant, "another DPoP key", rule.Binding},
		"bound to the key": {func(t *testing.T, a *asker, r *attempt) { r.form.Set("dpop_jkt", thumbprint(t, a.dpopKey)) }, nothing, "", "", ""},
		"bound by a proof": {func(t *testing.T, a *asker, r *attempt) { a.withProof(r, a.nonce(t)) }, func(t *testing.T, a *asker, r *attempt) {
			r.proofKey = newKey(t)
			r.proofHeader["jwk"] = publicJWK(t, r.proofKey)
		}, grant, "another DPoP key", rule.Binding},
		"resource of the login":     {pushed("resource", "nhn:test-api"), form("resource", "nhn:test-api"), "", "", ""},
		"resource not of the login": {pushed("resource", "nhn:test-api"), form("resource", "nhn:other-api"), "invalid_target", "login", rule.Resource},
		"resource of a scope":       {nothing, form("resource", "nhn:other-api"), "", "", ""},
		"resource of no scope":      {nothing, form("resource", "nhn:third-api"), "invalid_target", "resource", rule.Resource},
		"two resources": {nothing, func(_ *testing.T, _ *asker, r *attempt) {
			r.form["resource"] = []string{"nhn:test-api", "nhn:other-api"}
		},
			"invalid_target", "one resource", rule.Resource},
		"details twice": {func(t *testing.T, a *asker, r *attempt) {
			o := a.requestObject(t)
			r.form.Set("request", sign(t, o.key, o.header, o.claims))
		}, func(_ *testing.T, _ *asker, r *attempt) { r.assertion["assertion_details"] = goodAttest() },
			"access_denied", "HID-DOUBLE-STRUCTURE", rule.Details},
		"bad details": {nothing, func(_ *testing.T, _ *asker, r *attempt) { r.assertion["assertion_details"] = object{"type": "x"} },
			"invalid_request", "HID-1007", ""},
		"no nonce": {nothing, func(_ *testing.T, _ *asker, r *attempt) { delete(r.proof, "nonce") }, "use_dpop_nonce", "nonce", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				run := func(options ...helseidtest.Option) result {
					a := newLoginAsker(t, options...)
					push := a.push(t)
					test.push(t, a, push)
					code := a.login(t, push).Get("code")
					r := a.redeem(t, code)
					test.redeem(t, a, r)
					// The wait of a case must not make its credentials stale.
					fresh := a.build(t, a.nonce(t))
					for _, name := range []string{"iat", "nbf", "exp"} {
						if r.assertion[name] != nil {
							r.assertion[name] = fresh.assertion[name]
						}
					}
					r.proof["iat"] = fresh.proof["iat"]
					return a.send(t, r)
				}
				answer := run()
				require.Equal(t, test.code, answer.Error, answer.Description)
				require.Contains(t, answer.Description, test.says)
				if test.code != "" {
					require.Equal(t, http.StatusBadRequest, answer.status)
					require.Empty(t, answer.AccessToken)
				}
				if test.rule != "" {
					relaxed := run(helseidtest.Relaxed(test.rule))
					require.Equal(t, http.StatusOK, relaxed.status, relaxed.Description)
				}
			})
		})
	}
}

// A challenge spends nothing; a code that comes twice takes back what it gave.
func TestCodeIsSpent(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	code := a.login(t, a.push(t)).Get("code")
	challenged := a.redeem(t, code)
	delete(challenged.proof, "nonce")
	require.Equal(t, "use_dpop_nonce", a.send(t, challenged).Error)
	first := a.send(t, a.redeem(t, code))
	require.Empty(t, first.Error)
	require.Equal(t, "invalid_grant", a.send(t, a.redeem(t, code)).Error)
	answer := a.send(t, a.refresh(t, first.RefreshToken))
	require.Equal(t, "invalid_grant", answer.Error)
	require.Contains(t, answer.Description, "revoked")
	status, info := a.userInfo(t, "GET", "DPoP", first.AccessToken, nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "invalid_token", info["error"])

	// A wrong verifier spends it, too.
	code = a.login(t, a.push(t)).Get("code")
	wrong := a.redeem(t, code)
	wrong.form.Set("code_verifier", strings.Repeat("a", 43))
	require.Equal(t, "invalid_grant", a.send(t, wrong).Error)
	require.Contains(t, a.send(t, a.redeem(t, code)).Description, "used before")
}

// sendAtOnce sends several requests at the same time.
func (a *asker) sendAtOnce(t *testing.T, n int, build func() *attempt) []result {
	requests := make([]*http.Request, n)
	for i := range requests {
		requests[i] = a.request(t, build())
	}
	answers := make([]result, n)
	var group sync.WaitGroup
	for i, request := range requests {
		group.Go(func() {
			response, err := a.http.Do(request)
			if err == nil {
				_ = json.NewDecoder(response.Body).Decode(&answers[i])
				_ = response.Body.Close()
			}
		})
	}
	group.Wait()
	return answers
}

// Of several who redeem one code, one gets tokens, which are revoked.
func TestCodeRace(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	code := a.login(t, a.push(t)).Get("code")
	won := ""
	for _, answer := range a.sendAtOnce(t, 8, func() *attempt { return a.redeem(t, code) }) {
		if answer.Error == "" {
			require.Empty(t, won)
			won = answer.RefreshToken
		} else {
			require.Equal(t, "invalid_grant", answer.Error)
		}
	}
	require.NotEmpty(t, won)
	require.Contains(t, a.send(t, a.refresh(t, won)).Description, "revoked")
}

// Logins of several browsers do not disturb each other.
func TestConcurrentLogins(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	users := a.server.Users()
	urls := make([]string, 12)
	for i := range urls {
		urls[i] = a.authorizeURL(a.send(t, a.push(t)).RequestURI)
	}
	codes := make([]string, len(urls))
	var group sync.WaitGroup
	for i, target := range urls {
		group.Go(func() {
			if callback, err := a.server.LogIn(target, helseidtest.AsUser(users[i%3].PersonalIdentityNumber)); err == nil {
				codes[i] = callback.Query().Get("code")
			}
		})
	}
	group.Wait()
	for i, code := range codes {
		claims := claimsOf(t, a.send(t, a.redeem(t, code)).IDToken)
		require.Equal(t, users[i%3].PersonalIdentityNumber, claims["helseid://claims/identity/pid"])
	}
}

// Every refusal of a refresh token. None but reuse spends it.
func TestRefreshRefusals(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, a *asker, r *attempt)
	form := func(name, value string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.form.Set(name, value) }
	}
	nothing := func(*testing.T, *asker, *attempt) {}
	const grant = "invalid_grant"
	for name, test := range map[string]struct {
		push, refresh change
		code, says    string
		rule          rule.Rule
		spent         bool
	}{
		"as it should be": {nothing, nothing, "", "", "", true},
		"no token":        {nothing, func(_ *testing.T, _ *asker, r *attempt) { r.form.Del("refresh_token") }, "invalid_request", "missing", "", false},
		"unknown token":   {nothing, form("refresh_token", "x"), grant, "unknown", "", false},
		"no nonce":        {nothing, func(_ *testing.T, _ *asker, r *attempt) { delete(r.proof, "nonce") }, "use_dpop_nonce", "nonce", "", false},
		"another client's": {nothing, func(t *testing.T, a *asker, r *attempt) { r.as(a.addClient(t, loginClient())) },
			grant, "another client", rule.SameClient, false},
		"another key": {nothing, func(t *testing.T, _ *asker, r *attempt) {
			r.proofKey = newKey(t)
			r.proofHeader["jwk"] = publicJWK(t, r.proofKey)
		}, grant, "another DPoP key", rule.Binding, false},
		"scope narrower":            {nothing, form("scope", "openid "+testScope), "", "", "", true},
		"scope wider":               {nothing, form("scope", testScope+" nhn:test-api/write"), "invalid_scope", "not granted in the login", rule.Scope, false},
		"resource of a scope":       {nothing, form("resource", "nhn:other-api"), "", "", "", true},
		"resource of no scope":      {nothing, form("resource", "nhn:third-api"), "invalid_target", "resource", rule.Resource, false},
		"resource not of the login": {form("resource", "nhn:test-api"), form("resource", "nhn:other-api"), "invalid_target", "login", rule.Resource, false},
		"details twice": {func(t *testing.T, a *asker, r *attempt) {
			o := a.requestObject(t)
			r.form.Set("request", sign(t, o.key, o.header, o.claims))
		}, func(_ *testing.T, _ *asker, r *attempt) { r.assertion["assertion_details"] = goodAttest() },
			"access_denied", "HID-DOUBLE-STRUCTURE", rule.Details, false},
		"bad details": {nothing, func(_ *testing.T, _ *asker, r *attempt) { r.assertion["assertion_details"] = object{"type": "x"} },
			"invalid_request", "HID-1007", "", false},
		"used": {nothing, func(t *testing.T, a *asker, r *attempt) {
			require.Empty(t, a.send(t, a.refresh(t, r.form.Get("refresh_token"))).Error)
		}, grant, "used before", rule.SingleUse, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(options ...helseidtest.Option) (*asker, string, result) {
				a := newLoginAsker(t, options...)
				push := a.push(t)
				test.push(t, a, push)
				token := a.tokens(t, push).RefreshToken
				r := a.refresh(t, token)
				test.refresh(t, a, r)
				return a, token, a.send(t, r)
			}
			a, token, answer := run()
			require.Equal(t, test.code, answer.Error, answer.Description)
			require.Contains(t, answer.Description, test.says)
			require.Equal(t, test.code == "", answer.AccessToken != "")
			again := a.send(t, a.refresh(t, token))
			require.Equal(t, test.spent, again.Error != "", again.Description)
			if test.rule != "" {
				_, _, relaxed := run(helseidtest.Relaxed(test.rule))
				require.Equal(t, http.StatusOK, relaxed.status, relaxed.Description)
			}
		})
	}
}

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	t.Run("reuse revokes the family", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		first := a.tokens(t, a.push(t))
		other := a.tokens(t, a.push(t))
		second := a.send(t, a.refresh(t, first.RefreshToken))
		third := a.send(t, a.refresh(t, second.RefreshToken))
		require.Empty(t, third.Error)
		require.Contains(t, a.send(t, a.refresh(t, first.RefreshToken)).Description, "used before")
		for _, token := range []string{first.RefreshToken, second.RefreshToken, third.RefreshToken} {
			require.Equal(t, "invalid_grant", a.send(t, a.refresh(t, token)).Error)
		}
		require.Empty(t, a.send(t, a.refresh(t, other.RefreshToken)).Error, "another login is not touched")
	})
	t.Run("live as long as the login", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			for _, rule := range []rule.Rule{"", rule.Expiry} {
				a := newLoginAsker(t, helseidtest.RefreshTokenLifetime(time.Hour), helseidtest.Relaxed(rule))
				token := a.tokens(t, a.push(t))
				require.Equal(t, 3600, token.RefreshExpiresIn)
				wait(40 * time.Minute)
				token = a.send(t, a.refresh(t, token.RefreshToken))
				require.Equal(t, 1200, token.RefreshExpiresIn)
				wait(20 * time.Minute)
				answer := a.send(t, a.refresh(t, token.RefreshToken))
				require.Equal(t, rule == "", answer.Error == "invalid_grant", answer.Description)
			}
		})
	})
	t.Run("without rotation", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t, helseidtest.WithoutRotation())
		token := a.tokens(t, a.push(t)).RefreshToken
		for range 3 {
			answer := a.send(t, a.refresh(t, token))
			require.Empty(t, answer.Error)
			require.Empty(t, answer.RefreshToken)
		}
		require.Equal(t, http.StatusOK, a.send(t, a.revocation(t, token)).status)
		require.Contains(t, a.send(t, a.refresh(t, token)).Description, "revoked")
	})
	t.Run("without a resource, for those of the login", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		r := a.push(t)
		r.form.Set("resource", "nhn:other-api")
		token := a.tokens(t, r)
		for range 2 {
			require.Equal(t, "nhn:other-api", claimsOf(t, token.AccessToken)["aud"])
			require.NotContains(t, token.Scope, testScope)
			require.Contains(t, token.Scope, otherScope)
			token = a.send(t, a.refresh(t, token.RefreshToken))
		}
	})
	t.Run("of two at once, one wins and both lose", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		token := a.tokens(t, a.push(t)).RefreshToken
		answers := a.sendAtOnce(t, 8, func() *attempt { return a.refresh(t, token) })
		won := ""
		for _, answer := range answers {
			if answer.Error == "" {
				require.Empty(t, won)
				won = answer.RefreshToken
			}
		}
		require.NotEmpty(t, won)
		require.Equal(t, "invalid_grant", a.send(t, a.refresh(t, won)).Error)
	})
	t.Run("not without offline_access, and no ID token without openid", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t, helseidtest.Relaxed(rule.OpenID))
		r := a.push(t)
		r.form.Set("scope", testScope)
		answer := a.tokens(t, r)
		require.Empty(t, answer.RefreshToken)
		require.Empty(t, answer.IDToken)
		require.Equal(t, "nhn:test-api", claimsOf(t, answer.AccessToken)["aud"])
	})
}

// Details of the request object hold for all tokens of a login, those of an
// assertion for the one token.
func TestDetailsOfLogins(t *testing.T) {
	t.Parallel()
	const parent, child, supplier = "helseid://claims/client/claims/orgnr_parent", "helseid://claims/client/claims/orgnr_child", "helseid://claims/client/claims/orgnr_supplier"
	client := loginClient()
	client.MultiTenant, client.Delegations = true, []string{"999977774"}
	client.UnsignedTerms = map[string][]string{"999977774": {otherScope}}
	details := []any{organization("urn:oid:1.0.6523", "NO:ORGNR:999977774:999977775"), journal("journal-1"), goodAttest()}
	has := func(t *testing.T, token string) {
		claims := claimsOf(t, token)
		require.Equal(t, "999977774", claims[parent])
		require.Equal(t, "999977775", claims[child])
		require.Equal(t, mint.DefaultParentOrganization, claims[supplier])
		require.Equal(t, "journal-1", claims["nhn:sfm:journal-id"])
		require.NotEmpty(t, claims["nhn:tillitsrammeverk:parameters"].(map[string]any)["toa"])
		require.Equal(t, "multi-tenant", claims["helseid://claims/client/client_tenancy"])
	}
	hasNot := func(t *testing.T, token string) {
		claims := claimsOf(t, token)
		for _, name := range []string{parent, child, supplier, "nhn:sfm:journal-id", "nhn:tillitsrammeverk:parameters"} {
			require.NotContains(t, claims, name)
		}
	}
	t.Run("of an assertion", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		a.register(t, client)
		token := a.tokens(t, a.push(t))
		hasNot(t, token.AccessToken)
		r := a.refresh(t, token.RefreshToken)
		r.assertion["assertion_details"] = details
		token = a.send(t, r)
		require.Empty(t, token.Description)
		has(t, token.AccessToken)
		require.Equal(t, otherScope, token.RejectedScope)
		require.NotContains(t, token.Scope, otherScope)
		token = a.send(t, a.refresh(t, token.RefreshToken))
		hasNot(t, token.AccessToken)
		require.Contains(t, token.Scope, otherScope)
	})
	t.Run("of a code's assertion", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		a.register(t, client)
		r := a.redeem(t, a.login(t, a.push(t)).Get("code"))
		r.assertion["assertion_details"] = details
		token := a.send(t, r)
		has(t, token.AccessToken)
		hasNot(t, a.send(t, a.refresh(t, token.RefreshToken)).AccessToken)
	})
	t.Run("of a request object", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		a.register(t, client)
		o := a.requestObject(t)
		o.claims["authorization_details"] = details
		r := a.push(t)
		r.form.Set("request", sign(t, o.key, o.header, o.claims))
		token := a.tokens(t, r)
		has(t, token.AccessToken)
		for range 2 {
			token = a.send(t, a.refresh(t, token.RefreshToken))
			has(t, token.AccessToken)
		}
		require.Contains(t, a.server.Requests(helseidtest.EndpointPAR)[0].RequestObject, "authorization_details")
	})
}
