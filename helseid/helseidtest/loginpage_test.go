package helseidtest_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// page is a login page as one would write it: it shows the users, and takes
// their choice.
func page(t *testing.T) helseidtest.Option {
	return helseidtest.LoginPage(func(w http.ResponseWriter, r *http.Request, login *helseidtest.PendingLogin) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, login.ClientID, login.ClientName, login.Scopes, login.ACRValues, login.SecurityLevel, login.IdentityProvider, login.Prompt, len(login.Users()))
			return
		}
		var err error
		switch {
		case r.PostForm.Has("cancel"):
			err = login.Complete(w, r, helseidtest.Choice{Cancel: true})
		case r.PostForm.Has("bad"):
			require.Error(t, login.Complete(w, r, helseidtest.Choice{SecurityLevel: 5}))
			err = login.Complete(w, r, helseidtest.Choice{User: "somebody"})
		default:
			err = login.Complete(w, r, helseidtest.Choice{User: r.PostForm.Get("user"), SecurityLevel: 4, IdentityProvider: "buypass-oidc"})
			require.ErrorIs(t, login.Complete(w, r, helseidtest.Choice{Cancel: true}), helseidtest.ErrLoginEnded)
		}
		if err != nil {
			http.Error(w, "no", http.StatusTeapot)
		}
	})
}

// person is a browser that stops where the client's redirect URI begins.
func (a *asker) person(t testing.TB) *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := *a.http
	client.Jar = jar
	client.CheckRedirect = func(request *http.Request, _ []*http.Request) error {
		if request.URL.Path == "/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &client
}

func visit(t testing.TB, response *http.Response, err error) *http.Response {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestLoginPage(t *testing.T) {
	t.Parallel()
	for kind, options := range map[string][]helseidtest.Option{"in memory": {helseidtest.InMemory()}, "on loopback": {helseidtest.Path("/a")}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := newAsker(t, helseidtest.NewServer(t, append(options, page(t))...))
			a.register(t, loginClient())
			person := a.person(t)
			open := func(change func(url.Values)) *http.Response {
				r := a.push(t)
				r.form.Set("acr_values", "Level4 idp:idporten-oidc")
				change(r.form)
				response, err := person.Get(a.authorizeURL(a.send(t, r).RequestURI))
				return visit(t, response, err)
			}
			choose := func(at *url.URL, form url.Values) *http.Response {
				response, err := person.PostForm(at.String(), form)
				return visit(t, response, err)
			}
			nothing := func(url.Values) {}

			shown := open(func(form url.Values) { form.Set("scope", "openid"); form.Set("prompt", "login") })
			body := make([]byte, 500)
			n, _ := shown.Body.Read(body)
			require.Equal(t, clientID+"[openid] [Level4 idp:idporten-oidc] 4idporten-oidc[login] 3", string(body[:n]))
			require.Equal(t, "DENY", shown.Header.Get("X-Frame-Options"))

			at := open(nothing).Request.URL
			require.Equal(t, http.StatusTeapot, choose(at, url.Values{"bad": {"1"}}).StatusCode)
			back := choose(at, url.Values{"user": {helseidtest.ClinicianAtLevel3}})
			require.Equal(t, http.StatusFound, back.StatusCode)
			callback, err := back.Location()
			require.NoError(t, err)
			token := a.send(t, a.redeem(t, callback.Query().Get("code")))
			require.Empty(t, token.Description)
			claims := claimsOf(t, token.IDToken)
			require.Equal(t, helseidtest.ClinicianAtLevel3, claims["helseid://claims/identity/pid"])
			require.Equal(t, "4", claims["helseid://claims/identity/security_level"], "the user stepped up")
			require.Equal(t, "buypass-oidc", claims["idp"])
			require.Equal(t, http.StatusBadRequest, choose(at, url.Values{}).StatusCode, "a login ends once")

			// The next one is silent, unless the client wants it otherwise.
			silent := open(func(form url.Values) { form.Del("acr_values") })
			require.Equal(t, http.StatusFound, silent.StatusCode)
			at = open(func(form url.Values) { form.Set("prompt", "login") }).Request.URL
			callback, err = choose(at, url.Values{"cancel": {"1"}}).Location()
			require.NoError(t, err)
			require.Equal(t, "access_denied", callback.Query().Get("error"))

			// The page belongs to the browser.
			at = open(func(form url.Values) { form.Set("prompt", "login") }).Request.URL
			for _, other := range []*http.Client{a.person(t), a.http} {
				response, err := other.PostForm(at.String(), url.Values{})
				require.Equal(t, http.StatusBadRequest, visit(t, response, err).StatusCode)
			}
			stranger := a.person(t)
			r := a.push(t)
			response, err := stranger.Get(a.authorizeURL(a.send(t, r).RequestURI))
			require.NotEqual(t, at.String(), visit(t, response, err).Request.URL.String())
			response, err = stranger.PostForm(at.String(), url.Values{})
			require.Equal(t, http.StatusBadRequest, visit(t, response, err).StatusCode)

			// LogIn and test logins do without the page.
			require.NotEmpty(t, a.login(t, a.push(t)).Get("code"))
			unattended := open(func(form url.Values) {
				form.Set("acr_values", "idp:testidp-oidc")
				form.Set("test_pid", helseidtest.ClinicianAtLevel3)
				form.Set("test_security_level", "4")
			})
			callback, err = unattended.Location()
			require.NoError(t, err)
			claims = claimsOf(t, a.send(t, a.redeem(t, callback.Query().Get("code"))).IDToken)
			require.Equal(t, helseidtest.ClinicianAtLevel3, claims["helseid://claims/identity/pid"])
			require.Equal(t, "4", claims["helseid://claims/identity/security_level"])
			require.Equal(t, "testidp-oidc", claims["idp"])
		})
	}
}

func TestPendingLoginExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newLoginAsker(t, page(t))
		person := a.person(t)
		response, err := person.Get(a.authorizeURL(a.send(t, a.push(t)).RequestURI))
		at := visit(t, response, err).Request.URL.String()
		wait(10 * 60e9)
		response, err = person.PostForm(at, url.Values{})
		require.Equal(t, http.StatusBadRequest, visit(t, response, err).StatusCode)
	})
}

// Cookies are out of reach for scripts and other sites.
func TestCookies(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t, page(t))
	person := a.person(t)
	person.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := person.Get(a.authorizeURL(a.send(t, a.push(t)).RequestURI))
	response = visit(t, response, err)
	at, err := response.Location()
	require.NoError(t, err)
	answer, err := person.PostForm(at.String(), url.Values{"user": {helseidtest.ClinicianAtLevel3}})
	cookies := append(response.Cookies(), visit(t, answer, err).Cookies()...)
	require.Len(t, cookies, 2)
	for _, cookie := range cookies {
		require.True(t, cookie.HttpOnly)
		require.True(t, cookie.Secure)
		require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
		require.Equal(t, "/", cookie.Path)
	}
}
