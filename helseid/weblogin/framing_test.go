package weblogin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/weblogin"
)

// No page of another site shows a guarded page in a frame, and no cache keeps it,
// whether anybody is logged in, and whatever policy its handler has.
func TestGuardedPagesAreNotFramed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	for range 2 {
		for _, path := range []string{"/", "/me", "/secret/1", "/login?return_to=/me", "/callback?state=x&code=x", "/logout"} {
			answer := b.get(path)
			require.Contains(t, answer.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
			require.Equal(t, "DENY", answer.Header.Get("X-Frame-Options"), path)
		}
		b.logIn("/login")
	}
	w.handler = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Security-Policy", "default-src 'self'")
		rw.WriteHeader(http.StatusOK)
	}
	answer := b.get("/call")
	require.Equal(t, []string{"default-src 'self'"}, answer.Header.Values("Content-Security-Policy"), "the handler's is left alone")
	require.Equal(t, "DENY", answer.Header.Get("X-Frame-Options"))

	// What a handler before this one has said holds too.
	outer := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.web.Optional(func(http.ResponseWriter, *http.Request) {}).ServeHTTP(rw, r)
	})
	w.server.Mount(host, outer)
	require.Equal(t, []string{"default-src 'self'", "frame-ancestors 'none'"}, b.get("/").Header.Values("Content-Security-Policy"))

	w.change = func(c *weblogin.Config) { c.AllowFraming = true }
	w.start()
	for _, path := range []string{"/", "/me"} {
		answer := b.get(path)
		require.Empty(t, answer.Header.Values("Content-Security-Policy"))
		require.Empty(t, answer.Header.Values("X-Frame-Options"))
	}
	require.Equal(t, "DENY", b.get("/login").Header.Get("X-Frame-Options"), "the login is not framed")
}

// A logout clears what the browser has kept of this origin, and of cookies those of
// this application alone.
func TestLogoutClearsSiteData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.setCookie("another", "x")
	b.logIn("/login")
	b.begin("/login?return_to=/me&level=4")
	require.NotEmpty(t, b.loginCookies())
	refused := b.send("POST", "/logout", header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example"))
	require.Empty(t, refused.Header.Values("Clear-Site-Data"), "another site clears nothing")
	answer := b.send("POST", "/logout")
	require.Equal(t, `"cache", "storage"`, answer.Header.Get("Clear-Site-Data"))
	require.Empty(t, b.cookie(sessionCookie))
	require.Empty(t, b.loginCookies())
	require.Equal(t, "x", b.cookie("another"))
	for _, path := range []string{"/", "/me", "/login"} {
		require.Empty(t, b.get(path).Header.Values("Clear-Site-Data"))
	}
}

// With the form no URL holds the ID token, and HelseID logs the user out anyway.
func TestLogoutForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) { c.LogoutForm = true })
	b := w.newBrowser()
	b.logIn("/login")
	id := b.cookie(sessionCookie)
	answer := b.sendRaw("POST", origin+"/logout", "")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	require.Empty(t, answer.Header.Get("Location"))
	action, fields := formOf(t, answer.body)
	require.Equal(t, w.server.Issuer()+"/connect/endsession", action)
	require.Regexp(t, jwsLike, fields.Get("id_token_hint"))
	require.Equal(t, w.client.ClientID, fields.Get("client_id"))
	policy := answer.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "script-src 'sha256-"+sha256Of(answer.body, "<script>", "</script>")+"'")
	require.NotContains(t, policy, "form-action", "Chromium would hold it against HelseID's redirects")
	require.NotContains(t, policy, "unsafe")
	next := b.sendRaw("POST", action, fields.Encode())
	require.Equal(t, origin+"/", next.Header.Get("Location"))
	b.setCookie(sessionCookie, id)
	require.Equal(t, "nobody", b.who())
	require.True(t, strings.HasPrefix(b.begin("/login"), w.server.Issuer()))

	// There is no ID token in the URL that HelseID is left with without a session.
	b.setCookie(sessionCookie, id)
	require.Contains(t, b.send("POST", "/logout").location(t), "/connect/endsession?client_id=")
}

// sendRaw sends a form and returns the answer, also one that holds an ID token.
func (b *browser) sendRaw(method, target, form string) page {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), method, target, strings.NewReader(form))
	require.NoError(b, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	client := b.server.HTTPClient()
	client.Jar = b.jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	require.NoError(b, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	return page{response, string(body)}
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)">`)
	formField  = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]+)">`)
)

// formOf reads the form of a page.
func formOf(t testing.TB, body string) (action string, fields url.Values) {
	t.Helper()
	found := formAction.FindStringSubmatch(body)
	require.Len(t, found, 2, body)
	fields = url.Values{}
	for _, field := range formField.FindAllStringSubmatch(body, -1) {
		fields.Add(field[1], html.UnescapeString(field[2]))
	}
	return html.UnescapeString(found[1]), fields
}

// sha256Of is the hash, for a policy, of what stands between two marks.
func sha256Of(body, from, to string) string {
	_, text, _ := strings.Cut(body, from)
	text, _, _ = strings.Cut(text, to)
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
