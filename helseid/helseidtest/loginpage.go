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

// LoginPage puts a page between a login and its end: the handler, which shows
// it, gets what it sends as well, and ends the login with Complete or Cancel. A
// form without an action does, since it is sent to where it came from. Logins
// with test_pid, silent ones and Server.LogIn do without the page.
func LoginPage(page func(w http.ResponseWriter, r *http.Request, login *PendingLogin)) Option {
	return func(o *options) { o.loginPage = page }
}

// PendingLogin is a login that waits for the user. It belongs to one browser,
// lives ten minutes and ends once.
type PendingLogin struct {
	server  *Server
	pushed  redact.Hidden[*authorization]
	browser redact.Hidden[string] // the cookie
	id      string
	expiry  time.Time
}

// ErrLoginEnded means that the login has been completed or cancelled before.
var ErrLoginEnded = errors.New("helseidtest: the login has ended before")

// ClientID is the client that the user logs in to.
func (p *PendingLogin) ClientID() string { return p.pushed.Reveal().client.ID }

// ClientName is the client's name.
func (p *PendingLogin) ClientName() string { return p.pushed.Reveal().client.Name }

// Scopes are those that the client asks for.
func (p *PendingLogin) Scopes() []string { return slices.Clone(p.pushed.Reveal().scopes) }

// ACRValues are the values of acr_values.
func (p *PendingLogin) ACRValues() []string { return slices.Clone(p.pushed.Reveal().acr.all) }

// SecurityLevel is the one that the client asks for: 4, or 0 for any. HelseID
// lets a user in at a lower one, too; the client has to look.
func (p *PendingLogin) SecurityLevel() int { return p.pushed.Reveal().acr.level }

// IdentityProvider is the one that the client asks for, or "".
func (p *PendingLogin) IdentityProvider() string { return p.pushed.Reveal().acr.idp }

// Prompt are the values of prompt.
func (p *PendingLogin) Prompt() []string { return slices.Clone(p.pushed.Reveal().prompt) }

// Users are the people who can log in.
func (p *PendingLogin) Users() []User { return p.server.Users() }

// Complete logs the chosen user in and sends the browser back to the client. An
// error leaves the answer to the caller.
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

// Cancel sends the browser back to the client with access_denied.
func (p *PendingLogin) Cancel(w http.ResponseWriter, r *http.Request) error {
	return p.Complete(w, r, Choice{Cancel: true})
}

// startLogin sends the browser to the page. The cookie is kept as long as the
// browser: each of its logins goes with it.
func (s *Server) startLogin(w http.ResponseWriter, r *http.Request, pushed *authorization) {
	pending := &PendingLogin{server: s, pushed: redact.Hide(pushed), id: rand.Text(), expiry: s.Now().Add(pendingLifetime)}
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
	http.Redirect(w, r, s.issuer+string(EndpointLogin)+"?"+url.Values{"login": {pending.id}}.Encode(), http.StatusFound)
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
	s.options.loginPage(w, r, pending)
}
