package helseidtest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// newExchange starts a server with a login client, and its API as an actor. The
// token is for that API, and the attempt is a good exchange of it.
func newExchange(t testing.TB, options ...helseidtest.Option) (*asker, result, *attempt) {
	t.Helper()
	a := newLoginAsker(t, options...)
	client := loginClient()
	client.Actors = []string{"another-client"}
	a.register(t, client)
	a.addClient(t, helseidtest.Client{
		GrantTypes: []string{exchangeGrant}, APIs: []string{"nhn:test-api"}, Scopes: []string{"nhn:next-api/read"}, ParentOrganization: "987654325",
	})
	token := a.tokens(t, a.push(t))
	return a, token, a.exchange(t, token.AccessToken)
}

func (a *asker) exchange(t testing.TB, subject string) *attempt {
	r := a.grant(t, exchangeGrant)
	r.as("another-client")
	r.form.Set("subject_token", subject)
	r.form.Set("subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
	r.form.Set("scope", "nhn:next-api/read")
	return r
}

func TestExchange(t *testing.T) {
	t.Parallel()
	a, subject, r := newExchange(t)
	r.proofKey = newKey(t)
	r.proofHeader["jwk"] = publicJWK(t, r.proofKey)
	answer := a.send(t, r)
	require.Empty(t, answer.Description)
	require.Equal(t, "urn:ietf:params:oauth:token-type:access_token", answer.IssuedTokenType)
	require.Equal(t, "DPoP", answer.TokenType)
	require.Equal(t, "nhn:next-api/read", answer.Scope)
	require.Empty(t, answer.RefreshToken)
	require.Empty(t, answer.IDToken)

	before, after := claimsOf(t, subject.AccessToken), claimsOf(t, answer.AccessToken)
	for _, name := range []string{
		"sub", "idp", "amr", "auth_time", "helseid://claims/identity/pid", "helseid://claims/hpr/hpr_number",
		"helseid://claims/identity/security_level", "helseid://claims/client/claims/orgnr_parent", "helseid://claims/client/client_name",
	} {
		require.Equal(t, before[name], after[name], name)
	}
	require.Equal(t, "nhn:next-api", after["aud"])
	require.Equal(t, "another-client", after["client_id"])
	require.Equal(t, clientID, after["helseid://claims/client/original_client_id"])
	require.Equal(t, map[string]any{"jkt": thumbprint(t, r.proofKey)}, after["cnf"], "the key is the actor's")
	act := map[string]any{
		"iss": a.server.Issuer(), "client_id": "another-client", "helseid://claims/client/claims/orgnr_parent": "987654325",
	}
	require.Equal(t, act, after["act"])

	// What the subject's token does not say is not filled in from the actor.
	r = a.exchange(t, a.server.Token(mint.ClientID(clientID), mint.Organization("", "", "")))
	bare := claimsOf(t, a.send(t, r).AccessToken)
	require.NotEmpty(t, bare["act"])
	require.NotContains(t, bare, "helseid://claims/client/claims/orgnr_parent")

	// The actor may name its own sub-unit.
	a.addClient(t, helseidtest.Client{
		GrantTypes: []string{exchangeGrant}, APIs: []string{"nhn:test-api"}, Scopes: []string{"nhn:next-api/read"}, ChildOrganizations: []string{"999977775"},
	})
	r = a.exchange(t, subject.AccessToken)
	r.assertion["assertion_details"] = organization("urn:oid:2.16.578.1.12.4.1.4.101", "999977775")
	child := claimsOf(t, a.send(t, r).AccessToken)
	require.Equal(t, "999977775", child["act"].(map[string]any)["helseid://claims/client/claims/orgnr_child"])
	require.NotContains(t, child, "helseid://claims/client/claims/orgnr_child")

	// The next API exchanges it once more: the newest actor is outermost.
	first := loginClient()
	first.ID, first.Actors, first.Scopes = "another-client", []string{"third-client"}, []string{"nhn:next-api/read"}
	a.register(t, first)
	a.register(t, helseidtest.Client{ID: "third-client", GrantTypes: []string{exchangeGrant}, APIs: []string{"nhn:next-api"}, Scopes: []string{"nhn:last-api/read"}})
	again := a.exchange(t, answer.AccessToken)
	again.as("third-client")
	again.form.Set("scope", "nhn:last-api/read")
	answer = a.send(t, again)
	require.Empty(t, answer.Description)
	last := claimsOf(t, answer.AccessToken)
	require.Equal(t, clientID, last["helseid://claims/client/original_client_id"])
	require.Equal(t, "third-client", last["act"].(map[string]any)["client_id"])
	require.Equal(t, act, last["act"].(map[string]any)["act"])
}

func TestExchangeRefusals(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, a *asker, r *attempt)
	form := func(name, value string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.form.Set(name, value) }
	}
	token := func(opts ...mint.TokenOption) change {
		return func(_ *testing.T, a *asker, r *attempt) {
			r.form.Set("subject_token", a.server.Token(append([]mint.TokenOption{mint.ClientID(clientID)}, opts...)...))
		}
	}
	chain := func(depth int) change {
		var act any
		for range depth {
			act = object{"client_id": "x", "act": act}
		}
		return token(mint.Claim("act", act))
	}
	const request = "invalid_request"
	for name, test := range map[string]struct {
		change     change
		code, says string
		rule       rule.Rule
	}{
		"a minted token":       {token(), "", "", ""},
		"no token type":        {form("subject_token_type", ""), request, "subject_token_type", ""},
		"an ID token's type":   {form("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), request, "subject_token_type", ""},
		"asks for an ID token": {form("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"), request, "requested_token_type", ""},
		"no token":             {form("subject_token", ""), request, "compact", ""},
		"an ID token":          {func(_ *testing.T, a *asker, r *attempt) { r.form.Set("subject_token", a.server.IDToken()) }, request, "not an access token", ""},
		"signed by another":    {token(mint.SignedWithUnknownKey()), request, "not signed by this server", ""},
		"broken":               {token(mint.BrokenSignature()), request, "not signed by this server", ""},
		"another issuer's":     {token(mint.Claim("iss", "https://elsewhere.example.no")), request, "issuer", ""},
		"expired":              {token(mint.Expired()), request, "expired", rule.Expiry},
		"not valid yet":        {token(mint.Claim("nbf", 1<<40)), request, "not valid yet", ""},
		"for another API":      {token(mint.Audience("nhn:other-api")), request, "another API", rule.Actor},
		"of a client without":  {token(mint.ClientID("another-client")), request, "does not permit", rule.Actor},
		"of an unknown client": {token(mint.ClientID("somebody")), request, "does not permit", rule.Actor},
		"a chain of five":      {chain(5), request, "at most 5", rule.Actor},
		"a chain of four":      {chain(4), "", "", ""},
		"no scope":             {form("scope", ""), "invalid_scope", "missing", ""},
		"scope not granted":    {form("scope", testScope), "invalid_scope", "not granted", ""},
		"identity scope":       {form("scope", "openid"), "invalid_scope", "identity", ""},
		"resource of no scope": {form("resource", "nhn:test-api"), "invalid_target", "resource", ""},
		"client without the grant": {func(t *testing.T, a *asker, _ *attempt) {
			a.addClient(t, helseidtest.Client{GrantTypes: []string{"client_credentials"}, APIs: []string{"nhn:test-api"}, Scopes: []string{"nhn:next-api/read"}})
		}, "unauthorized_client", "grant type", rule.GrantType},
		"organisation": {func(_ *testing.T, _ *asker, r *attempt) {
			r.assertion["assertion_details"] = organization("urn:oid:1.0.6523", "NO:ORGNR:999977774")
		}, request, "HID-1005", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(options ...helseidtest.Option) result {
				a, _, r := newExchange(t, options...)
				test.change(t, a, r)
				return a.send(t, r)
			}
			answer := run()
			require.Equal(t, test.code, answer.Error, answer.Description)
			require.Contains(t, answer.Description, test.says)
			require.Equal(t, test.code == "", answer.AccessToken != "")
			if test.rule != "" {
				relaxed := run(helseidtest.Relaxed(test.rule))
				require.Equal(t, http.StatusOK, relaxed.status, relaxed.Description)
			}
		})
	}
	t.Run("of a login that was revoked", func(t *testing.T) {
		t.Parallel()
		a, token, r := newExchange(t)
		require.Equal(t, http.StatusOK, a.send(t, a.revocation(t, token.RefreshToken)).status)
		require.Contains(t, a.send(t, r).Description, "revoked")
	})
}
