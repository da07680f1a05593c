package weblogin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

const (
	host          = "ehr.example.no"
	origin        = "https://" + host
	redirectURI   = origin + "/callback"
	sessionCookie = "__Host-helseid-session"
)

// world is a HelseID in memory and an application that its users log in to.
type world struct {
	testing.TB
	server *helseidtest.Server
	store  *helseid.MemoryStore
	key    *dpop.Key
	client helseid.Config
	change func(*weblogin.Config)
	logged *buffer

	web       *weblogin.Web    // the newest process
	webClient *helseid.Client  // its
	handler   http.HandlerFunc // of /call
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var (
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
)

func newWorld(t testing.TB, change func(*weblogin.Config)) *world {
	t.Helper()
	w := &world{TB: t, store: &helseid.MemoryStore{}, change: change, logged: &buffer{}}
	w.server = helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.Relaxed(rule.Nonce))
	var err error
	w.key, err = dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	w.client = w.server.NewClient(helseidtest.RedirectURI(redirectURI), helseidtest.Scopes("nhn:test-api/read"))
	w.client.Store, w.client.DPoPKey = w.store, w.key
	w.client.Logger = slog.New(slog.NewTextHandler(w.logged, nil))
	w.start()
	t.Cleanup(func() {
		require.NotRegexp(t, jwsLike, w.logged.String())
		require.NotRegexp(t, identityNumber, w.logged.String())
	})
	return w
}

// start runs a new process of the application in place of the one before.
func (w *world) start() {
	w.Helper()
	client, err := helseid.New(w.client)
	require.NoError(w, err)
	w.Cleanup(client.Close)
	w.webClient = client
	config := weblogin.Config{
		Client: client,
		Login: helseid.LoginRequest{Scopes: []string{
			helseid.ScopeProfile, helseid.ScopeOfflineAccess, helseid.ScopeSecurityLevel, helseid.ScopeHPRNumber, "nhn:test-api/read",
		}},
		Logger: slog.New(slog.NewTextHandler(w.logged, nil)),
	}
	if w.change != nil {
		w.change(&config)
	}
	w.web, err = weblogin.New(config)
	require.NoError(w, err)
	mux := http.NewServeMux()
	w.web.Mount(mux)
	name := func(rw http.ResponseWriter, r *http.Request) {
		text := "nobody"
		if session := weblogin.Session(r.Context()); session != nil {
			text = session.User().Name
		}
		_, _ = io.WriteString(rw, text)
	}
	mux.Handle("/me", w.web.Require(name))
	mux.Handle("/secret/{id}", w.web.RequireLevel(4, name))
	mux.Handle("/{$}", w.web.Optional(name))
	mux.Handle("/call", w.web.Require(func(rw http.ResponseWriter, r *http.Request) { w.handler(rw, r) }))
	w.server.Mount(host, mux)
}

// browser is one browser, with its cookies.
type browser struct {
	*world
	jar http.CookieJar
}

func (w *world) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(w, err)
	return &browser{w, jar}
}

// page is what a browser is shown.
type page struct {
	*http.Response
	body string
}

// send makes a request as a browser does that goes to a page.
func (b *browser) send(method, target string, change ...func(*http.Request)) page {
	b.Helper()
	if strings.HasPrefix(target, "/") {
		target = origin + target
	}
	request, err := http.NewRequestWithContext(context.Background(), method, target, nil)
	require.NoError(b, err)
	request.Header.Set("Accept", "text/html,*/*;q=0.8")
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range change {
		f(request)
	}
	client := b.server.HTTPClient()
	client.Jar = b.jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	require.NoError(b, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	if !strings.Contains(request.URL.Path, "channel") {
		require.Equal(b, "no-store", response.Header.Get("Cache-Control"), target)
	}
	require.NotRegexp(b, jwsLike, string(body))
	require.NotRegexp(b, identityNumber, string(body))
	return page{response, string(body)}
}

func (b *browser) get(target string, change ...func(*http.Request)) page {
	b.Helper()
	return b.send(http.MethodGet, target, change...)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header.Set(name, value)
	}
}

func (p page) location(t testing.TB) string {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, p.StatusCode, p.body)
	return p.Header.Get("Location")
}

// begin starts a login and returns the URL at HelseID.
func (b *browser) begin(path string) string {
	b.Helper()
	target := b.get(path).location(b)
	require.True(b, strings.HasPrefix(target, b.server.Issuer()+"/connect/authorize?"), target)
	return target
}

// authenticate does what the user does at HelseID and returns the callback.
func (b *browser) authenticate(target string, user ...helseidtest.LoginOption) string {
	b.Helper()
	callback, err := b.server.LogIn(target, append([]helseidtest.LoginOption{helseidtest.InBrowser(b.jar)}, user...)...)
	require.NoError(b, err)
	require.True(b, strings.HasPrefix(callback.String(), redirectURI+"?"))
	return callback.String()
}

// logIn walks a login to its end and returns where the browser is sent.
func (b *browser) logIn(path string, user ...helseidtest.LoginOption) string {
	b.Helper()
	return b.get(b.authenticate(b.begin(path), user...)).location(b)
}

// cookie returns the value of a cookie of the application, or "".
func (b *browser) cookie(name string) string {
	for _, cookie := range b.jar.Cookies(&url.URL{Scheme: "https", Host: host, Path: "/"}) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

func (b *browser) setCookie(name, value string) {
	b.jar.SetCookies(&url.URL{Scheme: "https", Host: host, Path: "/"}, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

// loginCookies are the names of the cookies of logins under way.
func (b *browser) loginCookies() (names []string) {
	for _, cookie := range b.jar.Cookies(&url.URL{Scheme: "https", Host: host, Path: "/"}) {
		if strings.HasPrefix(cookie.Name, sessionCookie+"-login-") {
			names = append(names, cookie.Name)
		}
	}
	return names
}

// who is the person whom the application takes the browser's user for.
func (b *browser) who() string {
	b.Helper()
	answer := b.get("/")
	require.Equal(b, http.StatusOK, answer.StatusCode)
	return answer.body
}

const (
	grevling = "KVART GREVLING"
	elg      = "STILLE BLÅ ELG" // at level 3
)

func asElg() helseidtest.LoginOption { return helseidtest.AsUser(helseidtest.ClinicianAtLevel3) }

// requireProblem checks an error page.
func requireProblem(t testing.TB, p page, status int, text string) {
	t.Helper()
	require.Equal(t, status, p.StatusCode, p.body)
	require.Contains(t, p.body, "<h1>"+text+"</h1>")
	_, style, _ := strings.Cut(p.body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	require.Contains(t, p.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
}
