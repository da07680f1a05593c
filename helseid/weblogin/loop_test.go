package weblogin_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
)

const circles = "Innloggingen går i ring"

// follow goes where the browser is sent, logging in on the way, until it is shown a
// page.
func (b *browser) follow(path string) (shown page, logins int) {
	b.Helper()
	for range 100 {
		answer := b.get(path, header("Sec-Fetch-Site", "cross-site"))
		if answer.StatusCode != http.StatusSeeOther {
			return answer, logins
		}
		path = answer.Header.Get("Location")
		if strings.HasPrefix(path, b.server.Issuer()) {
			path = b.authenticate(path)
			logins++
		}
	}
	require.Fail(b, "the browser is sent round for ever")
	return page{}, 0
}

// lossyStore loses the sessions that it says it has saved.
type lossyStore struct{ helseid.Store }

func (s *lossyStore) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	if strings.HasPrefix(key, "session-") {
		return true, nil
	}
	return s.Store.Save(ctx, key, session)
}

// droppingJar is a browser that does not keep some cookies.
type droppingJar struct {
	http.CookieJar
	drops func(name string) bool
}

func (j *droppingJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	var kept []*http.Cookie
	for _, cookie := range cookies {
		if !j.drops(cookie.Name) {
			kept = append(kept, cookie)
		}
	}
	j.CookieJar.SetCookies(u, kept)
}

// If no login leads to a page, for whatever reason, an error page says what is wrong.
func TestLoop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page   string
		change func(*browser)
		why    weblogin.Loop
		says   string
	}{
		"a store that loses what is written": {"/me", func(b *browser) { b.process(&lossyStore{b.store}) }, weblogin.LoopEnded, "blir avsluttet med en gang"},
		"a browser that keeps no session":    {"/me", func(b *browser) { b.drop(func(name string) bool { return name == sessionCookie }) }, weblogin.LoopNoCookie, "informasjonskapselen"},
		"two applications with one cookie": {"/me", func(b *browser) {
			inner := b.web
			b.change = func(c *weblogin.Config) { c.Application = "another" }
			b.start()
			mux := http.NewServeMux()
			b.web.Mount(mux)
			mux.Handle("/me", inner.Require(http.NotFound))
			b.server.Mount(host, mux)
		}, weblogin.LoopOtherApplication, "annen tjeneste"},
		"processes that do not agree on the age": {"/me", func(b *browser) {
			b.logIn("/login")
			b.get("/me")
			inner := b.web
			testkit.Sleep(2 * time.Minute)
			b.change = func(c *weblogin.Config) { c.MaxSessionAge = time.Minute }
			b.start()
			mux := http.NewServeMux()
			inner.Mount(mux)
			mux.Handle("/me", b.web.Require(http.NotFound))
			b.server.Mount(host, mux)
		}, weblogin.LoopTooOld, "klokken kan gå feil"},
		"a page that always demands a login": {"/call", func(b *browser) {
			b.handler = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, b.web.LoginURL(r.URL.Path, 0), http.StatusSeeOther)
			}
		}, weblogin.LoopPage, "ber likevel om en ny innlogging"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				b := w.newBrowser()
				test.change(b)
				shown, logins := b.follow(test.page)
				requireProblem(t, shown, http.StatusBadRequest, circles)
				require.Contains(t, shown.body, test.says)
				require.LessOrEqual(t, logins, 6)
				require.Contains(t, w.logged.String(), "kind=loop")
				require.Contains(t, w.logged.String(), "the last session")

				// The user can try again, and a cured problem does not come back.
				if test.why == weblogin.LoopEnded {
					w.process(w.store)
					shown, _ = b.follow(test.page)
					require.Equal(t, grevling, shown.body)
				} else {
					shown, again := b.follow(test.page)
					requireProblem(t, shown, http.StatusBadRequest, circles)
					require.Positive(t, again)
				}
			})
		})
	}
}

// drop makes the browser one that does not keep some cookies.
func (b *browser) drop(drops func(name string) bool) {
	jar, err := cookiejar.New(nil)
	require.NoError(b, err)
	b.jar = &droppingJar{jar, drops}
}

// A browser that keeps no cookie at all gets to no second login.
func TestNoCookies(t *testing.T) {
	t.Parallel()
	b := newWorld(t, nil).newBrowser()
	b.drop(func(name string) bool { return strings.HasPrefix(name, "__Host-helseid") })
	shown, logins := b.follow("/me")
	requireProblem(t, shown, http.StatusBadRequest, expired)
	require.Equal(t, 1, logins)
}

// Sessions whose lifetime HelseID does not tell, or tells to be none, are sessions.
func TestNoLoopWithoutALifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.server.AlterTokenResponse(func(response map[string]any) { response["rt_expires_in"] = 0 })
	shown, logins := w.newBrowser().follow("/me")
	require.Equal(t, grevling, shown.body)
	require.Equal(t, 1, logins)
}

// A level that HelseID never tells ends at a page.
func TestNoLoopWithoutALevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.server.AlterIDTokens(mint.Claim("helseid://claims/identity/security_level", nil))
	shown, logins := w.newBrowser().follow("/secret/7")
	requireProblem(t, shown, http.StatusForbidden, "Innloggingen er ikke sterk nok")
	require.LessOrEqual(t, logins, 2)
}

// Frequent logins are no loop if each leads to a page.
func TestManyLoginsAreNoLoop(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(*browser){
		"a page":   func(b *browser) { require.Equal(b, grevling, b.get("/me").body) },
		"a stream": func(b *browser) { require.Equal(b, "ab", b.get("/call").body) },
		"a script": func(b *browser) { require.Equal(b, grevling, b.get("/me", header("Sec-Fetch-Mode", "cors")).body) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.handler = func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, "a")
				_ = http.NewResponseController(rw).Flush()
				_, _ = io.WriteString(rw, "b")
			}
			b := w.newBrowser()
			for range 8 {
				b.logIn("/login")
				show(b)
			}
		})
	}
	// Without one they are told after a few.
	b := newWorld(t, nil).newBrowser()
	for range 5 {
		b.logIn("/login")
	}
	requireProblem(t, b.get("/login"), http.StatusBadRequest, circles)
	b.logIn("/login")
}
