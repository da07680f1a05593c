package helseid_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// T164: what is pushed to HelseID for the options of a login.
func TestT164PushedParameters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request helseid.LoginRequest
		want    url.Values
	}{
		"nothing": {helseid.LoginRequest{}, url.Values{"scope": {"openid"}}},
		"scopes, each once": {
			helseid.LoginRequest{Scopes: []string{"profile", testScope, "openid", "profile"}},
			url.Values{"scope": {"openid profile " + testScope}},
		},
		"resources, each once and in order": {
			helseid.LoginRequest{Scopes: []string{testScope, journalScope, "offline_access"}, Resources: []string{journalResource, testResource, journalResource}},
			url.Values{"scope": {"openid " + testScope + " " + journalScope + " offline_access"}, "resource": {journalResource, testResource}},
		},
		"level 4": {
			helseid.LoginRequest{SecurityLevel: 4},
			url.Values{"scope": {"openid " + helseid.ScopeSecurityLevel}, "acr_values": {"Level4"}},
		},
		"high assurance": {
			helseid.LoginRequest{AssuranceLevel: identity.AssuranceHigh},
			url.Values{"scope": {"openid " + helseid.ScopeAssuranceLevel}, "acr_values": {"High"}},
		},
		"substantial assurance": {
			helseid.LoginRequest{AssuranceLevel: identity.AssuranceSubstantial, SecurityLevel: 4},
			url.Values{"scope": {"openid " + helseid.ScopeSecurityLevel + " " + helseid.ScopeAssuranceLevel}, "acr_values": {"Level4"}},
		},
		"level 3 is checked and not asked for": {
			helseid.LoginRequest{SecurityLevel: 3}, url.Values{"scope": {"openid " + helseid.ScopeSecurityLevel}},
		},
		"level with all identity claims": {
			helseid.LoginRequest{SecurityLevel: 3, Scopes: []string{helseid.ScopeAllIdentity}},
			url.Values{"scope": {"openid " + helseid.ScopeAllIdentity}},
		},
		"identity provider": {
			helseid.LoginRequest{IdentityProvider: "buypass-oidc", ACRValues: []string{"bp:amr:sc"}},
			url.Values{"scope": {"openid"}, "acr_values": {"idp:buypass-oidc bp:amr:sc"}},
		},
		"eID inside ID-porten": {
			helseid.LoginRequest{EID: "bankid", OnBehalfOf: "999977775", SecurityLevel: 4},
			url.Values{
				"scope":      {"openid " + helseid.ScopeSecurityLevel},
				"acr_values": {"idp:idporten-oidc amr:bankid Level4"}, "on_behalf_of": {"999977775"},
			},
		},
		"new login": {
			helseid.LoginRequest{Prompt: helseid.PromptLogin},
			url.Values{"scope": {"openid"}, "prompt": {"login"}, "max_age": {"0"}},
		},
		"age": {
			helseid.LoginRequest{Prompt: helseid.PromptNone, MaxAge: 5 * time.Minute},
			url.Values{"scope": {"openid"}, "prompt": {"none"}, "max_age": {"300"}},
		},
		"test user": {
			helseid.LoginRequest{TestUser: &helseid.TestUser{PersonalIdentityNumber: helseidtest.ClinicianAtLevel3, SecurityLevel: 3}},
			url.Values{
				"scope": {"openid"}, "acr_values": {"idp:testidp-oidc"},
				"test_pid": {helseidtest.ClinicianAtLevel3}, "test_security_level": {"3"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{})
			login, err := w.client.StartLogin(t.Context(), test.request)
			require.NoError(t, err)
			pushed := w.server.Requests(helseidtest.EndpointPAR)
			require.Len(t, pushed, 1)
			form := pushed[0].Form
			require.Empty(t, pushed[0].ProofHeader, "no proof unless it is asked for")

			state, nonce, challenge := form.Get("state"), form.Get("nonce"), form.Get("code_challenge")
			require.Equal(t, login.State.ID(), state)
			require.GreaterOrEqual(t, len(state), 32)
			require.GreaterOrEqual(t, len(nonce), 32)
			require.NotEqual(t, state, nonce)
			verifier := stateMember(t, login.State, "verifier")
			digest := sha256.Sum256([]byte(verifier))
			require.Equal(t, base64.RawURLEncoding.EncodeToString(digest[:]), challenge)
			for _, name := range []string{"state", "nonce", "code_challenge", "client_assertion"} {
				require.NotEmpty(t, form.Get(name))
				form.Del(name)
			}
			test.want.Set("client_id", w.config.ClientID)
			test.want.Set("client_assertion_type", clientassertion.Type)
			test.want.Set("response_type", "code")
			test.want.Set("redirect_uri", redirectURI)
			test.want.Set("code_challenge_method", "S256")
			require.Equal(t, test.want, form)
		})
	}
}

// stateMember reads a secret of a login's state, as only its owner can.
func stateMember(t testing.TB, state *helseid.LoginState, name string) string {
	t.Helper()
	data, err := state.Encode()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	text, ok := members[name].(string)
	require.True(t, ok, "the state has no %s", name)
	return text
}

// The redirect URI is sent as it was registered, to the letter: HelseID compares texts.
// That it is read, to be checked, changes nothing.
func TestRedirectURIAsRegistered(t *testing.T) {
	t.Parallel()
	for _, registered := range []string{
		"HTTPS://EHR.Example.no:443/a/../Callback/", "https://ehr.example.no", "https://ehr.example.no/", "https://ehr.example.no/callback?b=2&a=1&x=%7e%2f",
		"https://ehr.example.no/%63allback", "https://ehr.example.no//callback", "http://127.0.0.1:80/callback", "https://ehr.example.no/callback?", "https://ehr.example.no/a;b=c",
	} {
		for name, request := range map[string]helseid.LoginRequest{"from the configuration": {}, "named": {RedirectURI: registered}} {
			w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Registered.RedirectURIs = []string{registered} }})
			require.NoError(t, w.server.AddClient(helseidtest.Client{
				ID: w.config.ClientID, PublicJWKs: [][]byte{w.config.Key.PublicJWK()}, Scopes: []string{testScope},
				GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{registered}, ParentOrganization: mint.DefaultParentOrganization,
			}))
			_, err := w.client.StartLogin(t.Context(), request)
			require.NoError(t, err, registered)
			pushed := w.server.Requests(helseidtest.EndpointPAR)
			require.Len(t, pushed, 1)
			require.Equal(t, []string{registered}, pushed[0].Form["redirect_uri"], name)
		}
	}
}

// Two logins have nothing secret in common.
func TestLoginsAreDistinct(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	seen := map[string]bool{}
	for range 3 {
		login, err := w.client.StartLogin(t.Context(), helseid.LoginRequest{})
		require.NoError(t, err)
		for _, name := range []string{"state", "nonce", "verifier"} {
			text := stateMember(t, login.State, name)
			require.False(t, seen[text], name)
			seen[text] = true
		}
		require.False(t, seen[login.URL])
		seen[login.URL] = true
	}
}

// Details that hold for a session go into a signed request object, and nowhere
// else.
func TestRequestObject(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	require.NoError(t, w.server.AddClient(multiTenantLogin(t, w)))
	request := loginRequest()
	request.Organization = clientassertion.Organization{Parent: "999977775", Child: "999977776"}
	session := w.logInWith(t, request)
	pushed := w.server.Requests(helseidtest.EndpointPAR)
	require.Len(t, pushed, 1)
	require.NotContains(t, pushed[0].Assertion, "details")
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(pushed[0].RequestObject), &object))
	require.Equal(t, w.config.ClientID, object["iss"])
	require.Equal(t, w.config.ClientID, object["client_id"])
	require.Equal(t, w.server.Issuer(), object["aud"])
	require.LessOrEqual(t, object["exp"].(float64)-object["iat"].(float64), 60.0)
	require.NotEmpty(t, object["jti"])
	detail := object["authorization_details"].(map[string]any)
	require.Equal(t, "helseid_authorization", detail["type"])
	require.NotContains(t, object, "assertion_details")

	for _, resource := range []string{testResource, journalResource} {
		token, err := session.Token(t.Context(), helseid.TokenRequest{Resource: resource})
		require.NoError(t, err)
		_, claims := jws(t, token.Access.Reveal())
		require.Equal(t, "999977776", claims["helseid://claims/client/claims/orgnr_child"], "in every token of the session")
	}
	for _, request := range w.server.Requests(helseidtest.EndpointToken) {
		require.NotContains(t, request.Assertion, "details")
	}

	// Not in the assertion as well: nothing is sent.
	before := w.tokenRequests()
	for name, request := range map[string]helseid.TokenRequest{
		"organisation": {Organization: clientassertion.Organization{Parent: "999977775"}},
		"journal":      {JournalID: "b4a1c0de-0000-4000-8000-000000000001"},
		"attest":       {Attest: &clientassertion.Attest{LegalEntity: "999977775"}},
		"own":          {Details: []clientassertion.Detail{mustDetail(t, `{"type":"x"}`)}},
	} {
		_, err := session.Token(t.Context(), request)
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "whole session", name)
	}
	require.Equal(t, before, w.tokenRequests())
}

func mustDetail(t testing.TB, text string) clientassertion.Detail {
	t.Helper()
	detail, err := clientassertion.ParseDetail([]byte(text))
	require.NoError(t, err)
	return detail
}

// multiTenantLogin is the world's client as a multi-tenant one with two delegations.
func multiTenantLogin(t testing.TB, w *world) helseidtest.Client {
	t.Helper()
	return helseidtest.Client{
		ID: w.config.ClientID, PublicJWKs: [][]byte{w.config.Key.PublicJWK()},
		Scopes:     []string{testScope, otherScope, journalScope},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"}, RedirectURIs: []string{redirectURI},
		ParentOrganization: mint.DefaultSupplier, MultiTenant: true, Delegations: []string{"999977775", "994598759"},
	}
}

// Mistakes are found before anything is sent, all at once.
func TestLoginRequestMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config  func(*helseid.Config)
		request helseid.LoginRequest
		want    []string
	}{
		"all at once": {nil, helseid.LoginRequest{
			RedirectURI: "http://ehr.example.no/", Scopes: []string{"a b"}, Resources: []string{"", "a b"}, SecurityLevel: 5, AssuranceLevel: 4,
			IdentityProvider: "buypass-oidc", EID: "bank id", ACRValues: []string{"x y"}, OnBehalfOf: "12", Prompt: "consent", MaxAge: time.Millisecond,
			TestUser: &helseid.TestUser{PersonalIdentityNumber: "123"}, Organization: clientassertion.Organization{Parent: "1"},
		}, []string{
			"RedirectURI", "Scopes", "Resources", "SecurityLevel", "AssuranceLevel", "EID", "ACRValues", "OnBehalfOf", "Prompt", "MaxAge", "TestUser", "Organization",
		}},
		"several APIs without a refresh token": {nil, helseid.LoginRequest{Scopes: []string{testScope}, Resources: []string{"a", "b"}}, []string{"ScopeOfflineAccess"}},
		"redirect with a fragment":             {nil, helseid.LoginRequest{RedirectURI: "https://ehr.example.no/#x"}, []string{"RedirectURI"}},
		"redirect with a user":                 {nil, helseid.LoginRequest{RedirectURI: "https://a@ehr.example.no/"}, []string{"RedirectURI"}},
		"redirect that is none":                {nil, helseid.LoginRequest{RedirectURI: "::"}, []string{"RedirectURI"}},
		"redirect by name only":                {nil, helseid.LoginRequest{RedirectURI: "http://localhost.example.no/"}, []string{"RedirectURI"}},
		"no redirect":                          {func(c *helseid.Config) { c.Registered.RedirectURIs = nil }, helseid.LoginRequest{}, []string{"RedirectURI"}},
		"several redirects": {
			func(c *helseid.Config) { c.Registered.RedirectURIs = []string{redirectURI, redirectURI + "2"} },
			helseid.LoginRequest{}, []string{"RedirectURI", "2 of them"},
		},
		"test user in production": {
			func(c *helseid.Config) { c.Issuer = helseid.Production.Issuer() },
			helseid.LoginRequest{TestUser: &helseid.TestUser{PersonalIdentityNumber: helseidtest.ClinicianAtLevel3}}, []string{"TestUser"},
		},
		"bound code without a key of one's own": {
			func(c *helseid.Config) { c.DPoPKey = nil }, helseid.LoginRequest{BindCode: true}, []string{"BindCode", "DPoPKey"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLoginWorld(t, worldOptions{config: test.config})
			login, err := w.client.StartLogin(t.Context(), test.request)
			requireError(t, err, helseid.ErrConfig)
			require.Nil(t, login)
			for _, field := range test.want {
				require.ErrorContains(t, err, field)
			}
			require.Empty(t, w.server.Requests())
		})
	}
}

// A loopback redirect is how a desktop application gets its answer.
func TestLoopbackRedirect(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	config := w.server.NewClient(helseidtest.RedirectURI("http://localhost:8080/callback"), helseidtest.Scopes(testScope))
	config.HTTPClient = w.config.HTTPClient
	client := newClient(t, config)
	login, err := client.StartLogin(t.Context(), helseid.LoginRequest{RedirectURI: "http://localhost:49152/callback"})
	require.NoError(t, err)
	target, err := w.server.LogIn(login.URL)
	require.NoError(t, err)
	require.Equal(t, "localhost:49152", target.Host)
	_, err = client.FinishLogin(t.Context(), login.State, target.Query())
	require.NoError(t, err)
}

// HelseID's answers to a pushed request, and what becomes of them.
func TestPushedRequestAnswers(t *testing.T) {
	t.Parallel()
	par := func(fault helseidtest.Fault) []helseidtest.Fault {
		fault.Endpoint = helseidtest.EndpointPAR
		return []helseidtest.Fault{fault}
	}
	html := map[string][]string{"Content-Type": {"text/html"}}
	for name, test := range map[string]struct {
		faults []helseidtest.Fault
		err    error
		text   string
	}{
		"refused":           {par(helseidtest.Fault{Status: 400, Body: `{"error":"invalid_request","error_description":"bad redirect"}`}), nil, "invalid_request"},
		"unavailable":       {par(helseidtest.Fault{Status: 503, Times: -1}), helseid.ErrUnavailable, ""},
		"once unavailable":  {par(helseidtest.Fault{Status: 503}), nil, ""},
		"cut once":          {par(helseidtest.Fault{Cut: true}), nil, ""},
		"no request_uri":    {par(helseidtest.Fault{Status: 201, Body: `{"expires_in":60}`}), helseid.ErrInvalidResponse, "request_uri"},
		"wrong request_uri": {par(helseidtest.Fault{Status: 201, Body: `{"request_uri":7}`}), helseid.ErrInvalidResponse, "request_uri"},
		"empty request_uri": {par(helseidtest.Fault{Status: 201, Body: `{"request_uri":""}`}), helseid.ErrInvalidResponse, "request_uri"},
		"two request_uris":  {par(helseidtest.Fault{Status: 201, Body: `{"request_uri":"urn:a","request_uri":"urn:b"}`}), helseid.ErrInvalidResponse, ""},
		"folded member":     {par(helseidtest.Fault{Status: 201, Body: `{"Request_URI":"urn:a","request_uri":"urn:b"}`}), helseid.ErrInvalidResponse, ""},
		"space in it":       {par(helseidtest.Fault{Status: 201, Body: `{"request_uri":"urn:a b"}`}), helseid.ErrInvalidResponse, "request_uri"},
		"a page":            {par(helseidtest.Fault{Status: 200, Header: html, Body: "<html>"}), helseid.ErrInvalidResponse, "proxy"},
		"a redirect":        {par(helseidtest.Fault{Status: 302, Header: map[string][]string{"Location": {"https://evil.example/"}}}), helseid.ErrInvalidResponse, "redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newLoginWorld(t, worldOptions{})
				w.server.Inject(test.faults...)
				login, err := w.client.StartLogin(t.Context(), helseid.LoginRequest{})
				requireDistinctIDs(t, w)
				switch {
				case test.err != nil:
					requireError(t, err, test.err)
				case test.text != "":
					var refusal *helseid.TokenError
					require.ErrorAs(t, err, &refusal)
					requireNoSecret(t, err)
				default:
					require.NoError(t, err)
					require.NotEmpty(t, login.URL)
					return
				}
				require.ErrorContains(t, err, test.text)
				require.Nil(t, login)
			})
		})
	}
}

// A metadata document without what a login needs is HelseID's fault, and told so.
func TestLoginNeedsItsEndpoints(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{})
	w.server.Inject(helseidtest.Fault{
		Endpoint: helseidtest.EndpointMetadata, Times: -1,
		Body: `{"issuer":"` + w.server.Issuer() + `","token_endpoint":"` + w.server.Issuer() + `/connect/token"}`,
	})
	_, err := w.client.StartLogin(t.Context(), helseid.LoginRequest{})
	requireError(t, err, helseid.ErrInvalidResponse)
	require.ErrorContains(t, err, "authorization_endpoint")
}

// A bound code is worth nothing with another key.
func TestBoundCode(t *testing.T) {
	t.Parallel()
	w := newLoginWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.DemandProofAtPAR()}})
	request := loginRequest()
	request.BindCode = true
	state, answer := w.callback(t, request)
	require.Len(t, w.server.Requests(helseidtest.EndpointPAR), 2, "the nonce is learned at PAR")
	_, err := w.client.FinishLogin(t.Context(), state, answer)
	require.NoError(t, err)
	require.Len(t, w.server.Requests(helseidtest.EndpointToken), 1, "and good at the token endpoint")
	requireDistinctIDs(t, w)
	require.True(t, strings.Contains(w.server.Requests(helseidtest.EndpointPAR)[1].Proof, "/connect/par"))
}
