package helseidtest

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

const (
	loginCookie     = "helseidtest-login"
	pendingLifetime = 10 * time.Minute
)

// LoginPage shows a page during logins. The handler shows the page, receives the form
// that the page submits, and ends the login with [PendingLogin.Complete]. A form
// without an action is submitted to the handler, since it goes to the page's own URL.
// Logins with test_pid, silent logins and [Server.LogIn] skip the page.
func LoginPage(page func(w http.ResponseWriter, r *http.Request, login *PendingLogin)) Option {
	return option(func(o *options) { o.loginPage = page })
}

// PendingLogin is a login that waits for the user. It belongs to one browser, expires
// after ten minutes and ends once. Its fields are what the client has requested.
type PendingLogin struct {
	// ClientID and ClientName are the client that the user logs in to.
	ClientID, ClientName string

	// Scopes are the requested scopes.
	Scopes []string

	// ACRValues are the values of acr_values.
	ACRValues []string

	// SecurityLevel is the requested level: 4, or 0 for any. HelseID also accepts a
	// login at a lower level, so the client must check the level.
	SecurityLevel int

	// IdentityProvider is the requested provider, or "".
	IdentityProvider string

	// Prompt are the values of prompt.
	Prompt []string

	server  *Server
	pushed  redact.Hidden[*authorization]
	browser redact.Hidden[string] // the cookie
	id      string
	expiry  time.Time
}

// ErrLoginEnded means that the login has already been completed or cancelled.
var ErrLoginEnded = errors.New("helseidtest: the login has ended before")

// Users returns the people who can log in.
func (p *PendingLogin) Users() []User { return p.server.Users() }

// Complete logs the chosen user in, or cancels the login, and redirects the browser to
// the client. If it returns an error, the caller must write the response.
func (p *PendingLogin) Complete(w http.ResponseWriter, r *http.Request, choice Choice) error {
	if _, known := p.server.userByNumber(choice.User); !known && choice.User != "" {
		return errors.New("helseidtest: Choice.User is not one of the server's users")
	}
	if choice.SecurityLevel != 0 && (choice.SecurityLevel < 2 || choice.SecurityLevel > 4) {
		return errors.New("helseidtest: Choice.SecurityLevel must be 2, 3 or 4")
	}
	s := p.server
	s.logins.mu.Lock()
	_, waits := s.logins.pending[p.id]
	delete(s.logins.pending, p.id)
	s.logins.mu.Unlock()
	if !waits {
		return ErrLoginEnded
	}
	s.endLogin(w, r, p.pushed.Reveal(), choice)
	return nil
}

// startLogin redirects the browser to the page. The cookie lives as long as the
// browser's session and is shared by all its logins.
func (s *Server) startLogin(w http.ResponseWriter, r *http.Request, pushed *authorization) {
	pending := &PendingLogin{
		ClientID: pushed.client.ID, ClientName: pushed.client.Name, Scopes: slices.Clone(pushed.scopes),
		ACRValues: slices.Clone(pushed.acr.all), SecurityLevel: pushed.acr.level, IdentityProvider: pushed.acr.idp,
		Prompt: slices.Clone(pushed.prompt),
		server: s, pushed: redact.Hide(pushed), id: rand.Text(), expiry: s.Now().Add(pendingLifetime),
	}
	if cookie, err := r.Cookie(loginCookie); err == nil && len(cookie.Value) == len(pending.id) {
		pending.browser = redact.HideText(cookie.Value)
	} else {
		pending.browser = redact.HideText(rand.Text())
		http.SetCookie(w, s.cookie(loginCookie, pending.browser.Reveal()))
	}
	s.logins.mu.Lock()
	s.logins.sweep(s.Now())
	s.logins.pending[pending.id] = pending
	s.logins.mu.Unlock()
	http.Redirect(w, r, s.issuer+string(endpointLogin)+"?"+url.Values{"login": {pending.id}}.Encode(), http.StatusFound)
}

func (s *Server) serveLogin(w http.ResponseWriter, r *http.Request) {
	s.logins.mu.Lock()
	pending := s.logins.pending[r.URL.Query().Get("login")]
	s.logins.mu.Unlock()
	cookie, err := r.Cookie(loginCookie)
	if pending == nil || err != nil || !s.Now().Before(pending.expiry) ||
		subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(pending.browser.Reveal())) != 1 {
		writePage(w, http.StatusBadRequest, "<p>this login is unknown, has ended, or was started in another browser</p>")
		return
	}
	w.Header().Set("X-Frame-Options", "DENY")
	shown := *pending // a copy for the page
	s.options.loginPage(w, r, &shown)
}
