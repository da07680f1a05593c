package helseidtest

import (
	"net/http"
	"strings"
	"time"
)

const sessionCookie = "helseidtest-session"

// browserSession is a browser's single sign-on.
type browserSession struct {
	login   login
	clients []string // which have logged in with it
}

func cookieOf(r *http.Request) string {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		return cookie.Value
	}
	return ""
}

func (s *Server) browserSession(r *http.Request) *browserSession {
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	return s.logins.browsers[cookieOf(r)]
}

// isWithin reports whether an age is not negative and at most the limit.
func isWithin(age, most time.Duration) bool { return age >= 0 && age <= most }

// isEnough reports whether the user need not log in again.
func (s *Server) isEnough(l login, pushed *authorization) bool {
	switch {
	case pushed.asks("login") || pushed.asks("select_account"):
	case pushed.maxAge == 0 || pushed.maxAge > 0 && !isWithin(s.Now().Sub(l.authTime), pushed.maxAge):
	case pushed.acr.idp != "" && pushed.acr.idp != l.idp:
	case pushed.acr.level > l.level:
	case pushed.testPID != "" && pushed.testPID != l.user.PersonalIdentityNumber:
	default:
		return true
	}
	return false
}

// cookie returns a cookie for the browser's session, or deletes it if the value is
// empty.
func (s *Server) cookie(name, value string) *http.Cookie {
	cookie := &http.Cookie{
		Name: name, Value: value, Path: s.base + "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.issuer, "https:"),
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	return cookie
}
