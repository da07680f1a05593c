package weblogin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
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

// events are those that the application has been told.
type events struct {
	mu   sync.Mutex
	told []weblogin.Event
}

func (e *events) tell(_ context.Context, event weblogin.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, event)
}

// kinds returns what has been told since the last time.
func (e *events) kinds() (kinds []weblogin.EventKind) {
	for _, event := range e.take() {
		kinds = append(kinds, event.Kind)
	}
	return kinds
}

func (e *events) take() []weblogin.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.told
	e.told = nil
	return told
}

func newEventWorld(t testing.TB) (*world, *events) {
	told := &events{}
	return newWorld(t, func(c *weblogin.Config) { c.OnEvent = told.tell }), told
}

// A session of one application is none at another of the same client, however they
// differ, and cannot be ended there.
func TestSessionOfAnotherApplication(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*weblogin.Config){
		"another name":         func(c *weblogin.Config) { c.Application = "another" },
		"another redirect URI": func(c *weblogin.Config) { c.Login.RedirectURI = origin + "/other/callback" },
		"another cookie":       func(c *weblogin.Config) { c.CookieName = "another" },
		"the login's name":     func(c *weblogin.Config) { c.Login.Application = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			b := w.newBrowser()
			b.logIn("/login")
			id := b.cookie(sessionCookie)
			w.change = func(c *weblogin.Config) {
				change(c)
				c.SamePerson = func(context.Context, *http.Request, identity.User) error { return errors.New("nobody") }
			}
			w.start()
			cookie := sessionCookie
			if name == "another cookie" {
				cookie = "__Host-another"
			}
			with := header("Cookie", cookie+"="+id)
			other := w.newBrowser()
			require.Equal(t, "nobody", other.get("/", with).body)
			require.Contains(t, other.get("/me", with).location(t), "/login?")
			require.Equal(t, http.StatusUnauthorized, other.send("POST", "/me", with).StatusCode)
			require.Contains(t, other.send("POST", "/logout", with).location(t), "/connect/endsession?client_id=")

			w.change = nil
			w.start()
			require.Equal(t, grevling, b.who(), "it lives where it was made")
		})
	}
}

// A session without an application, from an earlier version or made with the client
// directly, is not accepted anywhere.
func TestSessionWithoutApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	client := mustClient(w)
	login, err := client.StartLogin(t.Context(), helseid.LoginRequest{})
	require.NoError(t, err)
	callback, err := w.server.LogIn(login.URL)
	require.NoError(t, err)
	session, err := client.FinishLogin(t.Context(), login.State, callback.Query())
	require.NoError(t, err)
	b := w.newBrowser()
	b.setCookie(sessionCookie, session.ID().Reveal())
	require.Equal(t, "nobody", b.who())
}

// The name is the same in all processes and for ever, and two that share it are one
// application.
func TestApplicationOfTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	session, err := mustClient(w).Sessions().Get(t.Context(), b.cookie(sessionCookie))
	require.NoError(t, err)
	require.Equal(t, redirectURI+" helseid-session", session.Application())
	w.change = func(c *weblogin.Config) {
		c.Application, c.Login.RedirectURI = session.Application(), origin+"/elsewhere"
	}
	w.start()
	require.Equal(t, grevling, b.who())
	for _, config := range []weblogin.Config{
		{Application: "a", Login: helseid.LoginRequest{Application: "b"}}, {Application: "æ"}, {Application: strings.Repeat("x", 513)},
	} {
		config.Client = mustClient(w)
		_, err := weblogin.New(config)
		require.ErrorIs(t, err, weblogin.ErrConfig)
		require.ErrorContains(t, err, "Application")
	}
}

// Optional ignores a session below the level of the configuration.
func TestOptionalBelowTheLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login", asElg()) // level 3
	id := b.cookie(sessionCookie)
	w.change = func(c *weblogin.Config) { c.Login.SecurityLevel = 4 }
	w.start()
	require.Equal(t, "nobody", b.who())
	require.Equal(t, id, b.cookie(sessionCookie), "the cookie stays, to step up from")
	b.logIn(b.get("/me").location(t), asElg(), helseidtest.AtLevel(4))
	require.Equal(t, elg, b.who())
}

// Another user cannot take the session over by a step-up, whatever it is for.
func TestStepUpIsTheSamePersons(t *testing.T) {
	t.Parallel()
	const demand = `DPoP error="insufficient_user_authentication", `
	for name, test := range map[string]struct{ path, challenge string }{
		"a level":                {"/secret/7", ""},
		"a new login":            {"/login?prompt=login&return_to=/me", ""},
		"a level that there is":  {"/login?level=3&return_to=/me", ""},
		"an API's level":         {"/call", demand + `acr_values="Level4"`},
		"an API's assurance":     {"/call", demand + `acr_values="High"`},
		"an API's age":           {"/call", demand + `max_age=300`},
		"an API's login at once": {"/call", demand + `max_age=0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, told := newEventWorld(t)
				w.handler = func(rw http.ResponseWriter, r *http.Request) {
					if !w.web.StepUp(rw, r, &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {test.challenge}}}) {
						_, _ = io.WriteString(rw, "goes on")
					}
				}
				b := w.newBrowser()
				b.logIn("/login", asElg())
				testkit.Sleep(10 * time.Minute)
				login := test.path
				if !strings.HasPrefix(login, "/login") {
					login = b.get(login).location(t)
				}
				first := b.cookie(sessionCookie)
				told.take()
				b.leaveHelseID()
				requireProblem(t, b.get(b.authenticate(b.begin(login))), http.StatusForbidden, "Feil bruker")
				require.Equal(t, first, b.cookie(sessionCookie))
				require.Equal(t, elg, b.who())
				failed := told.take()
				require.Len(t, failed, 1)
				require.Equal(t, weblogin.EventLoginFailed, failed[0].Kind)
				require.Equal(t, weblogin.KindWrongPerson, failed[0].Problem)
				require.NotEmpty(t, failed[0].Subject)

				b.leaveHelseID()
				b.logIn(login, asElg(), helseidtest.AtLevel(4))
				require.Equal(t, []weblogin.EventKind{weblogin.EventStepUp}, told.kinds())
				require.Equal(t, elg, b.who())

				// Another user has the machine after a logout.
				b.send("POST", "/logout").location(t)
				b.leaveHelseID()
				b.logIn(login)
				require.Equal(t, grevling, b.who())
				require.Equal(t, []weblogin.EventKind{weblogin.EventLogout, weblogin.EventLogin}, told.kinds())
			})
		})
	}
}

// Another site does not change who is logged in.
func TestLoginFromAnotherSite(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"another site":         header("Sec-Fetch-Site", "cross-site"),
		"a sister site":        header("Sec-Fetch-Site", "same-site"),
		"another program":      header("Sec-Fetch-Site", "none"),
		"an older browser":     header("Sec-Fetch-Site", ""),
		"a value that is none": header("Sec-Fetch-Site", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, told := newEventWorld(t)
			b := w.newBrowser()
			b.logIn("/login", asElg())
			told.take()
			id := b.cookie(sessionCookie)
			for range 3 {
				require.Equal(t, "/me", b.get("/login?return_to=/me", change).location(t))
				require.Equal(t, elg, b.get("/me", change).body)
			}
			// Nor when it comes twice in a row, or requires more.
			for _, path := range []string{"/login?return_to=/me", "/login?return_to=/me", "/login?level=4", "/login?prompt=login", "/login?level=4&prompt=login"} {
				answer := b.get(path, change)
				if target := answer.location(t); target != "/me" {
					b.leaveHelseID()
					requireProblem(t, b.get(b.authenticate(target)), http.StatusForbidden, "Feil bruker")
				}
				require.Equal(t, id, b.cookie(sessionCookie))
			}
			require.Equal(t, elg, b.who())
			require.NotContains(t, told.kinds(), weblogin.EventUserChanged)
		})
	}
}

// A link on another site to a page whose session must be renewed leads there.
func TestLinkToAPageThatDemandsALogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	used := ""
	w.handler = func(rw http.ResponseWriter, r *http.Request) {
		session := weblogin.Session(r.Context())
		if session.ID().Reveal() == used {
			http.Redirect(rw, r, w.web.LoginURL("/call", 0), http.StatusSeeOther)
			return
		}
		_, _ = io.WriteString(rw, session.User().Name)
	}
	b := w.newBrowser()
	b.logIn("/login")
	used = b.cookie(sessionCookie)
	shown, logins := b.follow("/call")
	require.Equal(t, grevling, shown.body)
	require.Equal(t, 1, logins)
}

// If another user logs in by the application's own link, that is reported.
func TestUserChanges(t *testing.T) {
	t.Parallel()
	w, told := newEventWorld(t)
	b := w.newBrowser()
	b.logIn("/login", asElg())
	first := told.take()
	require.Len(t, first, 1)
	require.Equal(t, weblogin.EventLogin, first[0].Kind)
	require.NotEmpty(t, first[0].SessionID)
	require.EqualValues(t, 3, first[0].SecurityLevel)

	b.leaveHelseID()
	b.logIn("/login")
	require.Equal(t, grevling, b.who())
	second := told.take()
	require.Len(t, second, 3)
	require.Equal(t, weblogin.EventLogout, second[0].Kind)
	require.Equal(t, helseid.EndedByLogin, second[0].Cause)
	require.Equal(t, first[0].Subject, second[0].Subject)
	second = second[1:]
	require.Equal(t, weblogin.EventUserChanged, second[0].Kind)
	require.Equal(t, first[0].Subject, second[0].PreviousSubject)
	require.NotEqual(t, first[0].Subject, second[0].Subject)
	require.Equal(t, weblogin.EventLogin, second[1].Kind)

	// So is a user who logs in while another user's login is under way.
	callback := b.authenticate(b.begin("/login"))
	b.send("POST", "/logout").location(t)
	b.leaveHelseID()
	b.logIn("/login", asElg())
	require.NotContains(t, told.kinds(), weblogin.EventUserChanged)
	requireLeads(t, b.get(callback), "/")
	require.Equal(t, elg, b.who(), "the login was given up with the logout")

	b.leaveHelseID()
	b.get(b.authenticate(b.begin("/login"), helseidtest.Cancelled()))
	require.Equal(t, []weblogin.EventKind{weblogin.EventLoginCancelled}, told.kinds())
	b.newBrowser().get("/callback?state=x&code=x")
	require.Empty(t, told.kinds(), "anybody can send that")
	for _, event := range append(first, second...) {
		require.NotRegexp(t, identityNumber, fmt.Sprintf("%+v", event))
	}
}

// leaveHelseID makes the browser forget its session at HelseID, so that the test chooses
// the next user.
func (b *browser) leaveHelseID() {
	jar, err := cookiejar.New(nil)
	require.NoError(b, err)
	at := &url.URL{Scheme: "https", Host: host, Path: "/"}
	for _, cookie := range b.jar.Cookies(at) {
		jar.SetCookies(at, []*http.Cookie{{Name: cookie.Name, Value: cookie.Value, Path: "/", Secure: true}})
	}
	b.jar = jar
}

func requireLeads(t testing.TB, p page, target string) {
	t.Helper()
	require.Equal(t, target, p.location(t))
}

// The next person at a machine does not end a login that could not be ended.
func TestCallbackThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	down := helseidtest.Fault{Endpoint: helseidtest.EndpointToken, Times: -1, Status: http.StatusServiceUnavailable}
	for name, test := range map[string]struct {
		between func(*browser, string)
		good    bool
	}{
		"at once":       {func(*browser, string) {}, true},
		"soon":          {func(*browser, string) { testkit.Sleep(50 * time.Second) }, true},
		"a minute late": {func(*browser, string) { testkit.Sleep(60 * time.Second) }, false},
		"a minute after the first time": {func(b *browser, callback string) {
			testkit.Sleep(40 * time.Second)
			b.server.Inject(down)
			b.get(callback)
			b.server.ClearFaults()
			testkit.Sleep(20 * time.Second)
		}, false},
		"a few times": {func(b *browser, callback string) {
			b.server.Inject(down)
			b.get(callback)
			b.get(callback)
			b.server.ClearFaults()
		}, true},
		"too often": {func(b *browser, callback string) {
			b.server.Inject(down)
			for range 3 {
				b.get(callback)
			}
			b.server.ClearFaults()
		}, false},
		"after a logout": {func(b *browser, _ string) { b.send("POST", "/logout") }, false},
		"with the session of somebody else": {func(b *browser, _ string) {
			other := b.newBrowser()
			other.logIn("/login", asElg())
			b.setCookie(sessionCookie, other.cookie(sessionCookie))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.client.TokenRetries = -1
				w.start()
				b := w.newBrowser()
				callback := b.authenticate(b.begin("/login?return_to=/me"))
				cookie := b.loginCookies()[0]
				w.server.Inject(down)
				requireProblem(t, b.get(callback), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
				w.server.ClearFaults()
				kept := b.cookie(cookie)
				require.NotEmpty(t, kept)
				test.between(b, callback)
				if strings.Contains(name, "minute") {
					b.setCookie(cookie, kept) // also a browser that has kept it gets nowhere
				}
				sent := len(w.server.Requests(helseidtest.EndpointToken))
				answer := b.get(callback)
				if test.good {
					requireLeads(t, answer, "/me")
					require.Equal(t, grevling, b.who())
					return
				}
				if answer.StatusCode == http.StatusSeeOther {
					requireLeads(t, answer, "/")
				}
				require.NotEqual(t, grevling, b.who())
				require.Len(t, w.server.Requests(helseidtest.EndpointToken), sent, "nothing is sent")
			})
		})
	}
}

// If one browser finishes several logins at once, one session remains, and all answers
// lead to it.
func TestLoginsAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		logins int
		users  []helseidtest.LoginOption
		before bool
	}{
		"two tabs":                      {2, nil, false},
		"five tabs":                     {5, nil, false},
		"two tabs, with a session":      {2, nil, true},
		"two people in two of the tabs": {2, []helseidtest.LoginOption{helseidtest.AsUser(mint.DefaultPersonalIdentityNumber), asElg()}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			meeting := &browserMeeting{Store: w.store, size: test.logins, all: make(chan struct{})}
			w.client.Store = meeting
			watched := w.watch()
			b := w.newBrowser()
			if test.before {
				meeting.size = 1
				b.logIn("/login")
				meeting.size, meeting.came, meeting.all = test.logins, 0, make(chan struct{})
			}
			var callbacks []string
			for i := range test.logins {
				var user []helseidtest.LoginOption
				if test.users != nil {
					user = test.users[i : i+1]
					b.leaveHelseID()
				}
				callbacks = append(callbacks, b.authenticate(b.begin("/login?return_to=/me"), user...))
			}
			given := make([]string, test.logins)
			var all sync.WaitGroup
			for i, callback := range callbacks {
				all.Go(func() {
					request, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, callback, nil)
					request.Header.Set("Sec-Fetch-Mode", "navigate")
					for _, cookie := range b.jar.Cookies(request.URL) {
						request.AddCookie(cookie)
					}
					response, err := w.server.HTTPClient().Transport.RoundTrip(request)
					if err != nil || response.StatusCode != http.StatusSeeOther {
						return
					}
					for _, cookie := range response.Cookies() {
						if cookie.Name == sessionCookie {
							given[i] = cookie.Value
						}
					}
				})
			}
			all.Wait()
			require.Len(t, watched.keys("session-"), 1, "one session is in the store")
			require.NotContains(t, given, "")
			slices.Sort(given)
			given = slices.Compact(given)
			live := 0
			for _, id := range given {
				b.setCookie(sessionCookie, id)
				if b.who() != "nobody" {
					live++
				}
			}
			require.Equal(t, 1, live)
			if test.users == nil {
				require.Len(t, given, 1, "whichever answer comes last")
			} else {
				require.Len(t, given, 2, "nobody is given another's session")
			}
		})
	}
}

// browserMeeting lets all find that the browser has no other session.
type browserMeeting struct {
	helseid.Store
	mu   sync.Mutex
	size int
	came int
	all  chan struct{}
}

func (m *browserMeeting) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	row, err := m.Store.Load(ctx, key)
	if strings.HasPrefix(key, "weblogin-browser-") {
		m.mu.Lock()
		if m.came++; m.came == m.size {
			close(m.all)
		}
		all := m.all
		m.mu.Unlock()
		<-all
	}
	return row, err
}
