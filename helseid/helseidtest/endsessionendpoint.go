package helseidtest

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// logoutTimeout bounds a back-channel request to a client.
const logoutTimeout = 5 * time.Second

// serveEndSession ends the browser's single sign-on (OpenID Connect RP-Initiated Logout
// 1.0) and notifies the clients that took part. Refresh tokens stay valid: clients
// revoke their own.
func (s *Server) serveEndSession(w http.ResponseWriter, r *http.Request) {
	next, sid, problem := s.checkLogout(r)
	if problem != "" {
		writePage(w, http.StatusBadRequest, "<p>"+html.EscapeString(problem)+"</p>")
		return
	}
	var frames strings.Builder
	for _, session := range s.endSessions(cookieOf(r), sid) {
		for _, id := range session.clients {
			client := s.client(id)
			if client == nil {
				continue
			}
			s.backChannelLogout(r.Context(), client, session.login)
			if client.FrontChannelLogoutURI != "" {
				fmt.Fprintf(&frames, `<iframe src="%s"></iframe>`, html.EscapeString(s.frontChannelURL(client, session.login)))
			}
		}
	}
	http.SetCookie(w, s.cookie(sessionCookie, ""))
	if next != "" && frames.Len() == 0 {
		http.Redirect(w, r, next, http.StatusFound)
		return
	}
	if next != "" {
		w.Header().Set("Refresh", "1; url="+next)
	}
	writePage(w, http.StatusOK, "<p>You are logged out.</p>"+frames.String())
}

// checkLogout checks the request. The hint may have expired: it identifies the session
// to end and grants no access.
func (s *Server) checkLogout(r *http.Request) (next, sid, problem string) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return "", "", "the end session endpoint takes GET and POST only"
	}
	hint, next := r.Form.Get("id_token_hint"), r.Form.Get("post_logout_redirect_uri")
	var registered []string
	if hint != "" {
		typ, claims, problem := s.ownToken(hint)
		if problem != "" {
			return "", "", "id_token_hint " + problem
		}
		if typ != "JWT" {
			return "", "", "id_token_hint is not an ID token"
		}
		audience, _ := claims.Get("aud").Text()
		if client := s.client(audience); client != nil {
			registered = client.PostLogoutRedirectURIs
		}
		sid, _ = claims.Get("sid").Text()
	}
	if next == "" {
		return "", sid, ""
	}
	target, err := url.Parse(next)
	switch {
	case err != nil || target.Scheme == "":
		return "", "", "post_logout_redirect_uri is not an absolute URI"
	case s.demands(rule.RedirectURI) && hint == "":
		return "", "", "post_logout_redirect_uri needs an id_token_hint"
	case s.demands(rule.RedirectURI) && !registeredURI(registered, next):
		return "", "", "post_logout_redirect_uri is not registered for the client"
	}
	if r.Form.Has("state") {
		query := target.Query()
		query.Set("state", r.Form.Get("state"))
		target.RawQuery = query.Encode()
	}
	return target.String(), sid, ""
}

// endSessions ends the browser's session and the session of the hint.
func (s *Server) endSessions(cookie, sid string) []*browserSession {
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	var ended []*browserSession
	for name, session := range s.logins.browsers {
		if name == cookie || sid != "" && session.login.sid == sid {
			ended = append(ended, &browserSession{session.login, slices.Clone(session.clients)})
			delete(s.logins.browsers, name)
		}
	}
	return ended
}

// backChannelLogout notifies a client and waits for its response. As with HelseID, the
// notification is not repeated if the client cannot be reached.
func (s *Server) backChannelLogout(ctx context.Context, client *Client, l login) {
	if client.BackChannelLogoutURI == "" {
		return
	}
	token, err := s.logoutToken(l, mint.Audience(client.ID))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()
	form := url.Values{"logout_token": {token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackChannelLogoutURI, strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.HTTPClient().Do(request)
	if err != nil {
		return
	}
	_ = response.Body.Close()
}

func (s *Server) frontChannelURL(client *Client, l login) string {
	target, err := url.Parse(client.FrontChannelLogoutURI)
	if err != nil {
		return client.FrontChannelLogoutURI
	}
	query := target.Query()
	query.Set("iss", s.issuer)
	query.Set("sid", l.sid)
	target.RawQuery = query.Encode()
	return target.String()
}
