package weblogin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// behindPrefix is an application of which a proxy takes the prefix /app off.
func behindPrefix(t *testing.T, change func(*weblogin.Config), prepare ...func(*world)) *browser {
	t.Helper()
	w := newWorld(t, nil)
	var err error
	w.client = w.server.NewClient(helseidtest.RedirectURI(origin+"/app/callback"), helseidtest.Scopes("nhn:test-api/read"))
	w.client.Store, w.client.DPoPKey = w.store, w.key
	for _, f := range prepare {
		f(w)
	}
	client, err := helseid.New(w.client)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	config := weblogin.Config{Client: client, PublicURL: origin + "/app", Login: helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile, helseid.ScopeSecurityLevel}}}
	if change != nil {
		change(&config)
	}
	web, err := weblogin.New(config)
	require.NoError(t, err)
	mux := http.NewServeMux()
	web.Mount(mux)
	mux.Handle("/journal", web.Require(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.URL.RequestURI()) }))
	mux.Handle("/link", web.Optional(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, web.LoginURL("/journal", 0)) }))
	application := httptest.NewServer(mux)
	t.Cleanup(application.Close)
	inner, err := url.Parse(application.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(inner)
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/app")
		r.Out.Host = host
	}}
	outside := http.NewServeMux()
	outside.Handle("/app/", proxy)
	w.server.Mount(host, outside)
	return w.newBrowser()
}

// Behind a proxy that takes a path prefix off, users land on the page that they came
// from, and every link and redirect leads below the prefix.
func TestBehindPrefix(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"lax": false, "strict": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := behindPrefix(t, func(c *weblogin.Config) { c.SameSiteStrict = strict })
			login := b.get("/app/journal?page=2").location(t)
			require.True(t, strings.HasPrefix(login, "/app/login?return_to=%2Fjournal%3Fpage%3D2"), login)
			target := b.begin(login)
			callback, err := b.server.LogIn(target, helseidtest.InBrowser(b.jar))
			require.NoError(t, err)
			require.Equal(t, "/app/journal?page=2", b.get(callback.String()).location(t))
			require.Equal(t, "/journal?page=2", b.get("/app/journal?page=2").body)
			require.Equal(t, "/app/", b.get(callback.String()).location(t)) // loaded once more
			require.Equal(t, "/app/login?return_to=%2Fjournal", b.get("/app/link").body)
			// A link of another site leads back to the session.
			require.Equal(t, "/app/journal", b.get("/app/login?return_to=/journal", header("Sec-Fetch-Site", "cross-site")).location(t))
			logout := b.send(http.MethodPost, "/app/logout", header("Origin", origin)).location(t)
			require.True(t, strings.HasPrefix(logout, b.server.Issuer()), logout)
			require.Equal(t, "/app/", b.send(http.MethodPost, "/app/logout", header("Origin", origin)).location(t))
		})
	}
	t.Run("a page that goes on by itself", func(t *testing.T) {
		t.Parallel()
		b := behindPrefix(t, func(c *weblogin.Config) { c.SameSiteStrict = true })
		page := b.get("/app/login?return_to=/journal", header("Sec-Fetch-Site", "cross-site"))
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Contains(t, page.body, "/app/login?")
	})
	t.Run("an error page", func(t *testing.T) {
		t.Parallel()
		b := behindPrefix(t, nil)
		page := b.get("/app/callback?state=x&code=y")
		require.Equal(t, http.StatusBadRequest, page.StatusCode)
		require.Contains(t, page.body, `href="/app/login?`)
		require.NotContains(t, page.body, `href="/login`)
		require.NotContains(t, page.body, `href="/"`)
	})
	t.Run("a store that is down", func(t *testing.T) {
		t.Parallel()
		store := &flakyStore{Store: &helseid.MemoryStore{}}
		b := behindPrefix(t, nil, func(w *world) { w.client.Store = store })
		callback, err := b.server.LogIn(b.begin("/app/login"), helseidtest.InBrowser(b.jar))
		require.NoError(t, err)
		b.get(callback.String())
		store.fail.Store(true)
		page := b.get("/app/journal")
		require.Equal(t, http.StatusServiceUnavailable, page.StatusCode)
		require.Contains(t, page.body, `href="/app/journal"`)
	})
	t.Run("what leads to another application", func(t *testing.T) {
		t.Parallel()
		b := behindPrefix(t, nil)
		callback, err := b.server.LogIn(b.begin("/app/login?return_to=//elsewhere.example.no"), helseidtest.InBrowser(b.jar))
		require.NoError(t, err)
		require.Equal(t, "/app/", b.get(callback.String()).location(t))
	})
}

// The address is one that the redirect URI is below.
func TestPublicURLMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.client.Registered.RedirectURIs = []string{origin + "/app/callback"}
	client, err := helseid.New(w.client)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	const below = "the redirect URI is not below it"
	for publicURL, want := range map[string]string{
		origin + "/other":                     below,
		origin + "/ap":                        below,
		origin + "/app/callback":              below,
		"https://other.example.no/app":        below,
		"http://" + host + "/app":             below,
		origin + ":8443/app":                  below,
		"/app":                                "must be an absolute URL",
		origin + "/app?x":                     "must be an absolute URL",
		origin + "/app#x":                     "must be an absolute URL",
		"https://user@" + host + "/app":       "must be an absolute URL",
		origin + "/a%2Fpp":                    "without escapes",
		origin + "/x/../app":                  "without escapes",
		"":                                    "",
		origin:                                "",
		origin + "/":                          "",
		origin + "/app/":                      "",
		"HTTPS://EHR.example.no:443" + "/app": "",
	} {
		_, err := weblogin.New(weblogin.Config{Client: client, PublicURL: publicURL})
		if want == "" {
			require.NoError(t, err, publicURL)
			continue
		}
		require.ErrorIs(t, err, weblogin.ErrConfig, publicURL)
		require.ErrorContains(t, err, want, publicURL)
	}
}

// HEAD on the login path is answered as GET is. The callback spends a code, and takes
// GET alone.
func TestHeadOnTheLoginPath(t *testing.T) {
	t.Parallel()
	b := newWorld(t, nil).newBrowser()
	head := b.send(http.MethodHead, "/login?return_to=/me")
	target := head.location(t)
	require.True(t, strings.HasPrefix(target, b.server.Issuer()+"/connect/authorize?"), target)
	require.Empty(t, head.body)
	callback := b.authenticate(target)
	refused := b.send(http.MethodHead, callback)
	require.Equal(t, http.StatusMethodNotAllowed, refused.StatusCode)
	require.Equal(t, "GET", refused.Header.Get("Allow"))
	require.Equal(t, "/me", b.get(callback).location(t))

	other := b.send(http.MethodPost, "/login", header("Origin", origin))
	require.Equal(t, http.StatusMethodNotAllowed, other.StatusCode)
	require.Equal(t, "GET, HEAD", other.Header.Get("Allow"))
}
