package weblogin_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
)

// recentPage is guarded by RequireRecent with five minutes, and strongPage by RequireLevel
// around that.
const (
	recentPage = "/sign"
	strongPage = "/sign/strongly"
)

func newRecentWorld(t testing.TB) (*world, *events) {
	w, told := newEventWorld(t)
	name := func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, weblogin.Session(r.Context()).User().Name)
	}
	recent := w.web.RequireRecent(5*time.Minute, name)
	mux := http.NewServeMux()
	w.web.Mount(mux)
	mux.Handle(recentPage, recent)
	mux.Handle(strongPage, w.web.RequireLevel(4, recent.ServeHTTP))
	mux.Handle("/me", w.web.Require(name))
	w.server.Mount(host, mux)
	return w, told
}

// A page that needs a recent login sends its user to a new one, and only then.
func TestRequireRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, told := newRecentWorld(t)
		b := w.newBrowser()
		shown, logins := b.follow(recentPage)
		require.Equal(t, grevling, shown.body)
		require.Equal(t, 1, logins, "a login that has just been is recent")
		testkit.Sleep(5*time.Minute - time.Second)
		require.Equal(t, grevling, b.get(recentPage).body)
		testkit.Sleep(time.Second)
		require.Equal(t, grevling, b.get("/me").body, "other pages need no recent one")

		// A script, or a form, cannot be sent to log in.
		require.Equal(t, http.StatusUnauthorized, b.get(recentPage, header("Sec-Fetch-Mode", "cors")).StatusCode)
		requireProblem(t, b.send("POST", recentPage), http.StatusUnauthorized, "Du er ikke logget inn")
		require.Equal(t, []weblogin.EventKind{weblogin.EventLogin}, told.kinds())

		// HelseID's own session is not enough, the level stays, and the same user comes back.
		target := b.begin(b.get(recentPage).location(t))
		sent := w.server.Requests(helseidtest.EndpointPAR)
		pushed := sent[len(sent)-1].Form
		require.Equal(t, "login", pushed.Get("prompt"))
		require.Equal(t, "0", pushed.Get("max_age"))
		require.Contains(t, pushed.Get("acr_values"), "Level4", "which the session has")
		require.Equal(t, recentPage, b.get(b.authenticate(target)).location(t))
		require.Equal(t, grevling, b.get(recentPage).body)
		require.Equal(t, []weblogin.EventKind{weblogin.EventStepUp}, told.kinds())
	})
}

// Another user cannot take the session over by the login of such a page.
func TestRecentLoginIsTheSamePersons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, told := newRecentWorld(t)
		b := w.newBrowser()
		b.logIn("/login", asElg())
		id := b.cookie(sessionCookie)
		testkit.Sleep(10 * time.Minute)
		login := b.get(recentPage).location(t)
		told.take()
		b.leaveHelseID()
		requireProblem(t, b.get(b.authenticate(b.begin(login))), http.StatusForbidden, "Feil bruker")
		require.Equal(t, id, b.cookie(sessionCookie))
		require.Equal(t, elg, b.get("/me").body)
		require.Equal(t, weblogin.KindWrongPerson, told.take()[0].Problem)
		b.leaveHelseID()
		require.Equal(t, recentPage, b.logIn(login, asElg()))
		require.Equal(t, elg, b.get(recentPage).body)
	})
}

// With a level, too, one login is enough if the level is there, and two are otherwise.
func TestRecentLoginAtALevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := newRecentWorld(t)
		b := w.newBrowser()
		shown, logins := b.follow(strongPage)
		require.Equal(t, grevling, shown.body)
		require.Equal(t, 1, logins)
		testkit.Sleep(10 * time.Minute)
		shown, logins = b.follow(strongPage)
		require.Equal(t, grevling, shown.body)
		require.Equal(t, 1, logins)

		weak := w.newBrowser()
		weak.logIn("/login", asElg())
		testkit.Sleep(10 * time.Minute)
		require.Equal(t, strongPage, weak.logIn(weak.get(strongPage).location(t), asElg(), helseidtest.AtLevel(4)))
		require.Equal(t, elg, weak.get(strongPage).body, "the login that raised the level is recent")
	})
}

// A login whose time HelseID does not tell is not recent, nor is one in the future, and
// neither leads round for ever.
func TestRecentLoginThatHelseIDDoesNotTell(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string]mint.TokenOption{
		"no time":  mint.Claim("auth_time", nil),
		"long ago": mint.Claim("auth_time", time.Now().Add(-time.Hour).Unix()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newRecentWorld(t)
			b := w.newBrowser()
			w.server.AlterIDTokens(alter)
			shown, logins := b.follow(recentPage)
			requireProblem(t, shown, http.StatusForbidden, expired)
			require.LessOrEqual(t, logins, 2)
		})
	}
	for name, at := range map[string]any{"a session without a time": nil, "a session of the future": time.Now().Add(2 * time.Minute).Unix()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newRecentWorld(t)
			w.server.AlterIDTokens(mint.Claim("auth_time", at))
			session, err := w.sessionOf()
			require.NoError(t, err)
			b := w.newBrowser()
			b.setCookie(sessionCookie, session.ID().Reveal())
			require.Equal(t, grevling, b.get("/me").body)
			require.Contains(t, b.get(recentPage).location(t), "prompt=login")
		})
	}
}

// A login takes time, so nothing below a minute can be met.
func TestRecentAgesThatCannotBeMet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, age := range []time.Duration{-1, 0, time.Minute - 1} {
		require.Panics(t, func() { w.web.RequireRecent(age, http.NotFound) }, age)
	}
	require.NotPanics(t, func() { w.web.RequireRecent(time.Minute, http.NotFound) })
	for name, guard := range map[string]func(){
		"Require":       func() { w.web.Require(nil) },
		"RequireLevel":  func() { w.web.RequireLevel(4, nil) },
		"RequireRecent": func() { w.web.RequireRecent(time.Hour, nil) },
		"Optional":      func() { w.web.Optional(nil) },
	} {
		require.Panics(t, guard, name)
	}
}
