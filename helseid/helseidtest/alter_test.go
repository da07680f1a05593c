package helseidtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// What the server answers can be bent, and is straight again afterwards.
func TestAlter(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	s := a.server
	s.AlterIDTokens(mint.Claim("nonce", "another"), mint.Header("alg", "none"))
	s.AlterAccessTokens(mint.SecurityLevel(2), mint.Claim("at", 1))
	s.AlterTokenResponse(func(response map[string]any) { delete(response, "expires_in") }, func(response map[string]any) { response["token_type"] = "dpop" }, func(response map[string]any) { response["more"] = true })
	s.AlterCallback(func(parameters url.Values) { parameters.Del("iss"); parameters.Set("x", "y") })
	callback := a.login(t, a.push(t))
	require.NotContains(t, callback, "iss")
	require.Equal(t, "y", callback.Get("x"))
	token := a.send(t, a.redeem(t, callback.Get("code")))
	require.Zero(t, token.ExpiresIn)
	require.Equal(t, "dpop", token.TokenType)
	header, claims := jws(t, token.IDToken)
	require.Equal(t, "another", claims["nonce"])
	require.Equal(t, "none", header["alg"])
	require.Equal(t, b64(sha256Sum(token.AccessToken)[:16]), claims["at_hash"])
	require.Equal(t, "2", claimsOf(t, token.AccessToken)["helseid://claims/identity/security_level"])
	system := a.build(t, a.nonce(t))
	require.Contains(t, claimsOf(t, a.send(t, system).AccessToken), "at")

	s.AlterIDTokens()
	s.AlterAccessTokens()
	s.AlterTokenResponse()
	s.AlterCallback(nil)
	callback = a.login(t, a.push(t))
	require.Contains(t, callback, "iss")
	token = a.send(t, a.redeem(t, callback.Get("code")))
	require.NotZero(t, token.ExpiresIn)
	require.Equal(t, "the-nonce", claimsOf(t, token.IDToken)["nonce"])
	require.NotContains(t, claimsOf(t, token.AccessToken), "at")
}

func TestMintedTokens(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	header, claims := jws(t, server.IDToken(mint.Audience("c"), mint.Claim("nonce", "n")))
	require.Equal(t, "JWT", header["typ"])
	require.Equal(t, "c", claims["aud"])
	require.Equal(t, "n", claims["nonce"])
	require.NotContains(t, claims, "scope")
	require.InDelta(t, 300, claims["exp"].(float64)-claims["iat"].(float64), 0)
	header, claims = jws(t, server.LogoutToken(mint.Claim("sub", nil)))
	require.Equal(t, "logout+jwt", header["typ"])
	require.Equal(t, mint.DefaultClientID, claims["aud"])
	require.NotContains(t, claims, "sub")
	require.NotEmpty(t, claims["sid"])
	require.Equal(t, claimsOf(t, server.IDToken())["sid"], claimsOf(t, server.Token(mint.Clinician()))["sid"])
}

// An answer that is lost on the way has been acted on.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"in memory", "on loopback"} {
		var options []helseidtest.Option
		if kind == "in memory" {
			options = append(options, helseidtest.InMemory())
		}
		start := func(t *testing.T) *asker {
			a := newAsker(t, helseidtest.NewServer(t, options...))
			a.register(t, loginClient())
			return a
		}
		lose := func(t *testing.T, a *asker, r *attempt) error {
			response, err := a.http.Do(a.request(t, r))
			if err == nil {
				defer response.Body.Close()
				var answer any
				err = json.NewDecoder(response.Body).Decode(&answer)
			}
			return err
		}
		t.Run("a refresh, "+kind, func(t *testing.T) {
			t.Parallel()
			a := start(t)
			token := a.tokens(t, a.push(t)).RefreshToken
			r := a.refresh(t, token)
			a.server.Inject(helseidtest.Fault{Cut: true})
			require.Error(t, lose(t, a, r))
			next := a.send(t, a.refresh(t, token))
			require.Empty(t, next.Error, "cut before it was processed: the token is as good as before")

			r = a.refresh(t, next.RefreshToken)
			a.server.Inject(helseidtest.Fault{Cut: true, AfterProcessing: true})
			require.Error(t, lose(t, a, r))
			require.Contains(t, a.send(t, a.refresh(t, next.RefreshToken)).Description, "used before")
		})
		t.Run("half of a code's, "+kind, func(t *testing.T) {
			t.Parallel()
			a := start(t)
			code := a.login(t, a.push(t)).Get("code")
			r := a.redeem(t, code)
			a.server.Inject(helseidtest.Fault{HalfBody: true, AfterProcessing: true})
			require.Error(t, lose(t, a, r))
			require.Contains(t, a.send(t, a.redeem(t, code)).Description, "used before")
		})
		t.Run("a status in its place, "+kind, func(t *testing.T) {
			t.Parallel()
			a := start(t)
			token := a.tokens(t, a.push(t)).RefreshToken
			r := a.refresh(t, token)
			a.server.Inject(helseidtest.Fault{Status: 502, AfterProcessing: true})
			require.Equal(t, 502, a.send(t, r).status)
			require.Contains(t, a.send(t, a.refresh(t, token)).Description, "used before")
		})
	}
	t.Run("late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := newLoginAsker(t)
			r := a.refresh(t, a.tokens(t, a.push(t)).RefreshToken)
			a.server.Inject(helseidtest.Fault{Delay: 5 * time.Second, AfterProcessing: true})
			start := time.Now()
			answer := a.send(t, r)
			require.Equal(t, 5*time.Second, time.Since(start))
			require.Equal(t, http.StatusOK, answer.status)
			require.NotEmpty(t, answer.AccessToken)
			require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
			challenged := a.build(t, "")
			a.server.Inject(helseidtest.Fault{Delay: time.Second, AfterProcessing: true})
			answer = a.send(t, challenged)
			require.Equal(t, "use_dpop_nonce", answer.Error)
			require.NotEmpty(t, answer.header.Get("DPoP-Nonce"))
		})
	})
}

// Faults strike at every endpoint, and every request is recorded.
func TestEveryEndpointIsObserved(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t, page(t))
	for _, endpoint := range []helseidtest.Endpoint{
		helseidtest.EndpointMetadata, helseidtest.EndpointJWKS, helseidtest.EndpointToken, helseidtest.EndpointPAR, helseidtest.EndpointAuthorize,
		helseidtest.Endpoint("/login"), helseidtest.EndpointUserInfo, helseidtest.EndpointRevocation, helseidtest.EndpointEndSession, helseidtest.Endpoint("/connect/availableidps"),
	} {
		a.server.Inject(helseidtest.Fault{Endpoint: endpoint, Status: 503})
		request, err := http.NewRequestWithContext(t.Context(), "GET", a.server.Issuer()+string(endpoint)+"?q=1", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer x")
		response, err := a.http.Do(request)
		require.Equal(t, 503, visit(t, response, err).StatusCode, endpoint)
		recorded := a.server.Requests(endpoint)
		require.Len(t, recorded, 1)
		require.Equal(t, "1", recorded[0].Query.Get("q"))
		require.Equal(t, "Bearer x", recorded[0].Authorization)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	s := a.server
	numbers := map[string]bool{}
	for _, user := range s.Users() {
		require.NoError(t, s.AddUser(user), "a built-in user is a good one")
		numbers[user.Subject] = true
	}
	require.Len(t, s.Users(), 3)
	require.Len(t, numbers, 3)
	for name, user := range map[string]helseidtest.User{
		"no number":       {},
		"short":           {PersonalIdentityNumber: "0682839978"},
		"no digits":       {PersonalIdentityNumber: "0682839978x"},
		"check digit 1":   {PersonalIdentityNumber: "06828399779"},
		"check digit 2":   {PersonalIdentityNumber: "06828399788"},
		"a real month":    {PersonalIdentityNumber: "01010000008"},
		"level 1":         {PersonalIdentityNumber: helseidtest.ClinicianAtLevel3, SecurityLevel: 1},
		"level 5":         {PersonalIdentityNumber: helseidtest.ClinicianAtLevel3, SecurityLevel: 5},
		"HPR number text": {PersonalIdentityNumber: helseidtest.ClinicianAtLevel3, HPRNumber: "x"},
	} {
		require.Error(t, s.AddUser(user), name)
	}
	require.NoError(t, s.AddUser(helseidtest.User{
		PersonalIdentityNumber: "21916841199", GivenName: "NY", FamilyName: "BRUKER", IdentityProvider: "hospital-oidc", Network: "helsenett",
		AssuranceLevel: "low", SecurityLevel: 2, HPRNumber: "7",
	}))
	require.Len(t, s.Users(), 4)
	r := a.push(t)
	r.form.Set("scope", "openid helseid://scopes/identity/all")
	claims := claimsOf(t, a.tokens(t, r, helseidtest.AsUser("21916841199")).IDToken)
	require.Equal(t, "hospital-oidc", claims["idp"])
	require.Equal(t, "helsenett", claims["helseid://claims/identity/network"])
	require.Equal(t, "low", claims["helseid://claims/identity/assurance_level"])
	require.Equal(t, "2", claims["helseid://claims/identity/security_level"])
	again := claimsOf(t, a.tokens(t, a.push(t), helseidtest.AsUser("21916841199")).IDToken)
	require.Equal(t, claims["sub"], again["sub"])
	require.NotEqual(t, claims["sid"], again["sid"])

	response, err := a.http.Get(s.Issuer() + "/connect/availableidps")
	var names []string
	require.NoError(t, json.NewDecoder(visit(t, response, err).Body).Decode(&names))
	require.Contains(t, names, "testidp-oidc")
	require.True(t, slices.Contains(names, "hospital-oidc"), "and those of the users")
	_, err = s.LogIn(a.authorizeURL(a.send(t, a.push(t)).RequestURI), helseidtest.AsUser("somebody"))
	require.ErrorContains(t, err, "no such user")

	r = a.push(t)
	r.form.Set("acr_values", "idp:idporten-oidc amr:bankid")
	r.form.Set("on_behalf_of", "994598759")
	token := a.tokens(t, r)
	for _, claims := range []map[string]any{claimsOf(t, token.IDToken), claimsOf(t, token.AccessToken)} {
		require.Equal(t, "994598759", claims["helseid://claims/client/on_behalf_of"])
		require.Equal(t, []any{"bankid"}, claims["amr"])
		require.Equal(t, "idporten-oidc", claims["idp"])
	}
}

func TestLoginClients(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := server.NewClient(helseidtest.RedirectURI(callbackURI), helseidtest.Scopes(testScope))
	require.Equal(t, helseid.Registration{
		ClientName: "helseidtest client", GrantTypes: []string{"client_credentials", "authorization_code", "refresh_token"},
		Scopes: []string{testScope}, RedirectURIs: []string{callbackURI}, PostLogoutRedirectURIs: []string{loggedOut},
	}, config.Registered)
	for _, uri := range []string{"", "/callback", "%"} {
		require.Panics(t, func() { server.NewClient(helseidtest.RedirectURI(uri)) })
	}
	file := server.ConfigFile(helseidtest.Client{
		Name: "named", Scopes: []string{testScope}, GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{callbackURI}, PostLogoutRedirectURIs: []string{loggedOut},
	})
	config, err := helseid.ParseConfig(file)
	require.NoError(t, err)
	require.Equal(t, helseid.Registration{
		ClientName: "named", GrantTypes: []string{"authorization_code"},
		Scopes: []string{testScope}, RedirectURIs: []string{callbackURI}, PostLogoutRedirectURIs: []string{loggedOut},
	}, config.Registered)
	require.Contains(t, string(file), `"pkceRequired": true`)

	shape := getJSON(t, helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TestEnvironmentMetadata()), "/.well-known/openid-configuration")
	texts := 0
	for _, value := range shape {
		if value == "true" {
			texts++
		}
	}
	require.Equal(t, 4, texts)
	require.Equal(t, true, shape["request_parameter_supported"])
}
