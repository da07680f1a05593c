package redisstore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	commandline "flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// Two processes serve two applications each and share one Redis, while users log in,
// call and log out, HelseID logs users out, Redis is restarted and put back to older
// snapshots, and processes are killed. A checker that knows who logged out when tries
// their cookies again: no request may pass.
//
//	go test -run TestNobodyPassesAfterALogout -logouts 10m -v -timeout 20m .

var checkerTime = commandline.Duration("logouts", 8*time.Second, "how long TestNobodyPassesAfterALogout runs")

const (
	workerVariable = "REDISSTORE_TEST_WORKER"
	checkerScope   = "nhn:test-api/read"
	checkerUsers   = 8
	checkerTokens  = 4 * time.Second // the lifetime of access tokens, so that sessions are refreshed
)

func TestMain(m *testing.M) {
	if text := os.Getenv(rotatorVariable); text != "" {
		if err := runRotator(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if text := os.Getenv(workerVariable); text != "" {
		if err := runWorker(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// workerConfig is what a process of the applications is told.
type workerConfig struct {
	Redis   string
	Client  []byte // a configuration file
	DPoPKey []byte
	Origin  string // as browsers see it
}

// workerPage is what a page of an application says about its user.
type workerPage struct{ Subject, SID string }

// runWorker is a process: it serves both applications until it is killed.
func runWorker(text string) error {
	var config workerConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	store, err := New(Config{URL: identity.NewSecret(config.Redis), EncryptionKeys: inBase64(testKey), Timeout: time.Second})
	if err != nil {
		return err
	}
	client, err := helseid.ParseConfig(config.Client)
	if err != nil {
		return err
	}
	if client.DPoPKey, err = dpop.ParseKey(config.DPoPKey, dpop.KeyOptions{}); err != nil {
		return err
	}
	client.Store, client.TokenCache = store.Rows(), store.TokenCache()
	shared, err := helseid.New(client)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, name := range []string{"a", "b"} {
		web, err := weblogin.New(weblogin.Config{
			Client: shared, CookieName: "app-" + name, HomePath: "/" + name + "/",
			LoginPath: "/" + name + "/login", LogoutPath: "/" + name + "/logout", BackChannelLogoutPath: "/" + name + "/back",
			PostLogoutRedirectURI: config.Origin + "/bye",
			Login: helseid.LoginRequest{
				RedirectURI: config.Origin + "/" + name + "/callback",
				Scopes:      []string{helseid.ScopeOfflineAccess, checkerScope},
			},
		})
		if err != nil {
			return err
		}
		web.Mount(mux)
		answer := func(rw http.ResponseWriter, r *http.Request) {
			user := weblogin.Session(r.Context()).User()
			_ = json.NewEncoder(rw).Encode(workerPage{user.Subject, user.SessionID})
		}
		mux.Handle("/"+name+"/me", web.Require(answer))
		mux.Handle("/"+name+"/token", web.Require(func(rw http.ResponseWriter, r *http.Request) {
			if _, err := weblogin.Session(r.Context()).Token(r.Context(), helseid.TokenRequest{}); err != nil {
				rw.WriteHeader(http.StatusBadGateway)
				return
			}
			answer(rw, r)
		}))
	}
	mux.HandleFunc("/bye", func(http.ResponseWriter, *http.Request) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, mux)
}

// worker is a process that can be killed and started again.
type worker struct {
	config string
	mu     sync.Mutex
	cmd    *exec.Cmd
	target atomic.Pointer[url.URL]
}

func (w *worker) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cmd = exec.Command(os.Args[0])
	w.cmd.Env = append(os.Environ(), workerVariable+"="+w.config)
	w.cmd.Stderr = os.Stderr
	endWithParent(w.cmd)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.cmd.Start(); err != nil {
		return err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	w.target.Store(&url.URL{Scheme: "http", Host: strings.TrimSpace(address)})
	return err
}

func (w *worker) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// credential is the cookies of a browser whose session has ended.
type credential struct {
	app     string
	jar     http.CookieJar
	ended   time.Time
	channel string
}

// checker is the one who knows.
type checker struct {
	helseid *helseidtest.Server
	origin  string
	client  string // its id

	mu    sync.Mutex
	dead  []credential
	wrong []string

	logins, passed, logouts, backChannel, refused, unknown, failed atomic.Int64
}

func TestNobodyPassesAfterALogout(t *testing.T) {
	redis := startServerOn(t, 0)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &checker{origin: "http://" + front.Addr().String()}
	c.helseid, err = helseidtest.Start(helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(checkerTokens))
	require.NoError(t, err)
	defer c.helseid.Close()
	file := c.helseid.ConfigFile(helseidtest.Client{
		ID: "checker", Scopes: []string{checkerScope},
		RedirectURIs:           []string{c.origin + "/a/callback", c.origin + "/b/callback"},
		PostLogoutRedirectURIs: []string{c.origin + "/bye"},
		BackChannelLogoutURI:   c.origin + "/a/back",
	})
	c.client = "checker"
	key, err := dpop.GenerateKey(dpop.KeyOptions{})
	require.NoError(t, err)
	jwk, err := key.MarshalPrivateJWK()
	require.NoError(t, err)
	config, err := json.Marshal(workerConfig{redis.url(), file, jwk, c.origin})
	require.NoError(t, err)
	workers := []*worker{{config: string(config)}, {config: string(config)}}
	for _, worker := range workers {
		require.NoError(t, worker.start())
		defer worker.kill()
	}
	proxy := &http.Server{Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(workers[rand.N(len(workers))].target.Load())
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}}
	go func() { _ = proxy.Serve(front) }()
	defer func() { _ = proxy.Close() }()

	ctx, stop := context.WithTimeout(t.Context(), *checkerTime)
	defer stop()
	var running sync.WaitGroup
	for range checkerUsers {
		running.Go(func() { c.liveAsUser(ctx) })
	}
	for range 2 {
		running.Go(func() { c.haunt(ctx) })
	}
	restarts, restores, kills := disturb(ctx, t, redis, workers)
	running.Wait()

	// And all of them once more, now that nothing is disturbed.
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	time.Sleep(2 * time.Second) // the breaker has closed
	for _, credential := range dead {
		c.try(t.Context(), credential)
	}
	t.Logf("%d logins, %d requests passed, %d logouts, %d back-channel logouts, %d without a certain answer, %d requests failed",
		c.logins.Load(), c.passed.Load(), c.logouts.Load(), c.backChannel.Load(), c.unknown.Load(), c.failed.Load())
	t.Logf("%d restarts of Redis, %d of them from an older snapshot, %d processes killed, %d refreshes", restarts, restores, kills, c.refreshes())
	t.Logf("%d requests of %d ended sessions were refused", c.refused.Load(), len(dead))
	require.Empty(t, c.wrong)
	require.Positive(t, c.passed.Load())
	require.Positive(t, c.logouts.Load())
	require.Positive(t, c.backChannel.Load())
	require.Positive(t, c.refused.Load())
	require.Positive(t, restores)
	require.Positive(t, c.refreshes())
}

func (c *checker) refreshes() (count int) {
	for _, request := range c.helseid.Requests(helseidtest.EndpointToken) {
		if request.Form.Get("grant_type") == "refresh_token" {
			count++
		}
	}
	return count
}

// disturb restarts Redis, every other time from a snapshot that is older than what it
// knew, and kills processes, until the context ends.
func disturb(ctx context.Context, t *testing.T, redis *server, workers []*worker) (restarts, restores, kills int) {
	t.Helper()
	dump := filepath.Join(redis.dir, "dump.rdb")
	pause := func(least, most time.Duration) bool {
		select {
		case <-time.After(least + rand.N(most-least)):
			return true
		case <-ctx.Done():
			return false
		}
	}
	scale := min(*checkerTime/8, 12*time.Second)
	for pause(scale/2, scale) {
		redis.do(t, "SAVE")
		old, err := os.ReadFile(dump)
		require.NoError(t, err)
		if !pause(scale/2, scale) {
			break
		}
		older := restarts%2 == 0
		if !older {
			redis.do(t, "SAVE")
		}
		redis.kill()
		if older {
			require.NoError(t, os.WriteFile(dump, old, 0o600))
			restores++
		}
		pause(0, scale/8)
		redis.start(t)
		restarts++
		if restarts%3 == 0 {
			worker := workers[rand.N(len(workers))]
			worker.kill()
			require.NoError(t, worker.start())
			kills++
		}
	}
	return restarts, restores, kills
}

// get asks for a page of an application, as a browser or, if it must not log in, as a
// script does.
func get(ctx context.Context, client *http.Client, target string, navigate bool) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, nil, err
	}
	if !navigate {
		request.Header.Set("Accept", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response, body, err
}

// liveAsUser logs in, calls, and logs out, again and again.
func (c *checker) liveAsUser(ctx context.Context) {
	for ctx.Err() == nil {
		client := c.helseid.Browser()
		client.Timeout = 20 * time.Second
		app := []string{"a", "b"}[rand.N(2)]
		response, body, err := get(ctx, client, c.origin+"/"+app+"/me", true)
		var page workerPage
		if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(body, &page) != nil || page.Subject == "" {
			c.failed.Add(1)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		c.logins.Add(1)
		used := copyCookies(client.Jar, c.origin)
		for range 1 + rand.N(12) {
			response, _, err := get(ctx, client, c.origin+"/"+app+"/"+[]string{"me", "token"}[rand.N(2)], false)
			switch {
			case err != nil || response.StatusCode >= http.StatusInternalServerError:
				c.failed.Add(1)
			case response.StatusCode == http.StatusOK:
				c.passed.Add(1)
			}
			time.Sleep(rand.N(time.Second))
		}
		end, channel := c.logOut, "logout"
		if rand.N(2) == 0 {
			end, channel = c.tellLogout, "back channel"
		}
		if !end(ctx, client, app, page) {
			c.unknown.Add(1)
			continue
		}
		c.mu.Lock()
		c.dead = append(c.dead, credential{app, used, time.Now(), channel})
		c.mu.Unlock()
	}
}

// copyCookies keeps what a thief would have.
func copyCookies(jar http.CookieJar, origin string) http.CookieJar {
	u, _ := url.Parse(origin)
	stolen, _ := cookiejar.New(nil) // never fails without options
	stolen.SetCookies(u, jar.Cookies(u))
	return stolen
}

// logOut presses the button, and reports that the application says it has happened.
func (c *checker) logOut(ctx context.Context, client *http.Client, app string, _ workerPage) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin+"/"+app+"/logout", nil)
	if err != nil {
		return false
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	first := *client
	first.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := first.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	target := response.Header.Get("Location")
	if response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(target, c.helseid.Issuer()) {
		return false
	}
	c.logouts.Add(1)
	return true
}

// tellLogout is HelseID's word, and reports that it was answered as carried out.
func (c *checker) tellLogout(ctx context.Context, client *http.Client, app string, page workerPage) bool {
	token := c.helseid.LogoutToken(mint.Audience(c.client), mint.Claim("sub", page.Subject), mint.Claim("sid", page.SID))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin+"/"+app+"/back", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := (&http.Client{Timeout: client.Timeout}).Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false
	}
	c.backChannel.Add(1)
	return true
}

// haunt tries cookies of sessions that have ended.
func (c *checker) haunt(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		var chosen *credential
		if len(c.dead) > 0 {
			credential := c.dead[rand.N(len(c.dead))]
			if recent := c.dead[max(0, len(c.dead)-20):]; rand.N(2) == 0 {
				credential = recent[rand.N(len(recent))]
			}
			chosen = &credential
		}
		c.mu.Unlock()
		if chosen != nil {
			c.try(ctx, *chosen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// try makes a request with the cookies of a session that has ended. The application
// may say no, or that it cannot tell.
func (c *checker) try(ctx context.Context, dead credential) {
	start := time.Now()
	client := &http.Client{Jar: copyCookies(dead.jar, c.origin), Timeout: 20 * time.Second}
	response, _, err := get(ctx, client, c.origin+"/"+dead.app+"/"+[]string{"me", "token"}[rand.N(2)], false)
	if err != nil {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			c.failed.Add(1)
		}
		return
	}
	switch response.StatusCode {
	case http.StatusUnauthorized:
		c.refused.Add(1)
	case http.StatusOK:
		c.mu.Lock()
		c.wrong = append(c.wrong, fmt.Sprintf("a session that had ended %v before (%s) passed", start.Sub(dead.ended).Round(time.Millisecond), dead.channel))
		c.mu.Unlock()
	default:
		c.failed.Add(1)
	}
}
