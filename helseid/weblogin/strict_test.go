package weblogin_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/weblogin"
)

// strictJar is a browser's that keeps cookies back from requests that another site has
// begun, if they are SameSite=Strict.
type strictJar struct {
	http.CookieJar
	strict    map[string]bool
	crossSite bool
}

func (j *strictJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		j.strict[cookie.Name] = cookie.SameSite == http.SameSiteStrictMode
	}
	j.CookieJar.SetCookies(u, cookies)
}

func (j *strictJar) Cookies(u *url.URL) []*http.Cookie {
	return slices.DeleteFunc(j.CookieJar.Cookies(u), func(cookie *http.Cookie) bool { return j.crossSite && j.strict[cookie.Name] })
}

// strictBrowser is one that observes SameSite=Strict.
type strictBrowser struct {
	*browser
	jar *strictJar
}

func (w *world) newStrictBrowser() *strictBrowser {
	b := w.newBrowser()
	jar := &strictJar{CookieJar: b.jar, strict: make(map[string]bool)}
	b.jar = jar
	return &strictBrowser{b, jar}
}

func (b *strictBrowser) leaveHelseID() {
	b.browser.leaveHelseID()
	b.jar.CookieJar, b.browser.jar = b.browser.jar, b.jar
}

// led goes where another site leads it.
func (b *strictBrowser) led(target string) page {
	b.Helper()
	b.jar.crossSite = true
	defer func() { b.jar.crossSite = false }()
	return b.get(target, header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Dest", "document"))
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)">`)

// onward is where a page leads that goes on by itself, without a script.
func (p page) onward(t testing.TB) string {
	t.Helper()
	require.Equal(t, http.StatusOK, p.StatusCode, p.body)
	found := refresh.FindStringSubmatch(p.body)
	require.Len(t, found, 2, p.body)
	require.NotContains(t, p.body, "<script")
	require.Contains(t, p.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Equal(t, "no-referrer", p.Header.Get("Referrer-Policy"))
	target := html.UnescapeString(found[1])
	require.True(t, strings.HasPrefix(target, "/"), target)
	return target
}

// With SameSite=Strict a login ends well, and the session before it is seen as with Lax.
func TestStrictLogin(t *testing.T) {
	t.Parallel()
	told := &events{}
	w := newWorld(t, func(c *weblogin.Config) { c.SameSiteStrict, c.OnEvent = true, told.tell })
	b := w.newStrictBrowser()
	callback := b.authenticate(b.begin("/login?return_to=/me"), asElg())
	next := b.led(callback).onward(t)
	require.Empty(t, b.cookie(sessionCookie), "nothing has happened yet")
	requireLeads(t, b.get(next), "/me")
	require.True(t, b.jar.strict[sessionCookie])
	require.False(t, b.jar.strict[sessionCookie+"-visit"])
	require.Equal(t, elg, b.get("/me").body)
	told.take()

	// The next user's login ends the session of the one before.
	first := b.cookie(sessionCookie)
	b.leaveHelseID()
	callback = b.authenticate(b.begin("/login"))
	requireLeads(t, b.get(b.led(callback).onward(t)), "/")
	require.Equal(t, grevling, b.who())
	require.Equal(t, []weblogin.EventKind{weblogin.EventLogout, weblogin.EventUserChanged, weblogin.EventLogin}, told.kinds())
	b.setCookie(sessionCookie, first)
	require.Equal(t, "nobody", b.who())
}

// A link on another site does not change who is logged in, whatever it says, and leads
// on to the page.
func TestStrictLinkFromAnotherSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) { c.SameSiteStrict = true })
	b := w.newStrictBrowser()
	b.get(b.led(b.authenticate(b.begin("/login"), asElg())).onward(t))
	b.leaveHelseID() // where another user is logged in
	id := b.cookie(sessionCookie)
	stranger := w.newStrictBrowser().led("/login?return_to=/me").onward(t)
	for _, link := range []string{"/login?return_to=/me", stranger, "/login?return_to=/me&again=1", "/login?return_to=/me&again="} {
		requireLeads(t, b.get(b.led(link).onward(t)), "/me")
		require.Equal(t, elg, b.get("/me").body)
		require.Equal(t, id, b.cookie(sessionCookie))
	}
	require.Contains(t, b.led("/me").location(t), "/login?", "by way of the login path")
	require.Equal(t, "nobody", b.led("/").body)
	require.Equal(t, elg, b.who())
}

// Whoever keeps no cookies is not sent round for ever.
func TestStrictWithoutCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) { c.SameSiteStrict = true })
	next := w.newStrictBrowser().led("/login").onward(t)
	require.Contains(t, w.newStrictBrowser().led(next).location(t), "/connect/authorize?")
}

// A page goes on by itself only where it must.
func TestStrictOnlyFromOtherSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) { c.SameSiteStrict = true })
	for _, site := range []string{"same-origin", "same-site", "none"} {
		require.Contains(t, w.newBrowser().get("/login", header("Sec-Fetch-Site", site)).location(t), "/connect/authorize?", site)
	}
	w.newBrowser().get("/login", header("Sec-Fetch-Site", "")).onward(t) // an older browser does not say
	w.change = nil
	w.start()
	require.Contains(t, w.newBrowser().get("/login", header("Sec-Fetch-Site", "cross-site")).location(t), "/connect/authorize?")
}
