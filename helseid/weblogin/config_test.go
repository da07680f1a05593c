package weblogin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

func TestConfigReportsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := weblogin.New(weblogin.Config{})
	require.ErrorIs(t, err, weblogin.ErrConfig)
	require.ErrorContains(t, err, "field Client is required")

	w := newWorld(t, nil)
	_, err = weblogin.New(weblogin.Config{
		Client:    mustClient(w),
		Login:     helseid.LoginRequest{SecurityLevel: 5, Scopes: []string{"a b"}},
		LoginPath: "login", LogoutPath: "/a/", HomePath: "//evil.example",
		MaxSessionAge: time.Millisecond, CookieName: "a=b", PostLogoutRedirectURI: "http://ehr.example.no/",
		BackChannelLogoutPath: "/{x}", FrontChannelLogoutPath: "/%61",
	})
	require.ErrorIs(t, err, weblogin.ErrConfig)
	require.ErrorIs(t, err, helseid.ErrConfig)
	for _, field := range []string{
		"SecurityLevel", "Scopes", "LoginPath", "LogoutPath", "HomePath", "MaxSessionAge", "CookieName", "PostLogoutRedirectURI",
		"BackChannelLogoutPath", "FrontChannelLogoutPath",
	} {
		require.ErrorContains(t, err, "field "+field)
	}
	for name, config := range map[string]weblogin.Config{
		"login is logout":   {LoginPath: "/x", LogoutPath: "/x"},
		"login is callback": {LoginPath: "/callback"},
		"front is back":     {BackChannelLogoutPath: "/x", FrontChannelLogoutPath: "/x"},
		"no callback path":  {Login: helseid.LoginRequest{RedirectURI: "https://ehr.example.no"}},
		"root as callback":  {Login: helseid.LoginRequest{RedirectURI: "https://ehr.example.no/"}},
		"escaped callback":  {Login: helseid.LoginRequest{RedirectURI: "https://ehr.example.no/a%2Fb"}},
		"home is login":     {HomePath: "/login"},
		"home is logout":    {HomePath: "/logout?x=1"},
		"home is callback":  {HomePath: "/callback"},
		"prefix of its own": {CookieName: "__Host-x"},
		"plain http":        {Login: helseid.LoginRequest{RedirectURI: "http://ehr.example.no/callback"}},
	} {
		t.Run(name, func(t *testing.T) {
			config.Client = mustClient(w)
			_, err := weblogin.New(config)
			require.ErrorIs(t, err, weblogin.ErrConfig)
		})
	}
}

func TestPathsAndHooks(t *testing.T) {
	t.Parallel()
	var seen []weblogin.Problem
	w := newWorld(t, func(c *weblogin.Config) {
		c.LoginPath, c.LogoutPath, c.HomePath, c.CookieName = "/in", "/out", "/start?x=1", "mine"
		c.PostLogoutRedirectURI = origin + "/"
		c.ErrorPage = func(rw http.ResponseWriter, _ *http.Request, problem weblogin.Problem) {
			seen = append(seen, problem)
			rw.WriteHeader(problem.Status)
		}
	})
	b := w.newBrowser()
	require.Equal(t, "/in?return_to=%2Fme", b.get("/me").location(t))
	require.Equal(t, "/start?x=1", b.logIn("/in"))
	require.NotEmpty(t, b.cookie("__Host-mine"))
	require.Equal(t, http.StatusBadRequest, b.get("/callback").StatusCode)
	require.Equal(t, []weblogin.Problem{{
		Kind: weblogin.KindExpired, Status: 400, LoginURL: "/in?return_to=%2Fstart%3Fx%3D1", HomeURL: "/start?x=1",
	}}, seen)
	b.send("POST", "/out").location(t)
}

// A handler outside of the guards has no session.
func TestSessionOutsideOfGuards(t *testing.T) {
	t.Parallel()
	require.Nil(t, weblogin.Session(httptest.NewRequest(http.MethodGet, "/", nil).Context()))
}
