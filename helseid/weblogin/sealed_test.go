package weblogin_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/internal/testkit"
)

// Logins that are started and never ended take up no room on the server, and cost
// the store nothing.
func TestFloodOfLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	watched := w.watch()
	for range 50 {
		w.newBrowser().begin("/login")
	}
	require.Len(t, watched.keys("weblogin-keys-"), 1)
	require.Len(t, watched.keys(""), 1)
	require.EqualValues(t, 1, watched.loads.Load())
	require.EqualValues(t, 1, watched.saves.Load())
}

// Nor do callbacks with invented codes.
func TestFloodOfMadeUpCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	watched := w.watch()
	for range 20 {
		b := w.newBrowser()
		callback, err := url.Parse(b.authenticate(b.begin("/login")))
		require.NoError(t, err)
		query := callback.Query()
		query.Set("code", "made-up")
		requireProblem(t, b.get("/callback?"+query.Encode()), http.StatusBadRequest, "Innloggingen mislyktes")
		require.Empty(t, b.loginCookies())
	}
	require.Len(t, watched.keys(""), 1, "the sealing keys")
}

// A login's cookie says nothing, and is worth nothing when it is changed, in another
// cookie's place, too late, or at another application.
func TestSealedLogin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*browser, string){
		"changed at its start": func(b *browser, name string) { b.setCookie(name, b.cookie(name)[:24]+"AAAA"+b.cookie(name)[28:]) },
		"changed at its end":   func(b *browser, name string) { b.setCookie(name, b.cookie(name)[:len(b.cookie(name))-4]+"AAAA") },
		"cut":                  func(b *browser, name string) { b.setCookie(name, b.cookie(name)[:len(b.cookie(name))-8]) },
		"another key":          func(b *browser, name string) { b.setCookie(name, strings.Replace(b.cookie(name), ".", ".x", 1)) },
		"empty":                func(b *browser, name string) { b.setCookie(name, "1.") },
		"of before":            func(b *browser, name string) { b.setCookie(name, "1700000000.AbCdEfGhIjKlMnOpQrStUvWxYz012345") },
		"another login's": func(b *browser, name string) {
			other := b.newBrowser()
			other.begin("/login")
			b.setCookie(name, other.cookie(other.loginCookies()[0]))
		},
		"too late": func(b *browser, name string) {
			value := b.cookie(name)
			testkit.Sleep(helseid.LoginLifetime)
			b.setCookie(name, value) // also if the browser has kept it
		},
		"at another application": func(b *browser, _ string) {
			b.change = func(c *weblogin.Config) { c.Application = "another" }
			b.start()
		},
		"at another application of another host": func(b *browser, _ string) {
			b.change = func(c *weblogin.Config) { c.Login.RedirectURI = "https://" + host + ":8443/callback" }
			b.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				b := w.newBrowser()
				callback := b.authenticate(b.begin("/login?return_to=/me"))
				cookie := b.loginCookies()[0]
				for _, secret := range []string{"return_to", "verifier", "/me", "nonce"} {
					require.NotContains(t, b.cookie(cookie), secret)
				}
				test(b, cookie)
				requireProblem(t, b.get(callback), http.StatusBadRequest, expired)
				require.Empty(t, w.server.Requests(helseidtest.EndpointToken))
				require.Empty(t, b.loginCookies())
				require.Equal(t, "nobody", b.who())
			})
		})
	}
}

// A cookie has room for what applications ask for, with some left; what does not
// fit is a mistake in the configuration.
func TestSizeOfLogins(t *testing.T) {
	t.Parallel()
	many := func(count int) []string {
		scopes := []string{helseid.ScopeOfflineAccess}
		for i := range count {
			scopes = append(scopes, fmt.Sprintf("nhn:some-api-%d/%x", i, hashOf(i)))
		}
		return scopes
	}
	for name, test := range map[string]struct {
		scopes []string
		page   string
		limit  int
	}{
		"as usual":      {[]string{helseid.ScopeProfile, helseid.ScopeHPRNumber, "nhn:kjernejournal/read"}, "/patient/4711", 700},
		"a long page":   {nil, "/?x=" + fmt.Sprintf("%x%x", hashOf(1), hashOf(2)) + strings.Repeat("y", 850), 1500},
		"twenty scopes": {many(20), "/", 1500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *weblogin.Config) { c.Login.Scopes = test.scopes })
			b := w.newBrowser()
			target := w.startOnly(b, "/login?return_to="+url.QueryEscape(test.page))
			require.LessOrEqual(t, b.loginBytes(), test.limit)
			t.Logf("%d bytes", b.loginBytes())
			require.NotEmpty(t, target)
		})
	}
	w := newWorld(t, nil)
	_, err := weblogin.New(weblogin.Config{Client: mustClient(w), Login: helseid.LoginRequest{Scopes: many(200)}})
	require.ErrorIs(t, err, weblogin.ErrConfig)
	require.ErrorContains(t, err, "field Login: the scopes and resources do not fit a cookie")
}

// pushed is an answer to any pushed request.
var pushed = helseidtest.Fault{Endpoint: helseidtest.EndpointPAR, Status: http.StatusCreated, Body: `{"request_uri":"urn:x","expires_in":60}`}

// startOnly starts a login for scopes that the client need not have.
func (w *world) startOnly(b *browser, path string) string {
	w.Helper()
	w.server.Inject(pushed)
	return b.get(path).location(w)
}

func hashOf(i int) []byte { sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)}); return sum[:8] }

// process is another process of the application, which the next requests go to.
func (w *world) process(store helseid.Store) {
	w.client.Store = store
	w.start()
}

// Several processes make their keys at once, and each opens what another has sealed.
func TestKeysOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	gate := &keyGate{Store: w.store, all: make(chan struct{})}
	var webs []*weblogin.Web
	for range keyGateSize {
		w.process(gate)
		webs = append(webs, w.web)
	}
	var all sync.WaitGroup
	callbacks := make([]string, keyGateSize)
	browsers := make([]*browser, keyGateSize)
	for i, web := range webs {
		mux := http.NewServeMux()
		web.Mount(mux)
		name := fmt.Sprintf("p%d.example.no", i)
		w.server.Mount(name, mux)
		browsers[i] = w.newBrowser()
		all.Go(func() {
			answer := browsers[i].get("https://" + name + "/login")
			for _, cookie := range answer.Cookies() {
				browsers[i].setCookie(cookie.Name, cookie.Value)
			}
			callbacks[i] = answer.Header.Get("Location")
		})
	}
	all.Wait()
	for i, b := range browsers {
		b.get(b.authenticate(callbacks[i])).location(t)
		require.Equal(t, grevling, b.who())
	}
}

// keyGate lets all find that there are no keys yet.
type keyGate struct {
	helseid.Store
	mu   sync.Mutex
	came int
	all  chan struct{}
}

const keyGateSize = 3

func (g *keyGate) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	row, err := g.Store.Load(ctx, key)
	if strings.HasPrefix(key, "weblogin-keys-") && row.Version == 0 {
		g.mu.Lock()
		if g.came++; g.came == keyGateSize {
			close(g.all)
		}
		g.mu.Unlock()
		<-g.all
	}
	return row, err
}

// Keys change once a day, and what was sealed before opens, at other processes too.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		keyOf := func(b *browser) string { return strings.Split(b.cookie(b.loginCookies()[0]), ".")[1] }
		b := w.newBrowser()
		b.begin("/login")
		first := keyOf(b)
		testkit.Sleep(24*time.Hour - 20*time.Second)
		b = w.newBrowser()
		callback := b.authenticate(b.begin("/login"))
		require.Equal(t, first, keyOf(b))
		testkit.Sleep(40 * time.Second)
		later := w.newBrowser()
		later.begin("/login")
		require.NotEqual(t, keyOf(b), keyOf(later))
		w.start()
		require.Equal(t, "/", b.get(callback).location(t))
	})
}

// A store that has lost all loses logins for a few minutes at most; one that is down
// is not needed to start one.
func TestKeysAreLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		broken := newBreakable(w.store)
		w.process(broken)
		old := w.web
		w.newBrowser().begin("/login")
		broken.broken.Store(true)
		testkit.Sleep(time.Hour)
		b := w.newBrowser()
		callback := b.authenticate(b.begin("/login"))
		broken.broken.Store(false)
		require.Equal(t, "/", b.get(callback).location(t))

		w.store = &helseid.MemoryStore{}
		broken.replace(w.store)
		w.start() // writes a key of its own
		w.newBrowser().begin("/login")
		testkit.Sleep(5 * time.Minute)
		mux := http.NewServeMux()
		old.Mount(mux)
		w.server.Mount("old.example.no", mux)
		b = w.newBrowser()
		answer := b.get("https://old.example.no/login")
		for _, cookie := range answer.Cookies() {
			b.setCookie(cookie.Name, cookie.Value)
		}
		require.Equal(t, "/", b.get(b.authenticate(answer.location(t))).location(t), "the old process has found the new one's key")
	})
}

// Invented key ids cause no load on the store, and while the store is down no user is
// told that their login does not exist.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		broken := newBreakable(w.store)
		w.process(broken)
		watched := w.watch()
		b := w.newBrowser()
		b.begin("/login")
		bring := func(i int) page {
			stranger := w.newBrowser()
			stranger.setCookie(loginCookieName("x"), fmt.Sprintf("1.key%05d.AAAA", i))
			return stranger.get("/callback?code=x&state=x")
		}
		testkit.Sleep(time.Minute)
		before := watched.loads.Load()
		for i := range 100 {
			requireProblem(t, bring(i), http.StatusBadRequest, expired)
		}
		require.LessOrEqual(t, watched.loads.Load()-before, int64(1))
		testkit.Sleep(time.Minute)
		broken.broken.Store(true)
		for i := range 3 {
			requireProblem(t, bring(i), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
		}
	})
}

// keyStore is a store whose keys come late, or not at all.
type keyStore struct {
	helseid.Store
	broken, hanging atomic.Bool
	come            atomic.Pointer[func()]
}

func (s *keyStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if strings.HasPrefix(key, "weblogin-keys-") {
		if come := s.come.Swap(nil); come != nil {
			(*come)()
		}
		if s.hanging.Load() {
			<-ctx.Done()
		}
		if err := ctx.Err(); err != nil {
			return helseid.StoredRow{}, err
		}
		if s.broken.Load() {
			return helseid.StoredRow{}, errors.New("down")
		}
	}
	return s.Store.Load(ctx, key)
}

// A stranger who leaves, or whose connection to the store hangs, keeps nobody else
// from the keys, and a login is not lost because they could not be read once.
func TestStrangersAndKeys(t *testing.T) {
	t.Parallel()
	stranger := func(ctx context.Context, w *world, path string) {
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, origin+path, nil)
		request.Header.Set("Accept", "text/html")
		request.AddCookie(&http.Cookie{Name: loginCookieName("x"), Value: "1.madeup00.AAAA"})
		mux := http.NewServeMux()
		w.web.Mount(mux)
		mux.ServeHTTP(httptest.NewRecorder(), request)
	}
	prepare := func(t *testing.T) (*world, *keyStore, *browser, string) {
		w := newWorld(t, nil)
		b := w.newBrowser()
		callback := b.authenticate(b.begin("/login"))
		store := &keyStore{Store: w.store}
		w.process(store) // which has no keys yet
		return w, store, b, callback
	}
	t.Run("who leave", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, store, b, callback := prepare(t)
			gone, leave := context.WithCancel(t.Context())
			store.come.Store((*func())(&leave))
			stranger(gone, w, "/callback?code=x&state=x")
			require.Error(t, gone.Err())
			require.Equal(t, "/", b.get(callback).location(t))
		})
	})
	for _, path := range []string{"/callback?code=x&state=x", "/login"} {
		t.Run("who hang at "+path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, store, b, callback := prepare(t)
				held, end := context.WithCancel(t.Context())
				defer end()
				store.hanging.Store(true)
				go stranger(held, w, path)
				synctest.Wait()
				store.hanging.Store(false)
				testkit.Sleep(5 * time.Second)
				waiting, stop := context.WithTimeout(t.Context(), 5*time.Second)
				defer stop()
				answer := b.get(callback, func(r *http.Request) { *r = *r.WithContext(waiting) })
				require.Equal(t, "/", answer.location(t))
			})
		})
	}
	t.Run("when they cannot be read once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, store, b, callback := prepare(t)
			store.broken.Store(true)
			requireProblem(t, b.get(callback), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
			store.broken.Store(false)
			testkit.Sleep(2 * time.Second)
			require.Equal(t, "/", b.get(callback).location(t))
		})
	})
	t.Run("when they cannot be read for longer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, store, b, callback := prepare(t)
			store.broken.Store(true)
			requireProblem(t, b.get(callback), http.StatusServiceUnavailable, "Tjenesten er ikke tilgjengelig akkurat nå")
			store.broken.Store(false)
			testkit.Sleep(time.Minute + time.Second)
			requireProblem(t, b.get(callback), http.StatusBadRequest, expired)
		})
	})
}
