package helseidtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

const codeLifetime = time.Minute

// Choice is how a login ends, and who logs in. Printed, logged or marshalled it reads
// "[redacted]".
type Choice struct {
	unprintable

	// User is the person's national identity number. Empty means the first of
	// [Server.Users].
	User string

	// SecurityLevel is the level of the login, 2 to 4. Zero means the user's own.
	SecurityLevel int

	// IdentityProvider is the provider that the user chose. Empty means the one that
	// the client asked for, or else the user's own.
	IdentityProvider string

	// Cancel cancels the login.
	Cancel bool
}

// serveAuthorize redirects the browser back to the client or to the login page.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	pushed, problem := s.takePushed(r)
	if problem != "" {
		writePage(w, http.StatusBadRequest, "<p>"+html.EscapeString(problem)+"</p>")
		return
	}
	session := s.browserSession(r)
	choice, chosen := r.Context().Value(choiceKey{}).(Choice)
	switch {
	case session != nil && s.isEnough(session.login, pushed):
		s.answerCode(w, r, pushed, cookieOf(r))
	case pushed.asks("none"):
		s.answerError(w, r, pushed, "login_required", "the user is not logged in, or not as asked for")
	case !chosen && s.options.loginPage != nil && pushed.testPID == "":
		s.startLogin(w, r, pushed)
	default:
		s.endLogin(w, r, pushed, choice)
	}
}

// takePushed finds the pushed request that the browser refers to. The user is shown any
// problem, since the client cannot be identified reliably.
func (s *Server) takePushed(r *http.Request) (_ *authorization, problem string) {
	if r.Method != http.MethodGet {
		return nil, "the authorization endpoint takes GET only"
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, "the query cannot be read"
	}
	if s.demands(rule.Parameters) {
		for name, values := range query {
			if name != "client_id" && name != "request_uri" || len(values) > 1 {
				return nil, "the authorization endpoint takes client_id and request_uri only, once each: push the others"
			}
		}
	}
	client := s.client(query.Get("client_id"))
	if client == nil {
		return nil, "unknown client"
	}
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	pushed := s.logins.pushed[query.Get("request_uri")]
	switch {
	case pushed == nil:
		return nil, "request_uri is missing or unknown"
	case s.demands(rule.SameClient) && pushed.client.ID != client.ID:
		return nil, "the request was pushed by another client"
	case s.demands(rule.SingleUse) && pushed.used:
		return nil, "request_uri has been used before"
	case s.demands(rule.Expiry) && !s.Now().Before(pushed.expiry):
		return nil, "request_uri has expired"
	}
	pushed.used = true
	return pushed, ""
}

type choiceKey struct{}

// withChoice lets LogIn decide on behalf of the user.
func withChoice(ctx context.Context, choice Choice) context.Context {
	return context.WithValue(ctx, choiceKey{}, choice)
}

// endLogin carries out the user's choice.
func (s *Server) endLogin(w http.ResponseWriter, r *http.Request, pushed *authorization, choice Choice) {
	if choice.Cancel {
		s.answerError(w, r, pushed, "access_denied", "the user cancelled the login")
		return
	}
	user, known := s.userByNumber(cmp.Or(choice.User, pushed.testPID, s.Users()[0].PersonalIdentityNumber))
	level := cmp.Or(choice.SecurityLevel, pushed.testLevel, user.SecurityLevel)
	if !known || level < 2 || level > 4 {
		writePage(w, http.StatusBadRequest, "<p>there is no such user or security level</p>")
		return
	}
	now := s.Now()
	next := &browserSession{login: login{
		user:     user,
		level:    level,
		idp:      cmp.Or(choice.IdentityProvider, pushed.acr.idp, user.IdentityProvider),
		amr:      []string{cmp.Or(pushed.acr.amr, "pwd")},
		authTime: now,
		sid:      strings.ToUpper(rand.Text()),
	}}
	cookie := rand.Text()
	s.logins.mu.Lock()
	if old := s.logins.browsers[cookieOf(r)]; old != nil {
		if old.login.user.Subject == user.Subject {
			next.login.sid, next.clients = old.login.sid, old.clients
		}
		delete(s.logins.browsers, cookieOf(r))
	}
	s.logins.browsers[cookie] = next
	s.logins.mu.Unlock()
	http.SetCookie(w, s.cookie(sessionCookie, cookie))
	s.answerCode(w, r, pushed, cookie)
}

// answerCode redirects the browser to the client with a code for its session.
func (s *Server) answerCode(w http.ResponseWriter, r *http.Request, pushed *authorization, cookie string) {
	value := rand.Text()
	now := s.Now()
	s.logins.mu.Lock()
	session := s.logins.browsers[cookie]
	if session == nil { // the user has logged out meanwhile
		s.logins.mu.Unlock()
		s.answerError(w, r, pushed, "login_required", "the session has ended")
		return
	}
	if !slices.Contains(session.clients, pushed.client.ID) {
		session.clients = append(slices.Clone(session.clients), pushed.client.ID)
	}
	s.logins.sweep(now)
	s.logins.codes[value] = &code{authorization: pushed, login: session.login, expiry: now.Add(codeLifetime)}
	s.logins.mu.Unlock()
	salt := rand.Text()
	state := sha256.Sum256([]byte(pushed.client.ID + session.login.sid + salt))
	s.answer(w, r, pushed, url.Values{
		"code":          {value},
		"session_state": {base64.RawURLEncoding.EncodeToString(state[:]) + "." + salt},
	})
}

func (s *Server) answerError(w http.ResponseWriter, r *http.Request, pushed *authorization, code, description string) {
	s.answer(w, r, pushed, url.Values{"error": {code}, "error_description": {description}})
}

// answer redirects the browser to the client (RFC 6749 section 4.1.2, RFC 9207).
func (s *Server) answer(w http.ResponseWriter, r *http.Request, pushed *authorization, values url.Values) {
	values.Set("iss", s.issuer)
	if pushed.state != "" {
		values.Set("state", pushed.state)
	}
	s.mu.Lock()
	alter := s.alterCallback
	s.mu.Unlock()
	if alter != nil {
		alter(values)
	}
	target, err := url.Parse(pushed.redirectURI)
	if err != nil { // unreachable: PAR has parsed it
		writePage(w, http.StatusInternalServerError, "<p>redirect_uri</p>")
		return
	}
	query := target.Query()
	for name := range values {
		query[name] = values[name]
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// writePage shows a page to the user.
func writePage(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<!DOCTYPE html><html lang=\"en\"><title>helseidtest</title>" + body + "</html>\n"))
}
