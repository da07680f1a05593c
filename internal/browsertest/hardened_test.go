package browsertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// With a cookie that is SameSite=Strict a user logs in, and a link on another site
// leads to the page, as the one who is logged in.
func TestStrictCookie(t *testing.T) {
	w, b := newWorld(t, "-samesite-strict"), newBrowser(t)
	require.True(t, strings.HasPrefix(w.app, "http://localhost:"), w.app)
	require.True(t, strings.HasPrefix(w.issuer, "http://127.0.0.1:"), "which is another site: %s", w.issuer)
	b.open(w.app + "/me")
	b.user("STILLE BLÅ ELG")
	b.click("Logg inn")
	b.see("Min side")
	require.Equal(t, w.app+"/me", b.where())
	require.Equal(t, network.CookieSameSiteStrict, b.sameSite("helseid-session"))

	other := newOtherSite(t, `<a href="`+w.app+`/me">Til journalen</a>`)
	b.open(other)
	b.click("Til journalen")
	b.see("Min side")
	require.Equal(t, w.app+"/me", b.where())
	require.Contains(t, b.body(), "STILLE BLÅ ELG")
	b.click("Gå til siden som krever nivå 4")
	b.user("STILLE BLÅ ELG")
	b.run(chromedp.SetValue("#level", "4"))
	b.click("Logg inn")
	b.see("og kan se denne siden")
	b.click("Logg ut")
	b.see("Velkommen til Demojournal")
	b.open(w.app + "/me")
	b.see("ber deg om å logge inn")
}

// A logout by a form ends at the start page, and the session at HelseID has ended. The
// page before it clears what scripts have stored.
func TestLogoutForm(t *testing.T) {
	w, b := newWorld(t, "-logout-form"), newBrowser(t)
	b.open(w.app + "/me")
	b.user("KVART GREVLING")
	b.click("Logg inn")
	b.see("Min side")
	b.run(chromedp.Evaluate(`localStorage.setItem("patient", "x")`, nil))
	b.click("Logg ut")
	b.see("Velkommen til Demojournal")
	require.Equal(t, w.app+"/", b.where())
	var kept int
	b.run(chromedp.Evaluate(`localStorage.length`, &kept))
	require.Zero(t, kept)
	b.open(w.app + "/me")
	b.see("ber deg om å logge inn")
}

// Another site cannot show a page of weblogin's in a frame.
func TestFraming(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	other := newOtherSite(t, `<iframe src="`+w.app+`/logout" onload="document.title = 'loaded'"></iframe>`)
	b.open(other)
	b.run(chromedp.Poll(`document.title === "loaded"`, nil))
	b.mu.Lock()
	problems := strings.Join(b.problems, "\n")
	b.problems = nil
	b.mu.Unlock()
	require.Contains(t, problems, "frame-ancestors 'none'")
}

// newOtherSite is a page of another site than localhost, which the applications are on.
func newOtherSite(t *testing.T, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			return
		}
		_, _ = rw.Write([]byte("<!DOCTYPE html><title>another</title>" + body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// sameSite is the attribute of the cookie whose name starts so.
func (b *browser) sameSite(prefix string) (found network.CookieSameSite) {
	b.Helper()
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		cookies, err := network.GetCookies().Do(ctx)
		for _, cookie := range cookies {
			if strings.HasPrefix(cookie.Name, prefix) && !strings.Contains(cookie.Name, "visit") {
				found = cookie.SameSite
			}
		}
		return err
	}))
	return found
}

// A user who has logged in twice ends both sessions at once.
func TestEndAllSessions(t *testing.T) {
	w := newWorld(t)
	first, second := newBrowser(t), newBrowser(t)
	for _, b := range []*browser{first, second} {
		b.open(w.app + "/me")
		b.user("KVART GREVLING")
		b.click("Logg inn")
		b.see("Min side")
	}
	second.see("(denne)")
	second.click("Avslutt alle øktene")
	second.see("Velkommen til Demojournal")
	first.open(w.app + "/")
	first.see("Velkommen til Demojournal")
}
