package weblogin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

const expired = "Innloggingen er ikke lenger gyldig"

// Login CSRF: a callback in another browser logs nobody in, and does not spoil
// the login for the one who started it.
func TestCallbackFromAnotherBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	victim, attacker := w.newBrowser(), w.newBrowser()
	callback := attacker.authenticate(attacker.begin("/login"))
	requireProblem(t, victim.get(callback), http.StatusBadRequest, expired)
	require.Equal(t, "nobody", victim.who())

	// Also not with a cookie of its own for another login, or under that name.
	victim.begin("/login")
	own := victim.loginCookies()[0]
	requireProblem(t, victim.get(callback), http.StatusBadRequest, expired)
	victim.setCookie(attacker.loginCookies()[0], victim.cookie(own))
	requireProblem(t, victim.get(callback), http.StatusBadRequest, expired)
	require.Equal(t, "nobody", victim.who())

	require.Equal(t, "/", attacker.get(callback).location(t))
	require.Equal(t, grevling, attacker.who())
}

func TestReplayedCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	target := b.begin("/login?return_to=/me")
	name := b.loginCookies()[0]
	cookie := b.cookie(name)
	callback := b.authenticate(target)
	b.get(callback).location(t)
	first := b.cookie(sessionCookie)
	tokenRequests := len(w.server.Requests(helseidtest.EndpointToken))

	// The user who loads the page again, or goes back to it, has a session.
	require.Equal(t, "/", b.get(callback).location(t))
	b.setCookie(name, cookie)
	require.Equal(t, "/me", b.get(callback).location(t))
	require.Equal(t, first, b.cookie(sessionCookie))
	require.Equal(t, grevling, b.who())

	// Without one nothing is to be had.
	b.setCookie(sessionCookie, "x")
	requireProblem(t, b.get(callback), http.StatusBadRequest, expired)
	b.setCookie(name, cookie)
	requireProblem(t, b.get(callback), http.StatusBadRequest, expired)
	require.Empty(t, b.cookie(sessionCookie))
	require.Len(t, w.server.Requests(helseidtest.EndpointToken), tokenRequests, "the code is not sent again")
}

// Who has not the cookie makes the store do nothing.
func TestStoreOfLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	watched := w.watch()
	b := w.newBrowser()
	callback := b.authenticate(b.begin("/login"))
	loads := watched.loads.Load()
	requireProblem(t, w.newBrowser().get(callback), http.StatusBadRequest, expired)
	require.Equal(t, loads, watched.loads.Load())
	b.get(callback).location(t)
}

// watchedStore knows what is in it.
type watchedStore struct {
	helseid.Store
	loads atomic.Int64
	saves atomic.Int64
	mu    sync.Mutex
	rows  map[string]bool
}

// watch lets the application run on a store that is watched.
func (w *world) watch() *watchedStore {
	watched := &watchedStore{Store: w.client.Store, rows: make(map[string]bool)}
	w.client.Store = watched
	w.start()
	return watched
}

// keys are the rows with this prefix.
func (s *watchedStore) keys(prefix string) (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.rows {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *watchedStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	s.loads.Add(1)
	return s.Store.Load(ctx, key)
}

func (s *watchedStore) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	s.saves.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	saved, err := s.Store.Save(ctx, key, session)
	if saved {
		s.rows[key] = true
	}
	return saved, err
}

func (s *watchedStore) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, key)
	return s.Store.Delete(ctx, key)
}

// Of many that bring the same answer at once, one is taken.
func TestConcurrentCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	meeting := &meetingStore{Store: w.store, all: make(chan struct{})}
	w.client.Store = meeting
	w.start()
	b := w.newBrowser()
	callback := b.authenticate(b.begin("/login"))
	name := b.loginCookies()[0]
	cookie := &http.Cookie{Name: name, Value: b.cookie(name)}
	var good atomic.Int64
	var all sync.WaitGroup
	for range meetingSize {
		all.Go(func() {
			request, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, callback, nil)
			request.Header.Set("Sec-Fetch-Mode", "navigate")
			request.AddCookie(cookie)
			response, err := w.server.HTTPClient().Transport.RoundTrip(request)
			if err == nil && response.StatusCode == http.StatusSeeOther {
				good.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, good.Load())
	codes := 0
	for _, request := range w.server.Requests(helseidtest.EndpointToken) {
		if request.Form.Get("grant_type") == "authorization_code" {
			codes++
		}
	}
	require.Equal(t, 1, codes)
}

// meetingStore lets all finish a login at once.
type meetingStore struct {
	helseid.Store
	came atomic.Int64
	all  chan struct{} // closed when all have come
}

const meetingSize = 10

func (s *meetingStore) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	if strings.HasPrefix(key, "login-") {
		if s.came.Add(1) == meetingSize {
			close(s.all)
		}
		<-s.all
	}
	return s.Store.Save(ctx, key, session)
}

// The answers of two tabs, each with the other's state or code.
func TestSwappedTabs(t *testing.T) {
	t.Parallel()
	for _, parameter := range []string{"state", "code"} {
		t.Run(parameter, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			b := w.newBrowser()
			var tabs [2]*url.URL
			for i := range tabs {
				var err error
				tabs[i], err = url.Parse(b.authenticate(b.begin("/login?return_to=/me")))
				require.NoError(t, err)
			}
			first, second := tabs[0].Query(), tabs[1].Query()
			value := first.Get(parameter)
			first.Set(parameter, second.Get(parameter))
			second.Set(parameter, value)
			tabs[0].RawQuery, tabs[1].RawQuery = first.Encode(), second.Encode()
			for _, tab := range tabs {
				requireProblem(t, b.get(tab.String()), http.StatusBadRequest, "Innloggingen mislyktes")
			}
			require.Equal(t, "nobody", b.who())
		})
	}
}

// Several tabs at once, ended in any order.
func TestTabs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	var callbacks []string
	for i := range 3 {
		callbacks = append(callbacks, b.authenticate(b.begin(fmt.Sprintf("/login?return_to=/me%%3Ftab=%d", i))))
	}
	for _, i := range []int{1, 2, 0} {
		require.Equal(t, fmt.Sprintf("/me?tab=%d", i), b.get(callbacks[i]).location(t))
		require.Equal(t, grevling, b.who())
	}
}

// A browser never has more cookies for logins than servers accept: the oldest
// login gives way.
func TestManyTabs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	first := b.authenticate(b.begin("/login"))
	second := b.authenticate(b.begin("/login"))
	query, err := url.ParseQuery(strings.SplitN(second, "?", 2)[1])
	require.NoError(t, err)
	oldest := loginCookieName(query.Get("state"))
	b.setCookie(oldest, "1.x") // as if it were older than all others
	var started int
	for ; slices.Contains(b.loginCookies(), oldest); started++ {
		require.Less(t, started, 8)
		b.begin("/login")
	}
	require.GreaterOrEqual(t, started, 4, "a few tabs are to be had")
	require.Equal(t, "/", b.get(first).location(t))

	var last string
	for i := range 20 {
		page := "/" + strings.Repeat("x", i*50)
		last = b.authenticate(b.begin("/login?return_to=" + page))
		require.LessOrEqual(t, len(b.loginCookies()), 8)
		require.LessOrEqual(t, b.loginBytes(), 4<<10)
	}
	require.Equal(t, "/"+strings.Repeat("x", 950), b.get(last).location(t))
}

// loginBytes is how long the cookies of the logins are.
func (b *browser) loginBytes() (size int) {
	for _, name := range b.loginCookies() {
		size += len(name) + len(b.cookie(name))
	}
	return size
}

// loginCookieName is the name of the cookie of the login with this state.
func loginCookieName(state string) string {
	sum := sha256.Sum256([]byte("cookie " + state))
	return sessionCookie + "-login-" + hex.EncodeToString(sum[:8])
}

// An id that somebody else has chosen, or knows, is not the session's.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	attacker := w.newBrowser()
	attacker.logIn("/login", asElg())
	known := attacker.cookie(sessionCookie)

	victim := w.newBrowser()
	victim.setCookie(sessionCookie, known)
	victim.logIn("/login")
	require.NotEqual(t, known, victim.cookie(sessionCookie))
	require.Equal(t, grevling, victim.who())
	require.Equal(t, "nobody", attacker.who(), "the session that the victim came with has ended")

	made := w.newBrowser()
	made.setCookie(sessionCookie, "chosen-by-somebody")
	made.logIn("/login")
	require.NotEqual(t, "chosen-by-somebody", made.cookie(sessionCookie))

	again := victim.cookie(sessionCookie)
	victim.logIn("/login")
	require.NotEqual(t, again, victim.cookie(sessionCookie), "each login has an id of its own")
	victim.setCookie(sessionCookie, again)
	require.Equal(t, "nobody", victim.who())
}

// T174: a cookie that leads to no session is taken back.
func TestT174BadCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	owner := w.newBrowser()
	owner.logIn("/login")
	id := owner.cookie(sessionCookie)
	for name, value := range map[string]string{
		"empty": "", "short": "x", "another's format": "eyJhbGciOiJub25lIn0", "one character changed": string(id[0]^1) + id[1:],
		"too long": strings.Repeat("x", 4000), "cut": id[:31], "longer": id + "x", "another case": strings.ToUpper(id), "a path": "../../x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for path, status := range map[string]int{"/": 200, "/me": 303, "/login": 303} {
				answer := w.newBrowser().get(path, header("Cookie", sessionCookie+"="+value))
				require.Equal(t, status, answer.StatusCode)
				require.NotContains(t, answer.body, grevling)
				if path != "/login" {
					require.Equal(t, sessionCookie, answer.Cookies()[0].Name)
					require.Negative(t, answer.Cookies()[0].MaxAge)
				}
			}
		})
	}
	twice := w.newBrowser().get("/", header("Cookie", sessionCookie+"="+id+"; "+sessionCookie+"="+id))
	require.Equal(t, "nobody", twice.body, "a browser sends one")
	require.Equal(t, grevling, owner.who())
}

func TestBadCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.newBrowser()
	callback, err := url.Parse(b.authenticate(b.begin("/login")))
	require.NoError(t, err)
	good := callback.Query()
	for name, query := range map[string]string{
		"nothing": "", "no state": "code=x&iss=" + url.QueryEscape(w.server.Issuer()), "an unknown state": "state=x&code=x",
		"two states": good.Encode() + "&state=x", "broken": "%zz", "semicolons": strings.ReplaceAll(good.Encode(), "&", ";"),
		"long": "state=" + strings.Repeat("x", 10000),
	} {
		t.Run(name, func(t *testing.T) {
			requireProblem(t, b.get("/callback?"+query), http.StatusBadRequest, expired)
		})
	}
	require.Equal(t, "/", b.get(callback.String()).location(t))
	for name, value := range map[string]string{"iss": "https://evil.example", "code": ""} {
		t.Run(name, func(t *testing.T) {
			changed, err := url.Parse(b.authenticate(b.begin("/login")))
			require.NoError(t, err)
			query := changed.Query()
			query.Set(name, value)
			changed.RawQuery = query.Encode()
			requireProblem(t, b.get(changed.String()), http.StatusBadRequest, "Innloggingen mislyktes")
			changed.RawQuery = ""
		})
	}
}

// Links that lead away are not followed, whatever they look like.
func TestReturnTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for value, want := range map[string]string{
		"/me":                           "/me",
		"/me?x=1&y=%2F%2F":              "/me?x=1&y=%2F%2F",
		"/a/b/":                         "/a/b/",
		"/a%20b":                        "/a%20b",
		"/?next=https://evil.example/":  "/?next=https://evil.example/",
		"/a?b=c:d@e":                    "/a?b=c:d@e",
		"":                              "/",
		"me":                            "/",
		"https://evil.example/":         "/",
		"https://ehr.example.no/me":     "/",
		"//evil.example":                "/",
		"///evil.example":               "/",
		"////evil.example":              "/",
		`/\evil.example`:                "/",
		`\/evil.example`:                "/",
		`\\evil.example`:                "/",
		`/me?x=\`:                       "/",
		`/a\..\b`:                       "/",
		"/%5Cevil.example":              "/",
		"/%5cevil.example":              "/",
		"/%2Fevil.example":              "/",
		"/%2f/evil.example":             "/",
		"/%2F":                          "/",
		"//":                            "/",
		"///":                           "/",
		"/a/..//evil.example":           "/",
		"/.//evil.example":              "/",
		"/%2e%2e//evil.example":         "/",
		"/./x":                          "/",
		"/../x":                         "/",
		"/%2e/x":                        "/",
		"/a//b":                         "/",
		"/\t/evil.example":              "/",
		"/\n/evil.example":              "/",
		"\t//evil.example":              "/",
		" /me":                          "/",
		"/me ":                          "/",
		"/%09/evil.example":             "/",
		"/%0d%0aSet-Cookie:x=y":         "/",
		"/%00":                          "/",
		"/\x00":                         "/",
		"/\u2028":                       "/",
		"/æ":                            "/",
		"/／evil.example":                "/",
		"/#//evil.example":              "/",
		"javascript:alert(1)":           "/",
		"JavaScript:alert(1)":           "/",
		"data:text/html,x":              "/",
		"http:/evil.example":            "/",
		"http:evil.example":             "/",
		"@evil.example":                 "/",
		"?x":                            "/",
		"#x":                            "/",
		"/%zz":                          "/",
		"/" + strings.Repeat("x", 3000): "/",
		"/login":                        "/",
		"/login?return_to=/login":       "/",
		"/logout":                       "/",
		"/callback?state=x":             "/",
		"/%6cogin":                      "/",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			b := w.newBrowser()
			path := "/login?return_to=" + url.QueryEscape(value)
			require.Equal(t, "/login?"+url.Values{"return_to": {want}}.Encode(), w.web.LoginURL(value, 0))
			require.Equal(t, want, b.logIn(path))
		})
	}
}

// FuzzReturnTo looks for a text that leads to another host.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/me", "//x", `/\x`, "/%2Fx", "/%2F", "/a/../b", "/\tx", "https://x"} {
		f.Add(seed)
	}
	server, err := helseidtest.Start(helseidtest.InMemory())
	require.NoError(f, err)
	config := server.NewClient(helseidtest.RedirectURI(redirectURI))
	client, err := helseid.New(config)
	require.NoError(f, err)
	web, err := weblogin.New(weblogin.Config{Client: client})
	require.NoError(f, err)
	base, err := url.Parse(origin + "/login")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		link, err := url.Parse(web.LoginURL(text, 0))
		require.NoError(t, err)
		target, err := base.Parse(link.Query().Get("return_to"))
		require.NoError(t, err)
		require.Equal(t, host, target.Host)
		require.Equal(t, "https", target.Scheme)
		require.False(t, strings.HasPrefix(target.Path, "//"))
		require.NotContains(t, target.Path, `\`)
	})
}

// breakable is a store that can fail, and be replaced by another.
type breakable struct {
	store  atomic.Pointer[helseid.MemoryStore]
	broken atomic.Bool
}

func newBreakable(store *helseid.MemoryStore) *breakable {
	b := &breakable{}
	b.replace(store)
	return b
}

func (b *breakable) replace(store *helseid.MemoryStore) { b.store.Store(store) }

var errBroken = errors.New("secret of the store")

func (b *breakable) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if b.broken.Load() {
		return helseid.StoredRow{}, errBroken
	}
	return b.store.Load().Load(ctx, key)
}

func (b *breakable) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	if b.broken.Load() {
		return false, errBroken
	}
	return b.store.Load().Save(ctx, key, session)
}

func (b *breakable) Delete(ctx context.Context, key string) error {
	if b.broken.Load() {
		return errBroken
	}
	return b.store.Load().Delete(ctx, key)
}
