package helseidtest_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// requestObject is one before it is signed.
type requestObject struct {
	key    *ecdsa.PrivateKey
	header map[string]any
	claims map[string]any
}

func (a *asker) requestObject(t testing.TB) *requestObject {
	now := a.server.Now().Unix()
	return &requestObject{a.key, map[string]any{"typ": "client-authentication+jwt", "alg": "ES256", "kid": thumbprint(t, a.key)}, map[string]any{
		"iss": clientID, "client_id": clientID, "aud": a.server.Issuer(), "iat": now, "nbf": now, "exp": now + 30, "jti": a.id(),
		"authorization_details": goodAttest(),
	}}
}

func goodAttest() object { return attest("practitioner", "care_relationship") }

// Every refusal of PAR, one by one, and the rule that it goes by: relaxed, the
// request passes.
func TestPARRefusals(t *testing.T) {
	t.Parallel()
	type change func(t *testing.T, a *asker, r *attempt)
	form := func(pairs ...string) change {
		return func(_ *testing.T, _ *asker, r *attempt) {
			for i := 0; i < len(pairs); i += 2 {
				r.form.Set(pairs[i], pairs[i+1])
			}
		}
	}
	without := func(name string) change {
		return func(_ *testing.T, _ *asker, r *attempt) { r.form.Del(name) }
	}
	scope := func(scope string) change { return form("scope", scope) }
	signed := func(change func(o *requestObject)) change {
		return func(t *testing.T, a *asker, r *attempt) {
			o := a.requestObject(t)
			change(o)
			r.form.Set("request", sign(t, o.key, o.header, o.claims))
		}
	}
	objectClaim := func(name string, value any) change {
		return signed(func(o *requestObject) { o.claims[name] = value })
	}
	objectTime := func(name string, seconds int64) change {
		return signed(func(o *requestObject) { o.claims[name] = o.claims[name].(int64) + seconds })
	}
	proof := func(change func(t *testing.T, a *asker, r *attempt)) change {
		return func(t *testing.T, a *asker, r *attempt) {
			a.withProof(r, a.nonce(t))
			change(t, a, r)
		}
	}
	const (
		request = "invalid_request"
		object1 = "invalid_request_object"
	)
	tests := map[string]struct {
		change change
		code   string // "" means a request URI
		says   string
		rule   helseidtest.Rule // "" means that it cannot be relaxed
	}{
		"as it should be":       {func(*testing.T, *asker, *attempt) {}, "", "", ""},
		"GET":                   {func(_ *testing.T, _ *asker, r *attempt) { r.method = "GET" }, request, "POST", ""},
		"content type JSON":     {func(_ *testing.T, _ *asker, r *attempt) { r.contentType = "application/json" }, request, "Content-Type", ""},
		"no assertion":          {func(_ *testing.T, _ *asker, r *attempt) { r.rawAssertion = "-" }, "invalid_client", "compact", ""},
		"assertion unknown key": {func(t *testing.T, _ *asker, r *attempt) { r.assertionKey = newKey(t) }, "invalid_client", "registered key", ""},
		"assertion aud PAR": {func(_ *testing.T, a *asker, r *attempt) { r.assertion["aud"] = a.server.Issuer() + r.path },
			"invalid_client", "aud", ""},
		"assertion with details": {func(_ *testing.T, _ *asker, r *attempt) { r.assertion["assertion_details"] = goodAttest() },
			request, "HID-1009", helseidtest.RuleDetails},
		"repeated parameter": {func(_ *testing.T, _ *asker, r *attempt) { r.form.Add("state", "b") }, request, "repeated", helseidtest.RuleParameters},
		"request_uri":        {form("request_uri", "urn:ietf:params:oauth:request_uri:x"), request, "request_uri", helseidtest.RuleParameters},
		"client without the grant": {func(t *testing.T, a *asker, _ *attempt) {
			client := loginClient()
			client.GrantTypes = []string{"client_credentials", "refresh_token"}
			a.register(t, client)
		}, "unauthorized_client", "authorization_code", helseidtest.RuleGrantType},

		"no response_type":       {without("response_type"), "unsupported_response_type", "response_type", helseidtest.RuleResponseType},
		"response_type token":    {form("response_type", "token"), "unsupported_response_type", "response_type", helseidtest.RuleResponseType},
		"response_type hybrid":   {form("response_type", "code id_token"), "unsupported_response_type", "response_type", helseidtest.RuleResponseType},
		"no redirect_uri":        {without("redirect_uri"), "unauthorized_client", "missing", ""},
		"redirect_uri relative":  {form("redirect_uri", "/callback"), request, "absolute", ""},
		"redirect_uri fragment":  {form("redirect_uri", callbackURI+"#x"), request, "fragment", ""},
		"redirect_uri longer":    {form("redirect_uri", callbackURI+"/x"), request, "registered", helseidtest.RuleRedirectURI},
		"redirect_uri query":     {form("redirect_uri", callbackURI+"?x=1"), request, "registered", helseidtest.RuleRedirectURI},
		"redirect_uri http":      {form("redirect_uri", "http://app.example.no/callback"), request, "registered", helseidtest.RuleRedirectURI},
		"redirect_uri port":      {form("redirect_uri", "https://app.example.no:444/callback"), request, "registered", helseidtest.RuleRedirectURI},
		"redirect_uri case":      {form("redirect_uri", "https://app.example.no/Callback"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback any port":      {form("redirect_uri", "http://localhost:5678/callback"), "", "", ""},
		"loopback address":       {form("redirect_uri", "http://127.0.0.1:5678/other"), "", "", ""},
		"loopback version 6":     {form("redirect_uri", "http://[::1]:5678/other"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback no port":       {form("redirect_uri", "http://localhost/callback"), "", "", ""},
		"loopback other path":    {form("redirect_uri", "http://localhost:1234/elsewhere"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback other query":   {form("redirect_uri", "http://localhost:1234/callback?x"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback other name":    {form("redirect_uri", "http://127.0.0.1:1234/callback"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback other scheme":  {form("redirect_uri", "https://localhost:1234/callback"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback lookalike":     {form("redirect_uri", "http://localhost.example.no:1234/callback"), request, "registered", helseidtest.RuleRedirectURI},
		"loopback with userinfo": {form("redirect_uri", "http://x@localhost:5678/callback"), request, "registered", helseidtest.RuleRedirectURI},

		"no scope":              {without("scope"), request, "scope", helseidtest.RuleOpenID},
		"no openid":             {scope(testScope), "invalid_scope", "openid", helseidtest.RuleOpenID},
		"openid alone":          {scope("openid"), "", "", ""},
		"scope not granted":     {scope("openid nhn:test-api/delete"), "invalid_scope", "not granted", helseidtest.RuleScope},
		"scope of no identity":  {scope("openid helseid://scopes/identity/shoe-size"), "invalid_scope", "not granted", helseidtest.RuleScope},
		"scope in another case": {scope("openid " + strings.ToUpper(testScope)), "invalid_scope", "not granted", helseidtest.RuleScope},
		"offline_access without the grant": {func(t *testing.T, a *asker, _ *attempt) {
			client := loginClient()
			client.GrantTypes = []string{"authorization_code", "client_credentials"}
			a.register(t, client)
		}, "invalid_scope", "not granted", helseidtest.RuleScope},

		"no challenge":           {without("code_challenge"), request, "code_challenge", helseidtest.RulePKCE},
		"no challenge method":    {without("code_challenge_method"), request, "S256", helseidtest.RulePKCE},
		"challenge plain":        {form("code_challenge_method", "plain"), request, "S256", helseidtest.RulePKCE},
		"challenge method lower": {form("code_challenge_method", "s256"), request, "S256", helseidtest.RulePKCE},
		"challenge of 42":        {form("code_challenge", challenge[1:]), request, "43", helseidtest.RulePKCE},
		"challenge of 44":        {form("code_challenge", challenge+"A"), request, "43", helseidtest.RulePKCE},
		"challenge padded":       {form("code_challenge", challenge[:42]+"="), request, "43", helseidtest.RulePKCE},
		"challenge base64":       {form("code_challenge", "+"+challenge[1:]), request, "43", helseidtest.RulePKCE},
		"resource of a scope":    {form("resource", "nhn:test-api"), "", "", ""},
		"resources of two scopes": {func(_ *testing.T, _ *asker, r *attempt) {
			r.form["resource"] = []string{"nhn:test-api", "nhn:other-api"}
		}, "", "", ""},
		"resource of no scope":      {form("resource", "nhn:third-api"), "invalid_target", "resource", helseidtest.RuleResource},
		"resource of a scope short": {form("resource", "nhn:test"), "invalid_target", "resource", helseidtest.RuleResource},
		"resource openid":           {form("resource", "openid"), "invalid_target", "resource", helseidtest.RuleResource},

		"acr_values known":       {form("acr_values", "idp:idporten-oidc amr:bankid Level4 High bp:amr:sc"), "", "", ""},
		"acr_values unknown idp": {form("acr_values", "idp:example"), request, "identity provider", helseidtest.RuleACRValues},
		"acr_values unknown amr": {form("acr_values", "amr:retina"), request, "acr_values", helseidtest.RuleACRValues},
		"acr_values unknown":     {form("acr_values", "level4"), request, "acr_values", helseidtest.RuleACRValues},
		"prompt known":           {form("prompt", "login consent select_account"), "", "", ""},
		"prompt unknown":         {form("prompt", "create"), request, "prompt", helseidtest.RulePrompt},
		"prompt none and login":  {form("prompt", "none login"), request, "none", helseidtest.RulePrompt},
		"max_age":                {form("max_age", "0"), "", "", ""},
		"max_age negative":       {form("max_age", "-1"), request, "max_age", helseidtest.RuleMaxAge},
		"max_age fraction":       {form("max_age", "1.5"), request, "max_age", helseidtest.RuleMaxAge},
		"max_age empty":          {form("max_age", ""), request, "max_age", helseidtest.RuleMaxAge},
		"test login":             {form("acr_values", "idp:testidp-oidc", "test_pid", helseidtest.ClinicianAtLevel3, "test_security_level", "4"), "", "", ""},
		"test login without idp": {form("test_pid", helseidtest.ClinicianAtLevel3), request, "idp:testidp-oidc", helseidtest.RuleTestLogin},
		"test level without idp": {form("test_security_level", "4"), request, "idp:testidp-oidc", helseidtest.RuleTestLogin},
		"test login unknown":     {form("acr_values", "idp:testidp-oidc", "test_pid", "21916841199"), request, "test_pid", helseidtest.RuleTestLogin},
		"test level alone":       {form("acr_values", "idp:testidp-oidc", "test_security_level", "4"), request, "test_pid", helseidtest.RuleTestLogin},
		"test level 5": {form("acr_values", "idp:testidp-oidc", "test_pid", helseidtest.ClinicianAtLevel3, "test_security_level", "5"),
			request, "test_security_level", helseidtest.RuleTestLogin},
		"on_behalf_of":             {form("acr_values", "idp:idporten-oidc", "on_behalf_of", "994598759"), "", "", ""},
		"on_behalf_of without idp": {form("on_behalf_of", "994598759"), request, "idp:idporten-oidc", helseidtest.RuleOnBehalfOf},
		"on_behalf_of of eight":    {form("acr_values", "idp:idporten-oidc", "on_behalf_of", "99459875"), request, "nine digits", helseidtest.RuleOnBehalfOf},

		"request object":               {signed(func(*requestObject) {}), "", "", ""},
		"request object array":         {objectClaim("authorization_details", []any{goodAttest()}), "", "", ""},
		"request object no JWS":        {form("request", "x"), object1, "compact", ""},
		"request object unknown key":   {signed(func(o *requestObject) { o.key = newKey(t) }), object1, "registered key", ""},
		"request object twice a claim": {objectClaim("x", json.RawMessage(`{"a":1,"a":2}`)), object1, "strict JSON", ""},
		"request object typ": {signed(func(o *requestObject) { o.header["typ"] = "oauth-authz-req+jwt" }),
			object1, "typ", helseidtest.RuleRequestObject},
		"request object iss":        {objectClaim("iss", "somebody"), object1, "iss", helseidtest.RuleRequestObject},
		"request object aud":        {objectClaim("aud", "https://elsewhere.example.no"), object1, "aud", helseidtest.RuleRequestObject},
		"request object client_id":  {objectClaim("client_id", nil), object1, "client_id", helseidtest.RuleRequestObject},
		"request object no exp":     {objectClaim("exp", nil), object1, "exp", helseidtest.RuleRequestObject},
		"request object long":       {objectTime("exp", 36), object1, "60 seconds", helseidtest.RuleRequestObject},
		"request object expired":    {objectTime("exp", -35), object1, "expired", helseidtest.RuleRequestObject},
		"request object no nbf":     {objectClaim("nbf", nil), object1, "nbf", helseidtest.RuleRequestObject},
		"request object early":      {objectTime("nbf", 6), object1, "nbf", helseidtest.RuleRequestObject},
		"request object no jti":     {objectClaim("jti", nil), object1, "jti", helseidtest.RuleRequestObject},
		"request object no details": {objectClaim("authorization_details", nil), object1, "authorization_details", helseidtest.RuleRequestObject},
		"request object bad detail": {objectClaim("authorization_details", object{"type": "x"}), request, "HID-1007", ""},
		"request object parent":     {objectClaim("authorization_details", organization("urn:oid:1.0.6523", "NO:ORGNR:994598759")), request, "HID-1005", ""},

		"proof":               {proof(func(*testing.T, *asker, *attempt) {}), "", "", ""},
		"proof without nonce": {func(_ *testing.T, a *asker, r *attempt) { a.withProof(r, "") }, "use_dpop_nonce", "nonce", ""},
		"proof for the token endpoint": {proof(func(_ *testing.T, a *asker, r *attempt) { r.proof["htu"] = a.server.Issuer() + "/connect/token" }),
			"invalid_dpop_proof", "htu", ""},
		"proof of another key": {proof(func(t *testing.T, _ *asker, r *attempt) { r.proofKey = newKey(t) }), "invalid_dpop_proof", "signature", ""},
		"dpop_jkt":             {func(t *testing.T, a *asker, r *attempt) { r.form.Set("dpop_jkt", thumbprint(t, a.dpopKey)) }, "", "", ""},
		"dpop_jkt malformed":   {form("dpop_jkt", "x"), request, "dpop_jkt", helseidtest.RuleBinding},
		"dpop_jkt and proof":   {proof(func(t *testing.T, a *asker, r *attempt) { r.form.Set("dpop_jkt", thumbprint(t, a.dpopKey)) }), "", "", ""},
		"dpop_jkt of another": {proof(func(t *testing.T, _ *asker, r *attempt) { r.form.Set("dpop_jkt", thumbprint(t, newKey(t))) }),
			request, "dpop_jkt", helseidtest.RuleBinding},
	}
	run := func(t *testing.T, change change, options ...helseidtest.Option) (*asker, result) {
		a := newLoginAsker(t, options...)
		r := a.push(t)
		change(t, a, r)
		return a, a.send(t, r)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answer result
			// To the second: no time passes inside of a bubble.
			synctest.Test(t, func(t *testing.T) { _, answer = run(t, test.change) })
			require.Equal(t, test.code, answer.Error, answer.Description)
			require.Contains(t, answer.Description, test.says)
			if test.code == "" {
				require.Equal(t, http.StatusCreated, answer.status)
				require.True(t, strings.HasPrefix(answer.RequestURI, "urn:ietf:params:oauth:request_uri:"))
				require.Equal(t, 60, answer.ExpiresIn)
				return
			}
			require.Equal(t, http.StatusBadRequest, answer.status)
			require.Empty(t, answer.RequestURI)
			if test.rule != "" {
				a, relaxed := run(t, test.change, helseidtest.Relaxed(test.rule))
				require.Equal(t, http.StatusCreated, relaxed.status, relaxed.Description)
				_, err := a.server.LogIn(a.authorizeURL(relaxed.RequestURI))
				require.NoError(t, err)
			}
		})
	}
}

// PAR and the token endpoint know the same assertions, and the same objects.
func TestCredentialsOfPARAreSpent(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	pushed := a.push(t)
	object := a.requestObject(t)
	pushed.form.Set("request", sign(t, object.key, object.header, object.claims))
	require.Empty(t, a.send(t, pushed).Error)

	again := a.push(t)
	again.form.Set("request", sign(t, object.key, object.header, object.claims))
	require.Contains(t, a.send(t, again).Description, "the request object has been used before")
	token := a.build(t, a.nonce(t))
	token.rawAssertion = pushed.rawAssertion
	answer := a.send(t, token)
	require.Equal(t, "invalid_client", answer.Error)
	require.Contains(t, answer.Description, "used before")

	strict := newLoginAsker(t, helseidtest.DemandProofAtPAR())
	require.Equal(t, "invalid_dpop_proof", strict.send(t, strict.push(t)).Error)
	bound := strict.push(t)
	strict.withProof(bound, strict.nonce(t))
	require.Empty(t, strict.send(t, bound).Error)
}

// HelseID compares redirect URIs as texts: another spelling of the same is not registered.
func TestRedirectURIAsText(t *testing.T) {
	t.Parallel()
	for registered, others := range map[string][]string{
		"https://ehr.example.no/callback": {"HTTPS://ehr.example.no/callback", "https://EHR.example.no/callback", "https://ehr.example.no:443/callback", "https://ehr.example.no/callback/", "https://ehr.example.no/%63allback", "https://ehr.example.no/callback?"},
		"HTTPS://ehr.example.no/callback": {"https://ehr.example.no/callback"},
		"http://127.0.0.1/callback":       {"http://localhost/callback", "http://127.0.0.1/other", "HTTP://127.0.0.1/callback"},
	} {
		server := helseidtest.NewServer(t, helseidtest.InMemory())
		config, err := server.NewLoginClient(registered)
		require.NoError(t, err)
		config.HTTPClient = server.HTTPClient()
		client, err := helseid.New(config)
		require.NoError(t, err)
		_, err = client.StartLogin(t.Context(), helseid.LoginRequest{})
		require.NoError(t, err, registered)
		for _, other := range others {
			_, err := client.StartLogin(t.Context(), helseid.LoginRequest{RedirectURI: other})
			require.ErrorContains(t, err, "not registered", other)
		}
		if registered == "http://127.0.0.1/callback" {
			_, err := client.StartLogin(t.Context(), helseid.LoginRequest{RedirectURI: "http://127.0.0.1:4711/callback"})
			require.NoError(t, err, "the port of a loopback address is free")
		}
		client.Close()
	}
}
