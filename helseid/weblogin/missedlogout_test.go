package weblogin_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
)

// hiccup is a store that fails to load a session once.
type hiccup struct {
	helseid.Store
	due atomic.Bool
}

func (h *hiccup) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if len(key) > 8 && key[:8] == "session-" && h.due.CompareAndSwap(true, false) {
		return helseid.StoredRow{}, errors.New("timeout")
	}
	return h.Store.Load(ctx, key)
}

func newHiccupWorld(t *testing.T) (*world, *hiccup) {
	t.Helper()
	w := newWorld(t, nil)
	store := &hiccup{Store: w.store}
	w.client.Store = store
	w.start()
	return w, store
}

// A session whose store did not answer when it was to end has ended soon after,
// and the page leads to the logout at HelseID.
func TestLogoutWhileTheStoreFailsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, store := newHiccupWorld(t)
		b := w.newBrowser()
		b.logIn("/login")
		id := b.cookie(sessionCookie)
		store.due.Store(true)
		page := b.send("POST", "/logout")
		requireProblem(t, page, http.StatusServiceUnavailable, "Du er logget ut her")
		require.Contains(t, page.body, `href="`+w.server.Issuer()+`/connect/endsession?client_id=`)
		testkit.Sleep(time.Minute)
		b.setCookie(sessionCookie, id)
		require.Equal(t, "nobody", b.who())
		require.Len(t, w.server.Requests(helseidtest.EndpointRevocation), 1)
	})
}

func TestCallbackWhileTheStoreFailsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, store := newHiccupWorld(t)
		b := w.newBrowser()
		b.logIn("/login", asElg())
		old := b.cookie(sessionCookie)
		callback := b.authenticate(b.begin("/login"))
		store.due.Store(true)
		require.Equal(t, "/", b.get(callback).location(t))
		require.NotEqual(t, old, b.cookie(sessionCookie))
		testkit.Sleep(time.Minute)
		other := w.newBrowser()
		other.setCookie(sessionCookie, old)
		require.Equal(t, "nobody", other.who())
	})
}

// While DPoP keys change, a logout comes to a process that cannot use the session.
func TestLogoutAtAProcessWithAnotherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	id, key := b.cookie(sessionCookie), w.client.DPoPKey
	var err error
	w.client.DPoPKey, err = dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	w.start()
	require.Contains(t, b.send("POST", "/logout").location(t), "/connect/endsession?")
	w.client.DPoPKey = key
	w.start()
	b.setCookie(sessionCookie, id)
	require.Equal(t, "nobody", b.who())
}

// A login does not wait for the revocation of the session before it.
func TestSlowRevocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		b := w.newBrowser()
		b.logIn("/login", asElg())
		callback := b.authenticate(b.begin("/login"))
		w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointRevocation, Delay: time.Minute, Times: -1})
		start := time.Now()
		b.get(callback).location(t)
		require.Zero(t, time.Since(start))
	})
}

// What an application of the same client has let in at a lower level is not let in
// by one that requires a higher one.
func TestLevelOfTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	client, err := helseid.New(w.client)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	strict, err := weblogin.New(weblogin.Config{Client: client, CookieName: "strict", Login: helseid.LoginRequest{SecurityLevel: 4}})
	require.NoError(t, err)
	w.server.Mount("strict.example.no", strict.Require(func(http.ResponseWriter, *http.Request) { t.Error("let in") }))
	b := w.newBrowser()
	b.logIn("/login", asElg()) // level 3
	answer := w.newBrowser().get("https://strict.example.no/", header("Cookie", "__Host-strict="+b.cookie(sessionCookie)))
	require.Equal(t, "/login?level=4&return_to=%2F", answer.location(t))
}

// The URL of a callback holds a code: no page tells it to others.
func TestReferrerOfAnOwnErrorPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) {
		c.ErrorPage = func(rw http.ResponseWriter, _ *http.Request, problem weblogin.Problem) {
			rw.WriteHeader(problem.Status)
		}
		c.SamePerson = func(context.Context, *http.Request, identity.User) error { return errors.New("another") }
	})
	b := w.newBrowser()
	answer := b.get(b.authenticate(b.begin("/login")))
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
	require.Equal(t, "no-referrer", answer.Header.Get("Referrer-Policy"))
}
