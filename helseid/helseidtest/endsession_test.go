package helseidtest_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

func (a *asker) endSessionURL(pairs ...string) string {
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return a.server.Issuer() + "/connect/endsession?" + query.Encode()
}

func TestEndSessionRefusals(t *testing.T) {
	t.Parallel()
	const next, hint = "post_logout_redirect_uri", "id_token_hint"
	forClient := mint.Audience(clientID)
	for name, test := range map[string]struct {
		query func(s *helseidtest.Server) []string
		says  string // "" means that the browser is sent on
		rule  rule.Rule
	}{
		"good": {func(s *helseidtest.Server) []string { return []string{hint, s.IDToken(forClient), next, loggedOut} }, "", ""},
		"expired": {func(s *helseidtest.Server) []string {
			return []string{hint, s.IDToken(forClient, mint.Expired()), next, loggedOut}
		}, "", ""},
		"without a hint": {func(*helseidtest.Server) []string { return []string{next, loggedOut} },
			"needs an id_token_hint", rule.RedirectURI},
		"not registered": {func(s *helseidtest.Server) []string {
			return []string{hint, s.IDToken(forClient), next, loggedOut + "x"}
		},
			"not registered", rule.RedirectURI},
		"of an unknown client": {func(s *helseidtest.Server) []string { return []string{hint, s.IDToken(), next, loggedOut} },
			"not registered", rule.RedirectURI},
		"relative": {func(s *helseidtest.Server) []string { return []string{hint, s.IDToken(forClient), next, "/"} }, "absolute", ""},
		"signed by another": {func(s *helseidtest.Server) []string {
			return []string{hint, s.IDToken(forClient, mint.SignedWithUnknownKey()), next, loggedOut}
		}, "not signed by this server", ""},
		"an access token": {func(s *helseidtest.Server) []string { return []string{hint, s.Token(forClient), next, loggedOut} }, "not an ID token", ""},
		"no token":        {func(*helseidtest.Server) []string { return []string{hint, "x"} }, "compact", ""},
		"another issuer's": {func(s *helseidtest.Server) []string {
			return []string{hint, s.IDToken(forClient, mint.Claim("iss", "https://elsewhere.example.no"))}
		}, "issuer", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(options ...helseidtest.Option) (*url.URL, error) {
				a := newLoginAsker(t, options...)
				return a.server.LogOut(a.endSessionURL(test.query(a.server)...))
			}
			target, err := run()
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				require.Nil(t, target)
			} else {
				require.NoError(t, err)
				require.Equal(t, loggedOut, target.String())
			}
			if test.rule != "" {
				target, err = run(helseidtest.Relaxed(test.rule))
				require.NoError(t, err)
				require.NotNil(t, target)
			}
		})
	}
}

// Each client that took part in a session is told that it has ended.
func TestLogoutOfClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newLoginAsker(t)
		first := loginClient()
		first.BackChannelLogoutURI, first.FrontChannelLogoutURI = "https://app.example.no/back", "https://app.example.no/front?x=1"
		a.register(t, first)
		var tokens []string
		a.server.Mount("app.example.no", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/back", r.URL.Path)
			assert.Equal(t, "POST", r.Method)
			tokens = append(tokens, r.PostFormValue("logout_token"))
		}))
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		idToken := a.tokens(t, a.push(t), helseidtest.InBrowser(jar)).IDToken
		a.tokens(t, a.push(t), helseidtest.InBrowser(jar))
		id := claimsOf(t, idToken)

		request := httptest.NewRequest("GET", a.endSessionURL("id_token_hint", idToken, "post_logout_redirect_uri", loggedOut, "state", "s"), nil)
		response, err := a.http.Get(request.URL.String()) // by its hint, from a browser without a cookie
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Len(t, response.Cookies(), 1)
		require.Negative(t, response.Cookies()[0].MaxAge, "the cookie is taken back")
		page := new(strings.Builder)
		require.NoError(t, response.Write(page))
		require.Contains(t, page.String(), `<iframe src="https://app.example.no/front?iss=https%3A%2F%2Fhelseid.test&amp;sid=`+id["sid"].(string)+`&amp;x=1">`)
		require.Contains(t, response.Header.Get("Refresh"), "url="+loggedOut+"?state=s")

		require.Len(t, tokens, 1, "a client is told once, however often it logged in")
		header, claims := jws(t, tokens[0])
		require.Equal(t, "logout+jwt", header["typ"])
		now := float64(time.Now().Unix())
		require.NotEmpty(t, claims["jti"])
		delete(claims, "jti")
		require.Equal(t, map[string]any{
			"iss": a.server.Issuer(), "aud": clientID, "iat": now, "exp": now + 120, "sub": id["sub"], "sid": id["sid"],
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}, claims)

		r := a.push(t)
		r.form.Set("prompt", "none")
		require.Equal(t, "login_required", a.login(t, r, helseidtest.InBrowser(jar)).Get("error"))
		next, err := a.server.LogOut(request.URL.String())
		require.NoError(t, err)
		require.Equal(t, loggedOut+"?state=s", next.String(), "without a session there is nobody to tell")
		require.Len(t, tokens, 1)
	})
}

// A client that does not answer does not hold up the logout for long.
func TestLogoutOfADeadClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newLoginAsker(t)
		client := loginClient()
		client.BackChannelLogoutURI = "https://app.example.no/back"
		a.register(t, client)
		a.server.Mount("app.example.no", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		idToken := a.tokens(t, a.push(t)).IDToken
		start := time.Now()
		_, err := a.server.LogOut(a.endSessionURL("id_token_hint", idToken))
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// The browser is sent on at once, and only by GET and POST.
func TestEndSessionMethods(t *testing.T) {
	t.Parallel()
	a := newLoginAsker(t)
	client := a.person(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	form := url.Values{"id_token_hint": {a.server.IDToken(mint.Audience(clientID))}, "post_logout_redirect_uri": {loggedOut}}
	for method, status := range map[string]int{"GET": http.StatusFound, "POST": http.StatusFound, "PUT": http.StatusBadRequest} {
		target, body := a.endSessionURL(), form.Encode()
		if method == "GET" {
			target, body = target+body, ""
		}
		request, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := client.Do(request)
		require.Equal(t, status, visit(t, response, err).StatusCode, method)
	}
}
