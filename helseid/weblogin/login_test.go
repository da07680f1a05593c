package weblogin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	require.Equal(t, "nobody", b.who())

	login := b.get("/me?tab=2").location(t)
	require.Equal(t, "/login?return_to=%2Fme%3Ftab%3D2", login)
	started := b.get(login)
	cookie := started.Cookies()[0]
	require.True(t, strings.HasPrefix(cookie.Name, sessionCookie+"-login-"))
	require.Equal(t, 900, cookie.MaxAge)
	requireSafe(t, cookie)
	require.Equal(t, "no-referrer", started.Header.Get("Referrer-Policy"))

	ended := b.get(b.authenticate(started.location(t)))
	require.Equal(t, "/me?tab=2", ended.location(t))
	for _, cookie := range ended.Cookies() {
		requireSafe(t, cookie)
	}
	require.Empty(t, b.loginCookies(), "the login's cookie is taken back")
	require.Len(t, b.cookie(sessionCookie), 32, "an identifier, and nothing else")
	answer := b.get("/me")
	require.Equal(t, grevling, answer.body)
	require.Equal(t, "Cookie", answer.Header.Get("Vary"))
	require.Equal(t, grevling, b.who())
	require.Equal(t, "nobody", w.newBrowser().who())
}

// requireSafe checks what a browser is told about a cookie.
func requireSafe(t testing.TB, cookie *http.Cookie) {
	t.Helper()
	require.True(t, strings.HasPrefix(cookie.Name, "__Host-"))
	require.True(t, cookie.Secure)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Equal(t, "/", cookie.Path)
	require.Empty(t, cookie.Domain)
}

// What cannot be redirected to a page is told to log in.
func TestLoginRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.setCookie(sessionCookie, "x")
	for name, test := range map[string]struct {
		method  string
		changes []func(*http.Request)
		status  int
	}{
		"a page":               {"GET", nil, 303},
		"an older browser":     {"GET", []func(*http.Request){header("Sec-Fetch-Mode", "")}, 303},
		"a script":             {"GET", []func(*http.Request){header("Sec-Fetch-Mode", "cors")}, 401},
		"an image":             {"GET", []func(*http.Request){header("Sec-Fetch-Mode", "no-cors")}, 401},
		"a program":            {"GET", []func(*http.Request){header("Sec-Fetch-Mode", ""), header("Accept", "application/json")}, 401},
		"an older script":      {"GET", []func(*http.Request){header("Sec-Fetch-Mode", ""), header("X-Requested-With", "XMLHttpRequest")}, 401},
		"a form":               {"POST", nil, 401},
		"a form of another":    {"POST", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403},
		"one of a sister site": {"POST", []func(*http.Request){header("Sec-Fetch-Site", "same-site")}, 403},
		"an older browser's form": {"POST", []func(*http.Request){
			header("Sec-Fetch-Site", ""), header("Origin", "https://evil.example"),
		}, 403},
		"its own form, behind a proxy": {"POST", []func(*http.Request){
			header("Sec-Fetch-Site", ""), header("Origin", origin), func(r *http.Request) { r.Host = "internal:8080" },
		}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := w.newBrowser().send(test.method, "/me", test.changes...)
			require.Equal(t, test.status, answer.StatusCode, answer.body)
		})
	}
	script := w.newBrowser().get("/me", header("Sec-Fetch-Mode", "cors"), header("Accept", "application/json"))
	require.JSONEq(t, `{"status":401,"reason":"login_required","login":"/login?return_to=%2Fme"}`, script.body)
	require.Equal(t, "application/problem+json", script.Header.Get("Content-Type"))
}

// Logins are not started by what a page loads.
func TestLoginIsForPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	answer := w.newBrowser().get("/login", header("Sec-Fetch-Mode", "no-cors"))
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().send("POST", "/login").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().send("POST", "/callback").StatusCode)
	require.Empty(t, w.server.Requests(helseidtest.EndpointPAR))
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login", asElg())
	require.Equal(t, elg, b.who())
	first := b.cookie(sessionCookie)

	login := b.get("/secret/7?x=1").location(t)
	require.Equal(t, "/login?level=4&return_to=%2Fsecret%2F7%3Fx%3D1", login)
	script := b.get("/secret/7", header("Sec-Fetch-Mode", "cors"), header("Accept", "*/*"))
	require.Equal(t, http.StatusForbidden, script.StatusCode)
	require.Contains(t, script.body, "level_too_low")

	// The user comes back as weak as before, and is told so.
	weak := b.get(b.authenticate(b.begin(login), asElg()))
	requireProblem(t, weak, http.StatusForbidden, "Innloggingen er ikke sterk nok")
	require.Contains(t, weak.body, `href="/login?level=4&amp;prompt=login&amp;return_to=%2Fsecret%2F7%3Fx%3D1"`)
	require.Equal(t, elg, b.who(), "the session stays")
	require.Equal(t, first, b.cookie(sessionCookie))

	// Somebody else steps up in the user's place.
	other := b.get(b.authenticate(b.begin(login)))
	requireProblem(t, other, http.StatusForbidden, "Feil bruker")
	require.Contains(t, other.body, "prompt=login")
	require.Equal(t, elg, b.who())

	require.Equal(t, "/secret/7?x=1", b.logIn(login+"&prompt=login", asElg(), helseidtest.AtLevel(4)))
	require.NotEqual(t, first, b.cookie(sessionCookie))
	require.Equal(t, elg, b.get("/secret/7").body)

	// A query asks for more, never for less.
	strict := newWorld(t, func(c *weblogin.Config) { c.Login.SecurityLevel = 4 })
	answer := strict.newBrowser()
	requireProblem(t, answer.get(answer.authenticate(answer.begin("/login?level=3"), asElg())), http.StatusForbidden, "Innloggingen er ikke sterk nok")
	require.Equal(t, "/login?level=4&return_to=%2F", w.web.LoginURL("//evil.example", 4))
}

// An API's challenge leads to a login if one helps, and to no other.
func TestStepUpForAnAPI(t *testing.T) {
	t.Parallel()
	const demand = `DPoP error="insufficient_user_authentication", `
	for name, test := range map[string]struct {
		level     int // of the user
		status    int
		challenge string
		age       time.Duration
		location  string // empty: the page goes on
	}{
		"a higher level":             {3, 401, demand + `acr_values="Level4"`, 0, "/login?level=4&return_to=%2Fcall%3Fx%3D1"},
		"the same level":             {4, 401, demand + `acr_values="Level4"`, 0, ""},
		"a lower level":              {4, 401, demand + `acr_values="Level3"`, 0, ""},
		"an old login":               {4, 401, demand + `max_age=300`, 10 * time.Minute, "/login?prompt=login&return_to=%2Fcall%3Fx%3D1"},
		"a login that is young":      {4, 401, demand + `max_age=300`, 4 * time.Minute, ""},
		"a login at once":            {4, 401, demand + `max_age=0`, 2 * time.Minute, "/login?prompt=login&return_to=%2Fcall%3Fx%3D1"},
		"a login at once, just done": {4, 401, demand + `max_age=0`, 30 * time.Second, ""},
		"nothing in particular":      {3, 401, demand, time.Hour, ""},
		"another error":              {3, 401, `DPoP error="invalid_token", acr_values="Level4"`, 0, ""},
		"another status":             {3, 200, demand + `acr_values="Level4"`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.handler = func(rw http.ResponseWriter, r *http.Request) {
					answer := &http.Response{StatusCode: test.status, Header: http.Header{"Www-Authenticate": {test.challenge}}}
					if !w.web.StepUp(rw, r, answer) {
						_, _ = io.WriteString(rw, "goes on")
					}
				}
				b := w.newBrowser()
				b.logIn("/login", helseidtest.AtLevel(test.level))
				testkit.Sleep(test.age)
				page := b.get("/call?x=1")
				if test.location == "" {
					require.Equal(t, "goes on", page.body)
					return
				}
				require.Equal(t, test.location, page.location(t))
				script := b.get("/call", header("Sec-Fetch-Mode", "cors"), header("Accept", "*/*"))
				require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, script.StatusCode)
				require.Contains(t, script.body, `"login":"/login?`)
				require.NotContains(t, script.body, "goes on")
			})
		})
	}
	// Without a session there is nobody to step up.
	w := newWorld(t, nil)
	answer := &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {demand + `acr_values="Level4"`}}}
	recorder := httptest.NewRecorder()
	require.False(t, w.web.StepUp(recorder, httptest.NewRequest(http.MethodGet, "/", nil), answer))
	require.Empty(t, recorder.Header())
}

func TestProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	cancelled := b.get(b.authenticate(b.begin("/login?return_to=/me"), helseidtest.Cancelled()))
	requireProblem(t, cancelled, http.StatusForbidden, "Innloggingen ble avbrutt")
	require.Contains(t, cancelled.body, `href="/login?return_to=%2Fme"`)
	require.Empty(t, b.loginCookies())

	for name, test := range map[string]struct {
		fault  helseidtest.Fault
		status int
		title  string
	}{
		"down at the start":    {helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Times: -1, Status: 503}, 503, "Tjenesten er ikke tilgjengelig akkurat nå"},
		"down at the end":      {helseidtest.Fault{Endpoint: helseidtest.EndpointToken, Times: -1, Status: 503}, 503, "Tjenesten er ikke tilgjengelig akkurat nå"},
		"refused at the start": {helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Times: -1, Status: 400, Body: `{"error":"invalid_client"}`}, 500, "Innloggingen mislyktes"},
		"refused at the end":   {helseidtest.Fault{Endpoint: helseidtest.EndpointToken, Times: -1, Status: 400, Body: `{"error":"invalid_grant"}`}, 400, "Innloggingen mislyktes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.client.TokenRetries = -1
			w.start()
			b := w.newBrowser()
			atStart := test.fault.Endpoint == helseidtest.EndpointPAR
			if !atStart {
				target := b.begin("/login")
				w.server.Inject(test.fault)
				requireProblem(t, b.get(b.authenticate(target)), test.status, test.title)
			} else {
				w.server.Inject(test.fault)
				answer := b.get("/login")
				requireProblem(t, answer, test.status, test.title)
				require.Equal(t, test.status == 503, answer.Header.Get("Retry-After") != "")
			}
			require.Empty(t, b.cookie(sessionCookie))
			w.server.ClearFaults()
			b.logIn("/login")
		})
	}
}

func TestSamePerson(t *testing.T) {
	t.Parallel()
	var err error
	w := newWorld(t, func(c *weblogin.Config) {
		c.SamePerson = func(_ context.Context, r *http.Request, user identity.User) error {
			require.Equal(t, "/callback", r.URL.Path)
			require.Equal(t, grevling, user.Name)
			return err
		}
	})
	b := w.newBrowser()
	b.logIn("/login")
	first := b.cookie(sessionCookie)

	err = errors.New("she is " + mint.DefaultPersonalIdentityNumber)
	answer := b.get(b.authenticate(b.begin("/login")))
	requireProblem(t, answer, http.StatusForbidden, "Feil bruker")
	require.Contains(t, answer.body, "prompt=login", "HelseID would send the same person again")

	err = fmt.Errorf("the register: %w", helseid.ErrUnavailable)
	requireProblem(t, b.get(b.authenticate(b.begin("/login"))), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
	require.Equal(t, first, b.cookie(sessionCookie))
	require.Equal(t, grevling, b.who())
}

// T175: a session ends so long after the user has authenticated.
func TestT175SessionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *weblogin.Config) { c.MaxSessionAge = 2 * time.Hour })
		b := w.newBrowser()
		b.logIn("/login")
		testkit.Sleep(time.Hour)
		b.logIn("/login")
		testkit.Sleep(time.Hour - time.Second)
		require.Equal(t, grevling, b.who(), "of the same authentication")
		id := b.cookie(sessionCookie)
		testkit.Sleep(time.Second)
		require.Equal(t, "nobody", b.who())
		require.Empty(t, b.cookie(sessionCookie))
		_, err := mustClient(w).Sessions().Get(t.Context(), id)
		require.ErrorIs(t, err, helseid.ErrLoginRequired, "it has ended for everybody")
		synctest.Wait() // HelseID is told in the background
		require.Len(t, w.server.Requests(helseidtest.EndpointRevocation), 2)

		// HelseID's own session is as old: it is not made use of.
		before := time.Now()
		b.logIn(b.get("/me").location(t))
		require.Equal(t, grevling, b.who())
		testkit.Sleep(2*time.Hour - time.Second - time.Since(before))
		require.Equal(t, grevling, b.who())
	})
}

// Unless it is configured, a session ends after a working day.
func TestSessionEndsAfterEightHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newWorld(t, nil).newBrowser()
		start := time.Now()
		b.logIn("/login")
		testkit.Sleep(8*time.Hour - time.Second - time.Since(start))
		require.Equal(t, grevling, b.who())
		testkit.Sleep(time.Second)
		require.Equal(t, "nobody", b.who())
	})
}

// A HelseID that gives an old login all the same does not send the browser round
// in circles.
func TestOldLoginIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ limit, age time.Duration }{
		"just":     {time.Minute, 60 * time.Second},
		"long ago": {2 * time.Hour, 3 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *weblogin.Config) { c.MaxSessionAge = test.limit })
			w.server.AlterIDTokens(mint.Claim("auth_time", time.Now().Add(-test.age).Unix()))
			b := w.newBrowser()
			answer := b.get(b.authenticate(b.begin("/login")))
			requireProblem(t, answer, http.StatusForbidden, "Innloggingen er ikke lenger gyldig")
			require.Contains(t, answer.body, "prompt=login")
		})
	}
}

func mustClient(w *world) *helseid.Client {
	client, err := helseid.New(w.client)
	require.NoError(w, err)
	w.Cleanup(client.Close)
	return client
}

// On plain http, which is for loopback only, the cookies are what such a browser
// takes, and their names keep ports apart.
func TestLoopback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	config := w.server.NewClient(helseidtest.RedirectURI("http://localhost:8080/signed-in"))
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	web, err := weblogin.New(weblogin.Config{Client: client})
	require.NoError(t, err)
	mux := http.NewServeMux()
	web.Mount(mux)
	w.server.Mount("localhost:8080", mux)
	b := w.newBrowser()
	answer := b.get("https://localhost:8080/login")
	cookie := answer.Cookies()[0]
	require.True(t, strings.HasPrefix(cookie.Name, "helseid-session-8080-login-"), cookie.Name)
	require.False(t, cookie.Secure)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	callback, err := w.server.LogIn(answer.location(t))
	require.NoError(t, err)
	require.Equal(t, "/signed-in", callback.Path)
	callback.Scheme = "https"
	ended := b.get(callback.String())
	require.Equal(t, "/", ended.location(t))
	require.Equal(t, "helseid-session-8080", ended.Cookies()[1].Name)
}

// A client whose store keeps nothing answers that it is down, not that nobody is
// logged in.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	broken := newBreakable(w.store)
	w.client.Store = broken
	w.start()
	b := w.newBrowser()
	b.logIn("/login")
	target := b.begin("/login")
	callback := b.authenticate(target)
	broken.broken.Store(true)
	for _, path := range []string{"/", "/me", "/login", callback} {
		requireProblem(t, b.get(path), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
	}
	broken.broken.Store(false)
	require.Equal(t, "/", b.get(callback).location(t), "the login was still good")
	broken.broken.Store(true)
	requireProblem(t, b.send("POST", "/logout"), http.StatusServiceUnavailable, "Du er logget ut her")
	require.Empty(t, b.cookie(sessionCookie))
	require.Equal(t, http.StatusSeeOther, w.newBrowser().get("/login").StatusCode, "a login can be started")
	require.NotContains(t, w.logged.String(), "secret of the store")
}

func TestLoginURLParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	sent := func(path string) url.Values {
		b.begin(path)
		requests := w.server.Requests(helseidtest.EndpointPAR)
		return requests[len(requests)-1].Form
	}
	require.Equal(t, "25920", sent("/login").Get("max_age"))
	require.Empty(t, sent("/login").Get("prompt"))
	require.Empty(t, sent("/login?prompt=none").Get("prompt"))
	require.Empty(t, sent("/login?level=x&level=5").Get("acr_values"))
	require.Equal(t, "login", sent("/login?prompt=login").Get("prompt"))
	require.Equal(t, "Level4", sent("/login?level=4").Get("acr_values"))
}
