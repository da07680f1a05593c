package weblogin_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// T175: a logout by GET changes nothing, one by POST ends all.
func TestT175Logout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	id := b.cookie(sessionCookie)
	for _, method := range []string{"GET", "HEAD"} {
		answer := b.send(method, "/logout")
		require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
		require.Equal(t, "POST", answer.Header.Get("Allow"))
	}
	require.Equal(t, grevling, b.who())

	target := b.send("POST", "/logout").location(t)
	parsed, err := url.Parse(target)
	require.NoError(t, err)
	require.Equal(t, w.server.Issuer()+"/connect/endsession", parsed.Scheme+"://"+parsed.Host+parsed.Path)
	require.NotEmpty(t, parsed.Query().Get("id_token_hint"))
	next, err := w.server.LogOut(target, helseidtest.InBrowser(b.jar))
	require.NoError(t, err)
	require.Equal(t, origin+"/", next.String())
	require.Empty(t, b.cookie(sessionCookie))
	b.setCookie(sessionCookie, id)
	require.Equal(t, "nobody", b.who(), "the id is worth nothing any more")
	require.Len(t, w.server.Requests(helseidtest.EndpointRevocation), 1)
	require.Equal(t, "/", b.send("POST", "/logout").location(t), "there is nothing to end")
}

// CSRF: other sites' pages cannot log users out.
func TestLogoutFromAnotherSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	for name, changes := range map[string][]func(*http.Request){
		"another site":     {header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")},
		"a sister site":    {header("Sec-Fetch-Site", "same-site"), header("Origin", "https://other.example.no")},
		"an older browser": {header("Sec-Fetch-Site", ""), header("Origin", "https://evil.example")},
		"a hidden origin":  {header("Sec-Fetch-Site", ""), header("Origin", "null")},
		"plain http":       {header("Sec-Fetch-Site", ""), header("Origin", "http://other.example.no")},
	} {
		t.Run(name, func(t *testing.T) {
			requireProblem(t, b.send("POST", "/logout", changes...), http.StatusForbidden, "Forespørselen ble avvist")
			require.Equal(t, grevling, b.who())
		})
	}
	b.send("POST", "/logout", header("Sec-Fetch-Site", ""), header("Origin", origin)).location(t)
	require.Equal(t, "nobody", b.who())
}

// The session ends here although HelseID does not answer.
func TestLogoutWhileDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	id := b.cookie(sessionCookie)
	w.client.TokenRetries = -1
	w.start() // without metadata in memory
	w.server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Times: -1, Status: 404})
	requireProblem(t, b.send("POST", "/logout"), http.StatusServiceUnavailable, "Du er logget ut her")
	require.Empty(t, b.cookie(sessionCookie))
	b.setCookie(sessionCookie, id)
	require.Equal(t, "nobody", b.who())
}

// HelseID's word that a user has logged out elsewhere counts where it is mounted.
func TestSingleLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *weblogin.Config) {
		c.BackChannelLogoutPath, c.FrontChannelLogoutPath = "/back-channel", "/front-channel"
	})
	b := w.newBrowser()
	require.Equal(t, http.StatusBadRequest, b.send("POST", "/back-channel", header("Sec-Fetch-Site", "")).StatusCode)
	require.Equal(t, http.StatusBadRequest, b.get("/front-channel").StatusCode)

	b.logIn("/login")
	client := mustClient(w)
	session, err := client.Sessions().Get(t.Context(), b.cookie(sessionCookie))
	require.NoError(t, err)
	answer := b.get("/front-channel?" + url.Values{"iss": {w.server.Issuer()}, "sid": {session.User().SessionID}}.Encode())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "nobody", b.who())
}

func TestSingleLogoutIsNotMountedUnasked(t *testing.T) {
	t.Parallel()
	b := newWorld(t, nil).newBrowser()
	for _, path := range []string{"/back-channel", "/front-channel"} {
		require.Equal(t, http.StatusNotFound, b.get(path).StatusCode)
	}
}
