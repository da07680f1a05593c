package helseidtest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

func TestUserInfo(t *testing.T) {
	t.Parallel()
	const path = "/connect/userinfo"
	claim := func(name string, value any) func(map[string]any) {
		return func(proof map[string]any) { proof[name] = value }
	}
	none := func(proof map[string]any) { clear(proof) }
	for name, test := range map[string]struct {
		method, scheme string
		token          []mint.TokenOption // in place of a login's
		change         func(map[string]any)
		code           string
		status         int
		rule           rule.Rule
	}{
		"GET":               {"GET", "DPoP", nil, nil, "", 200, ""},
		"POST":              {"POST", "DPoP", nil, nil, "", 200, ""},
		"scheme lower":      {"GET", "dpop", nil, nil, "", 200, ""},
		"PUT":               {"PUT", "DPoP", nil, nil, "invalid_request", 400, ""},
		"bound, as bearer":  {"GET", "Bearer", nil, none, "invalid_token", 401, rule.UserInfoProof},
		"scheme basic":      {"GET", "Basic", nil, none, "invalid_request", 401, ""},
		"no proof":          {"GET", "DPoP", nil, none, "invalid_dpop_proof", 401, ""},
		"proof for POST":    {"GET", "DPoP", nil, claim("htm", "POST"), "invalid_dpop_proof", 401, ""},
		"proof elsewhere":   {"GET", "DPoP", nil, claim("htu", "https://elsewhere.example.no"+path), "invalid_dpop_proof", 401, ""},
		"proof without ath": {"GET", "DPoP", nil, claim("ath", nil), "invalid_dpop_proof", 401, ""},
		"ath of another":    {"GET", "DPoP", nil, claim("ath", b64(sha256Sum("x"))), "invalid_dpop_proof", 401, ""},
		"unbound": {"GET", "Bearer", []mint.TokenOption{mint.Clinician(), mint.Unbound(), mint.Scopes("openid")},
			none, "", 200, ""},
		"unbound, with a proof": {"GET", "DPoP", []mint.TokenOption{mint.Clinician(), mint.Unbound(), mint.Scopes("openid")},
			nil, "invalid_token", 401, ""},
		"without openid": {"GET", "Bearer", []mint.TokenOption{mint.Clinician(), mint.Unbound()},
			none, "insufficient_scope", 403, rule.OpenID},
		"of a system":    {"GET", "Bearer", []mint.TokenOption{mint.Unbound(), mint.Scopes("openid")}, none, "invalid_token", 401, ""},
		"expired":        {"GET", "Bearer", []mint.TokenOption{mint.Clinician(), mint.Unbound(), mint.Scopes("openid"), mint.Expired()}, none, "invalid_token", 401, rule.Expiry},
		"signed by none": {"GET", "Bearer", []mint.TokenOption{mint.Clinician(), mint.BrokenSignature()}, none, "invalid_token", 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(options ...helseidtest.Option) (int, map[string]any) {
				a := newLoginAsker(t, options...)
				token := a.server.Token(test.token...)
				if test.token == nil {
					token = a.tokens(t, a.push(t)).AccessToken
				}
				return a.userInfo(t, test.method, test.scheme, token, test.change)
			}
			status, answer := run()
			require.Equal(t, test.status, status, answer)
			if test.code != "" {
				require.Equal(t, test.code, answer["error"], answer)
			} else {
				require.Equal(t, "0bq1hVF0yNRmqvCD6xLlwuYJ5vDOEgqUhpC8/xsm+mQ=", answer["sub"])
			}
			if test.rule != "" {
				status, answer = run(helseidtest.Relaxed(test.rule))
				require.Equal(t, http.StatusOK, status, answer)
			}
		})
	}
	t.Run("tells what the scopes allow", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		r := a.push(t)
		r.form.Set("scope", "openid "+levelScope+" "+hprScope)
		_, answer := a.userInfo(t, "GET", "DPoP", a.tokens(t, r, helseidtest.AsUser(helseidtest.PersonWithoutHPRNumber), helseidtest.AtLevel(3)).AccessToken, nil)
		require.Len(t, answer, 4)
		require.Equal(t, "3", answer["helseid://claims/identity/security_level"])
		details := answer["helseid://claims/hpr/hpr_details"].(map[string]any)
		require.Equal(t, true, details["no_hpr_number"])
		require.Nil(t, details["hpr_number"])
		require.Equal(t, []any{}, details["approvals"])

		r = a.push(t)
		r.form.Set("scope", "openid helseid://scopes/identity/all")
		_, answer = a.userInfo(t, "GET", "DPoP", a.tokens(t, r, helseidtest.AsUser(helseidtest.ClinicianAtLevel3)).AccessToken, nil)
		require.Equal(t, "STILLE BLÅ ELG", answer["name"])
		require.Equal(t, "substantial", answer["helseid://claims/identity/assurance_level"])
		require.Equal(t, answer["sub"], answer["helseid://claims/identity/pid_pseudonym"])
		require.NotContains(t, answer, "helseid://claims/hpr/hpr_details")
	})
	t.Run("two Authorization headers", func(t *testing.T) {
		t.Parallel()
		a := newLoginAsker(t)
		request, err := http.NewRequestWithContext(t.Context(), "GET", a.server.Issuer()+path, nil)
		require.NoError(t, err)
		good := "Bearer " + a.server.Token(mint.Clinician(), mint.Unbound(), mint.Scopes("openid"))
		request.Header["Authorization"] = []string{good, good}
		response, err := a.http.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		require.Contains(t, response.Header.Get("WWW-Authenticate"), "DPoP error=")
	})
}

// What an API learns is up to its owner.
func TestClaimsOfAPIs(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	require.Error(t, a.server.AddAPI(helseidtest.API{}))
	require.NoError(t, a.server.AddAPI(helseidtest.API{Name: "nhn:test-api", Claims: []string{"helseid://claims/hpr/hpr_number"}}))
	require.NoError(t, a.server.AddAPI(helseidtest.API{Name: "nhn:other-api", Claims: []string{}}))
	token := a.tokens(t, a.push(t))
	claims := claimsOf(t, token.AccessToken)
	require.Contains(t, claims, "helseid://claims/hpr/hpr_number")
	require.NotContains(t, claims, "helseid://claims/identity/pid")
	r := a.refresh(t, token.RefreshToken)
	r.form.Set("resource", "nhn:other-api")
	claims = claimsOf(t, a.send(t, r).AccessToken)
	require.NotContains(t, claims, "helseid://claims/hpr/hpr_number")
	require.NotContains(t, claims, "name")
	require.NotEmpty(t, claims["sub"])
}

// A token of an access token's lifetime is refused by userinfo when it is over.
func TestUserInfoAfterExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newLoginAsker(t)
		token := a.tokens(t, a.push(t))
		wait(10*time.Minute - time.Second)
		status, _ := a.userInfo(t, "GET", "DPoP", token.AccessToken, nil)
		require.Equal(t, http.StatusOK, status)
		wait(time.Second)
		status, _ = a.userInfo(t, "GET", "DPoP", token.AccessToken, nil)
		require.Equal(t, http.StatusUnauthorized, status)
	})
}
