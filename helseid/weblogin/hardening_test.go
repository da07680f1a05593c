package weblogin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// The session is gone here, after a restart for instance. Whoever logs out is sent
// to HelseID anyway, where the next user of the browser would be let in.
func TestLogoutOfALostSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	w.store = &helseid.MemoryStore{}
	w.client.Store = w.store
	w.start()
	target, err := url.Parse(b.send("POST", "/logout").location(t))
	require.NoError(t, err)
	require.Equal(t, w.server.Issuer()+"/connect/endsession", target.Scheme+"://"+target.Host+target.Path)
	require.Equal(t, url.Values{"client_id": {w.client.ClientID}}, target.Query())
	require.Empty(t, b.cookie(sessionCookie))
	require.Equal(t, "/", b.send("POST", "/logout").location(t), "without a cookie there is nothing to end")
}

// flakyStore fails to load a session once.
type flakyStore struct {
	helseid.Store
	fail atomic.Bool
}

func (s *flakyStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if strings.HasPrefix(key, "session-") && s.fail.CompareAndSwap(true, false) {
		return helseid.StoredRow{}, errors.New("timeout")
	}
	return s.Store.Load(ctx, key)
}

// Who steps up must be the person whose session it is, also when the store does
// not tell whose that is.
func TestStepUpWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	store := &flakyStore{Store: w.store}
	w.client.Store = store
	w.start()
	b := w.newBrowser()
	b.logIn("/login", asElg())
	login := b.get("/secret/7").location(t)
	store.fail.Store(true)
	requireProblem(t, b.get(login), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
	require.Equal(t, elg, b.who())
}

// There are the levels 2, 3 and 4.
func TestLevelsThatAreNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, level := range []identity.SecurityLevel{-1, 1, 5} {
		require.Panics(t, func() { w.web.RequireLevel(level, http.NotFound) })
	}
}

// Frames of other sites, prefetched pages and scripts start no logins.
func TestLoginIsForPagesOfTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, test := range map[string]struct {
		changes []func(*http.Request)
		starts  bool
	}{
		"a link on another site":    {[]func(*http.Request){header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Dest", "document")}, true},
		"a frame of another site":   {[]func(*http.Request){header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Dest", "iframe")}, false},
		"a frame of a sister site":  {[]func(*http.Request){header("Sec-Fetch-Site", "same-site"), header("Sec-Fetch-Dest", "iframe")}, false},
		"a frame of one's own":      {[]func(*http.Request){header("Sec-Fetch-Site", "same-origin"), header("Sec-Fetch-Dest", "iframe")}, true},
		"prefetched":                {[]func(*http.Request){header("Sec-Purpose", "prefetch")}, false},
		"prerendered":               {[]func(*http.Request){header("Sec-Purpose", "prefetch;prerender")}, false},
		"an older browser":          {[]func(*http.Request){header("Sec-Fetch-Mode", ""), header("Sec-Fetch-Site", "")}, true},
		"an image in an older one":  {[]func(*http.Request){header("Sec-Fetch-Mode", ""), header("Accept", "image/*")}, false},
		"an image on another site":  {[]func(*http.Request){header("Sec-Fetch-Mode", "no-cors"), header("Sec-Fetch-Dest", "image")}, false},
		"a script on the same site": {[]func(*http.Request){header("Sec-Fetch-Mode", "cors"), header("Sec-Fetch-Dest", "empty")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.server.Requests(helseidtest.EndpointPAR))
			answer := w.newBrowser().get("/login", test.changes...)
			require.Equal(t, test.starts, answer.StatusCode == http.StatusSeeOther)
			require.Equal(t, test.starts, len(w.server.Requests(helseidtest.EndpointPAR)) > before)
		})
	}
}

// A WebSocket is opened with a GET, and can change something.
func TestWebSocketFromAnotherSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	b.logIn("/login")
	upgrade := []func(*http.Request){header("Upgrade", "websocket"), header("Sec-Fetch-Mode", "websocket")}
	own := b.get("/me", append(upgrade, header("Origin", origin))...)
	require.Equal(t, http.StatusOK, own.StatusCode)
	for _, site := range []string{"cross-site", "same-site"} {
		other := b.get("/me", append(upgrade, header("Sec-Fetch-Site", site), header("Origin", "https://other.example.no"))...)
		require.Equal(t, http.StatusForbidden, other.StatusCode, site)
	}
}

// A handler below a prefix sends its users back to where they were.
func TestReturnBelowAPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	handler := http.StripPrefix("/app", w.web.Require(func(http.ResponseWriter, *http.Request) {}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/app/me?x=1", nil)
	request.Header.Set("Accept", "text/html")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	require.Equal(t, "/login?return_to=%2Fapp%2Fme%3Fx%3D1", response.Header().Get("Location"))
}

// A redirect URI need not be written as browsers write origins.
func TestOriginOfTheRedirectURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	config := w.server.NewClient(helseidtest.RedirectURI("https://EHR.example.no:443/callback"))
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	web, err := weblogin.New(weblogin.Config{Client: client})
	require.NoError(t, err)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://behind-a-proxy/logout", nil)
	request.Header.Set("Origin", origin)
	response := httptest.NewRecorder()
	mux := http.NewServeMux()
	web.Mount(mux)
	mux.ServeHTTP(response, request)
	require.Equal(t, http.StatusSeeOther, response.Code)
}

// The commonest pattern for a home page stands beside the mounted ones.
func TestMountBesideAHomePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	mux := http.NewServeMux()
	mux.Handle("GET /", w.web.Optional(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) }))
	w.web.Mount(mux)
	for target, status := range map[string]int{"/": http.StatusTeapot, "/other": http.StatusTeapot, "/logout": http.StatusMethodNotAllowed, "/callback": http.StatusBadRequest} {
		response := httptest.NewRecorder()
		mux.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		require.Equal(t, status, response.Code, target)
	}
}

// What one request is refused for is nothing to another that is refused meanwhile. The
// race detector sees it first.
func TestRefusalsAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	elg, stranger := w.newBrowser(), w.newBrowser()
	elg.logIn("/login", asElg())
	script := []func(*http.Request){header("Sec-Fetch-Mode", "cors"), header("Sec-Fetch-Dest", "empty")}
	var running sync.WaitGroup
	for range 4 {
		for browser, status := range map[*browser]int{elg: http.StatusForbidden, stranger: http.StatusUnauthorized} {
			running.Go(func() {
				for range 25 {
					assert.Equal(t, status, browser.get("/secret/7", script...).StatusCode)
				}
			})
		}
	}
	running.Wait()
}
