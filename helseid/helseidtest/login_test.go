package helseidtest_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
)

// A whole life: login, tokens, refresh, userinfo, logout.
func TestLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newLoginAsker(t)
		callback := a.login(t, a.push(t))
		require.Equal(t, "the-state", callback.Get("state"))
		require.Equal(t, a.server.Issuer(), callback.Get("iss"))
		require.NotEmpty(t, callback.Get("session_state"))
		require.Len(t, callback, 4)

		first := a.send(t, a.redeem(t, callback.Get("code")))
		require.Empty(t, first.Description)
		require.Equal(t, http.StatusOK, first.status)
		require.Equal(t, "DPoP", first.TokenType)
		require.Equal(t, a.push(t).form.Get("scope"), first.Scope)
		require.Equal(t, 8*3600, first.RefreshExpiresIn)

		header, id := jws(t, first.IDToken)
		require.Equal(t, "JWT", header["typ"])
		require.Equal(t, "RS256", header["alg"])
		require.NotEmpty(t, header["kid"])
		now := float64(time.Now().Unix())
		for name, want := range map[string]any{
			"iss": a.server.Issuer(), "aud": clientID, "iat": now, "nbf": now, "exp": now + 300, "auth_time": now,
			"sub": "0bq1hVF0yNRmqvCD6xLlwuYJ5vDOEgqUhpC8/xsm+mQ=", "idp": "testidp-oidc", "amr": []any{"pwd"}, "nonce": "the-nonce",
			"at_hash": b64(sha256Sum(first.AccessToken)[:16]), "s_hash": b64(sha256Sum("the-state")[:16]),
			"name": "KVART GREVLING", "given_name": "KVART", "middle_name": "", "family_name": "GREVLING",
			"helseid://claims/identity/pid":            mint.DefaultPersonalIdentityNumber,
			"helseid://claims/identity/security_level": "4",
			"helseid://claims/hpr/hpr_number":          mint.DefaultHPRNumber,
		} {
			require.Equal(t, want, id[name], name)
		}
		require.NotEmpty(t, id["sid"])
		require.Len(t, id, 20, "and no claim whose scope was not asked for")

		access := claimsOf(t, first.AccessToken)
		require.Equal(t, []any{"nhn:test-api", "nhn:other-api"}, access["aud"])
		require.Equal(t, clientID, access["client_id"])
		for _, name := range []string{"sub", "sid", "idp", "amr", "auth_time", "name", "helseid://claims/identity/pid"} {
			require.Equal(t, id[name], access[name], name)
		}
		require.Equal(t, "high", access["helseid://claims/identity/assurance_level"])
		require.Equal(t, "internett", access["helseid://claims/identity/network"])
		require.Equal(t, mint.DefaultParentOrganization, access["helseid://claims/client/claims/orgnr_parent"])
		require.Equal(t, map[string]any{"jkt": thumbprint(t, a.dpopKey)}, access["cnf"])

		testkit.Sleep(10 * time.Minute)
		narrow := a.refresh(t, first.RefreshToken)
		narrow.form.Set("resource", "nhn:other-api")
		second := a.send(t, narrow)
		require.Empty(t, second.Description)
		require.NotEqual(t, first.RefreshToken, second.RefreshToken)
		require.Equal(t, 8*3600-600, second.RefreshExpiresIn, "it is counted from the login")
		access = claimsOf(t, second.AccessToken)
		require.Equal(t, "nhn:other-api", access["aud"])
		require.NotContains(t, access["scope"], testScope)
		again := claimsOf(t, second.IDToken)
		for _, name := range []string{"sub", "sid", "auth_time", "aud", "idp", "helseid://claims/identity/security_level"} {
			require.Equal(t, id[name], again[name], name)
		}
		require.NotContains(t, again, "nonce")
		require.NotContains(t, again, "s_hash")
		require.Equal(t, b64(sha256Sum(second.AccessToken)[:16]), again["at_hash"])

		status, info := a.userInfo(t, "GET", "DPoP", second.AccessToken, nil)
		require.Equal(t, http.StatusOK, status, info)
		require.Equal(t, id["sub"], info["sub"])
		require.InDelta(t, float64(time.Now().Unix()), info["userinfo_issued_at"], 0)
		details := info["helseid://claims/hpr/hpr_details"].(map[string]any)
		require.InDelta(t, 565505933, details["hpr_number"], 0)
		require.Equal(t, false, details["no_hpr_number"])
		require.Equal(t, "LE", details["approvals"].([]any)[0].(map[string]any)["profession"])

		next, err := a.server.LogOut(a.server.Issuer() + "/connect/endsession?" + url.Values{
			"id_token_hint": {first.IDToken}, "post_logout_redirect_uri": {loggedOut}, "state": {"s"},
		}.Encode())
		require.NoError(t, err)
		require.Equal(t, loggedOut+"?state=s", next.String())
	})
}

// A browser stays logged in until it logs out, or the client wants a new login.
func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newLoginAsker(t)
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		again := func(change func(url.Values), options ...helseidtest.LoginOption) (url.Values, map[string]any) {
			testkit.Sleep(10 * time.Second)
			r := a.push(t)
			change(r.form)
			callback := a.login(t, r, append(options, helseidtest.InBrowser(jar))...)
			if callback.Get("error") != "" {
				return callback, nil
			}
			answer := a.send(t, a.redeem(t, callback.Get("code")))
			require.Empty(t, answer.Description)
			return callback, claimsOf(t, answer.IDToken)
		}
		with := func(name, value string) func(url.Values) { return func(form url.Values) { form.Set(name, value) } }
		nothing := func(url.Values) {}

		callback, _ := again(with("prompt", "none"))
		require.Equal(t, "login_required", callback.Get("error"))
		require.Equal(t, "the-state", callback.Get("state"))
		require.Equal(t, a.server.Issuer(), callback.Get("iss"))

		_, first := again(nothing, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
		require.Equal(t, "3", first["helseid://claims/identity/security_level"])
		for _, silent := range []func(url.Values){nothing, with("prompt", "none"), with("prompt", "consent"), with("max_age", "60"), with("acr_values", "idp:testidp-oidc")} {
			_, claims := again(silent)
			require.Equal(t, first["sub"], claims["sub"])
			require.Equal(t, first["sid"], claims["sid"])
			require.Equal(t, first["auth_time"], claims["auth_time"])
		}
		for _, anew := range []func(url.Values){with("prompt", "login"), with("prompt", "select_account"), with("max_age", "0"), with("max_age", "9"), with("acr_values", "Level4")} {
			_, claims := again(anew, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
			require.Equal(t, first["sid"], claims["sid"], "the same user keeps the session")
			require.InDelta(t, float64(time.Now().Unix()), claims["auth_time"], 0)
			require.Equal(t, "3", claims["helseid://claims/identity/security_level"])
		}
		callback, _ = again(func(form url.Values) { form.Set("prompt", "none"); form.Set("acr_values", "Level4") })
		require.Equal(t, "login_required", callback.Get("error"))
		_, unattended := again(func(form url.Values) {
			form.Set("acr_values", "idp:testidp-oidc")
			form.Set("test_pid", mint.DefaultPersonalIdentityNumber)
		})
		require.Equal(t, mint.DefaultPersonalIdentityNumber, unattended["helseid://claims/identity/pid"], "another user than the browser's")
		_, other := again(with("prompt", "login"), helseidtest.AsUser(helseidtest.PersonWithoutHPRNumber))
		require.NotEqual(t, first["sid"], other["sid"])
		require.NotEqual(t, first["sub"], other["sub"])
		require.NotContains(t, other, "helseid://claims/hpr/hpr_number")
		callback, _ = again(with("prompt", "login"), helseidtest.Cancelled())
		require.Equal(t, "access_denied", callback.Get("error"))

		next, err := a.server.LogOut(a.server.Issuer()+"/connect/endsession", helseidtest.InBrowser(jar))
		require.NoError(t, err)
		require.Nil(t, next)
		callback, _ = again(with("prompt", "none"))
		require.Equal(t, "login_required", callback.Get("error"))
	})
}
