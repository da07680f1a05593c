package weblogin_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
)

// A session ends at its maximum age and when it is unused for too long, even if a handler
// has kept it, and the application is told which of the two was the cause.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*weblogin.Config)
		cause  helseid.EndCause
	}{
		"age":                    {func(c *weblogin.Config) { c.MaxSessionAge = 30 * time.Minute }, helseid.EndedByAge},
		"age, of the login":      {func(c *weblogin.Config) { c.Login.MaxSessionAge = 30 * time.Minute }, helseid.EndedByAge},
		"idle":                   {func(c *weblogin.Config) { c.IdleTimeout = 10 * time.Minute }, helseid.EndedByIdleness},
		"idle, of the login":     {func(c *weblogin.Config) { c.Login.IdleTimeout = 10 * time.Minute }, helseid.EndedByIdleness},
		"an age that was longer": {nil, helseid.EndedByAge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				told := &events{}
				w := newWorld(t, func(c *weblogin.Config) {
					c.OnEvent = told.tell
					if test.change != nil {
						test.change(c)
					}
				})
				b := w.newBrowser()
				b.logIn("/login")
				login := told.take()[0]
				var held *helseid.Session
				w.handler = func(_ http.ResponseWriter, r *http.Request) { held = weblogin.Session(r.Context()) }
				b.get("/call")
				for range 3 {
					testkit.Sleep(9 * time.Minute)
					require.Equal(t, grevling, b.who(), "it is used")
				}
				require.Empty(t, told.take())
				testkit.Sleep(10 * time.Minute)
				if test.change == nil {
					w.change = func(c *weblogin.Config) { c.OnEvent, c.MaxSessionAge = told.tell, 30*time.Minute }
					w.start()
				} else {
					_, err := held.Token(t.Context(), helseid.TokenRequest{})
					require.ErrorIs(t, err, helseid.ErrSessionExpired)
				}
				require.Equal(t, "nobody", b.who())
				require.Equal(t, "nobody", b.who())
				require.Equal(t, []weblogin.Event{{
					Kind: weblogin.EventSessionExpired, Cause: test.cause, Application: redirectURI + " helseid-session",
					Subject: login.Subject, SessionID: login.SessionID, SecurityLevel: login.SecurityLevel,
				}}, told.take())
			})
		})
	}
}

// An authentication time in the future says nothing about an age.
func TestAuthenticatedInTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		now := time.Now()
		for ahead, want := range map[time.Duration]string{4 * time.Minute: grevling, 6 * time.Minute: "nobody"} {
			w.server.AlterIDTokens(mint.Claim("auth_time", now.Add(ahead).Unix()))
			session, err := w.sessionOf()
			require.NoError(t, err)
			b := w.newBrowser()
			b.setCookie(sessionCookie, session.ID().Reveal())
			require.Equal(t, want, b.who())
		}
	})
}

// sessionOf makes a session of this application past its gates.
func (w *world) sessionOf() (*helseid.Session, error) {
	client := mustClient(w)
	login, err := client.StartLogin(w.Context(), helseid.LoginRequest{Application: redirectURI + " helseid-session", Scopes: []string{helseid.ScopeProfile}})
	require.NoError(w, err)
	callback, err := w.server.LogIn(login.URL)
	require.NoError(w, err)
	return client.FinishLogin(w.Context(), login.State, callback.Query())
}

// Contradictory or invalid limits are mistakes.
func TestSessionBoundsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, config := range []weblogin.Config{
		{IdleTimeout: -time.Second},
		{IdleTimeout: time.Millisecond},
		{IdleTimeout: time.Minute, Login: helseid.LoginRequest{IdleTimeout: time.Hour}},
		{MaxSessionAge: time.Minute, Login: helseid.LoginRequest{MaxSessionAge: time.Hour}},
		{MaxSessionAge: -time.Minute},
		{Login: helseid.LoginRequest{MaxSessionAge: time.Second}},
	} {
		config.Client = mustClient(w)
		_, err := weblogin.New(config)
		require.ErrorIs(t, err, weblogin.ErrConfig)
	}
}

// The application is told who ended a session.
func TestEventsOfLogouts(t *testing.T) {
	t.Parallel()
	for cause, end := range map[helseid.EndCause]func(w *world, b *browser, user weblogin.Event){
		helseid.EndedByUser: func(_ *world, b *browser, _ weblogin.Event) { b.send("POST", "/logout") },
		helseid.EndedByFrontChannel: func(w *world, b *browser, user weblogin.Event) {
			b.newBrowser().get("/front-channel?" + url.Values{"iss": {w.server.Issuer()}, "sid": {user.SessionID}}.Encode())
		},
		helseid.EndedByBackChannel: func(w *world, b *browser, user weblogin.Event) {
			token := w.server.LogoutToken(mint.Claim("sid", user.SessionID), mint.Claim("sub", user.Subject), mint.Claim("aud", w.client.ClientID))
			answer := b.newBrowser().send("POST", "/back-channel", func(r *http.Request) {
				r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
				r.Body = io.NopCloser(strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
			})
			require.Equal(w, http.StatusOK, answer.StatusCode)
		},
		helseid.EndedByApplication: func(w *world, b *browser, user weblogin.Event) {
			w.handler = func(_ http.ResponseWriter, r *http.Request) {
				assert.NoError(w, w.webClient.Sessions().EndOf(r.Context(), user.Subject))
			}
			b.get("/call")
		},
	} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			told := &events{}
			w := newWorld(t, func(c *weblogin.Config) {
				c.OnEvent = told.tell
				c.BackChannelLogoutPath, c.FrontChannelLogoutPath = "/back-channel", "/front-channel"
			})
			b := w.newBrowser()
			b.logIn("/login")
			login := told.take()[0]
			end(w, b, login)
			require.Equal(t, "nobody", b.who())
			require.Equal(t, []weblogin.Event{{
				Kind: weblogin.EventLogout, Cause: cause, Application: redirectURI + " helseid-session",
				Subject: login.Subject, SessionID: login.SessionID, SecurityLevel: login.SecurityLevel,
			}}, told.take())
		})
	}
}

// HelseID's word that reaches one application's path ends the sessions of the other
// too, of which each is told once: by its own application if that is in this process.
func TestEventsOfSeveralApplications(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	own, other := &events{}, &events{}
	w.change = func(c *weblogin.Config) { c.OnEvent, c.FrontChannelLogoutPath = own.tell, "/front-channel" }
	w.start()
	b := w.newBrowser()
	b.logIn("/login")
	login := own.take()[0]
	logout := "/front-channel?" + url.Values{"iss": {w.server.Issuer()}, "sid": {login.SessionID}}.Encode()
	_, err := weblogin.New(weblogin.Config{Client: w.webClient, Application: "another", OnEvent: other.tell})
	require.NoError(t, err)
	b.newBrowser().get(logout)
	require.Equal(t, []weblogin.EventKind{weblogin.EventLogout}, own.kinds())
	require.Empty(t, other.take())

	b.logIn("/login")
	login = own.take()[0]
	logout = "/front-channel?" + url.Values{"iss": {w.server.Issuer()}, "sid": {login.SessionID}}.Encode()
	w.change = func(c *weblogin.Config) {
		c.OnEvent, c.FrontChannelLogoutPath, c.Application = other.tell, "/front-channel", "another"
	}
	w.start() // the first application runs elsewhere now
	b.newBrowser().get(logout)
	require.Empty(t, own.take())
	told := other.take()
	require.Len(t, told, 1)
	require.Equal(t, redirectURI+" helseid-session", told[0].Application)
}

// A cancelled login is not logged as a warning.
func TestCancelledLoginIsNoWarning(t *testing.T) {
	t.Parallel()
	w, told := newEventWorld(t)
	b := w.newBrowser()
	b.get(b.authenticate(b.begin("/login"), helseidtest.Cancelled()))
	require.Equal(t, []weblogin.EventKind{weblogin.EventLoginCancelled}, told.kinds())
	require.NotContains(t, w.logged.String(), "level=WARN")
	require.Contains(t, w.logged.String(), `level=INFO msg="a request was refused" kind=cancelled`)
}

// A pause that HelseID asks for is passed on.
func TestRetryAfterIsPassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.client.TokenRetries = -1
	w.start()
	b := w.newBrowser()
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Status: 429, Header: http.Header{"Retry-After": {"77"}}, Times: 1})
	answer := b.get("/login")
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "77", answer.Header.Get("Retry-After"))
	w.start()
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Status: 503, Times: 1})
	require.Equal(t, "5", b.get("/login").Header.Get("Retry-After"))
}
