package weblogin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/httpx"
)

// Require guards a handler: only requests of logged-in users reach it. A browser that
// navigates to a page (by Sec-Fetch-Mode, or else an Accept header with text/html)
// without a session is sent to log in and comes back; a request of a script or a form
// is answered with 401. Requests that change something must come from the
// application's own pages (by the headers Sec-Fetch-Site and Origin), or are answered
// with 403. Every session must have the level of [Config.Login]. It panics without a
// handler.
func (w *Web) Require(handler http.HandlerFunc) http.Handler { return w.RequireLevel(0, handler) }

// RequireLevel works like [Web.Require] and also requires a security level. Users
// with a lower one are sent to a new login at this level and come back; meanwhile
// their session remains, and nobody else can take it over. HelseID states the level
// only if it is asked for: name [helseid.ScopeSecurityLevel] in Config.Login.Scopes,
// or a level there; otherwise every user must log in twice. It panics for a level
// that does not exist: the levels are 2, 3 and 4, and 0 means any.
func (w *Web) RequireLevel(level identity.SecurityLevel, handler http.HandlerFunc) http.Handler {
	if level != 0 && (level < identity.SecurityLevel2 || level > identity.SecurityLevel4) {
		panic(fmt.Sprintf("weblogin: RequireLevel: there is no security level %d", level))
	}
	return w.require(level, 0, handler)
}

// RequireRecent works like [Web.Require] and also requires that the user has
// authenticated (auth_time) less than this age ago, for pages that need to know who sits
// there now. Other users are sent to a new login (prompt=login), at the levels that their
// session has, and come back; meanwhile their session remains, and nobody else can take it
// over. A form that is too late is answered with 401 and lost, so guard the page that shows
// it with a shorter age.
//
// For a page that needs a security level, too, let RequireLevel guard the handler that
// RequireRecent returns. It panics for an age below a minute: a login takes time, and the
// user must come back before it is too old.
func (w *Web) RequireRecent(age time.Duration, handler http.HandlerFunc) http.Handler {
	if age < freshLogin {
		panic(fmt.Sprintf("weblogin: RequireRecent: the age is %v, and must be %v at least", age, freshLogin))
	}
	return w.require(0, age, handler)
}

// require guards a handler with a security level and the age of the login, of which zero
// means any.
func (w *Web) require(level identity.SecurityLevel, age time.Duration, handler http.HandlerFunc) http.Handler {
	level = max(level, w.config.Login.SecurityLevel) // a session may be older than a raised configuration
	wanted := Problem{SecurityLevel: level, AssuranceLevel: w.config.Login.AssuranceLevel}
	return w.guarded(handler, func(rw http.ResponseWriter, r *http.Request, session *helseid.Session, why Loop) bool {
		problem := wanted // the request's own: others are under way
		switch {
		case session == nil:
			problem.Kind, problem.Status = KindLoginRequired, http.StatusUnauthorized
			w.demand(rw, r, problem, "", why)
		case session.User().SecurityLevel < level, session.User().AssuranceLevel < w.config.Login.AssuranceLevel:
			problem.Kind, problem.Status = KindLevelTooLow, http.StatusForbidden
			w.demand(rw, r, problem, "", LoopLevel)
		case age > 0 && !younger(session.User().AuthenticatedAt, time.Now(), age):
			problem.Kind, problem.Status = KindLoginRequired, http.StatusUnauthorized
			problem.SecurityLevel = max(level, session.User().SecurityLevel) // a guard around this one may require it
			problem.AssuranceLevel = max(problem.AssuranceLevel, session.User().AssuranceLevel)
			w.demand(rw, r, problem, helseid.PromptLogin, LoopTooOld)
		default:
			return true
		}
		return false
	})
}

// Optional puts the session into the context if there is one with the level of
// [Config.Login], and accepts requests without one.
func (w *Web) Optional(handler http.HandlerFunc) http.Handler {
	return w.guarded(handler, func(http.ResponseWriter, *http.Request, *helseid.Session, Loop) bool { return true })
}

// guarded calls the handler if pass returns true. Otherwise pass has answered,
// because of the session, or because there is none (for which Loop is the reason).
func (w *Web) guarded(handler http.HandlerFunc, pass func(http.ResponseWriter, *http.Request, *helseid.Session, Loop) bool) http.Handler {
	if handler == nil {
		panic("weblogin: a guard needs a handler")
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		private(rw)
		if !w.config.AllowFraming {
			unframed(rw)
		}
		if err := w.origins.Check(withEffect(r)); err != nil {
			w.fail(rw, r, Problem{Kind: KindCrossOrigin, Status: http.StatusForbidden}, err)
			return
		}
		session, why, err := w.lookUp(rw, r)
		if err != nil {
			w.fail(rw, r, Problem{Kind: KindUnavailable, Status: http.StatusServiceUnavailable, LoginURL: w.outside(w.here(r))}, err)
			return
		}
		if !pass(rw, r, session, why) {
			return
		}
		if session == nil || session.User().SecurityLevel < w.config.Login.SecurityLevel ||
			session.User().AssuranceLevel < w.config.Login.AssuranceLevel {
			handler(rw, r)
			return
		}
		show := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.show(rw, r, handler) })
		httpx.ServeContext(show, rw, r, context.WithValue(r.Context(), contextKey{}, session))
	})
}

// show calls a handler for a user. When the handler shows a page, it resets the count
// of logins that have led to no page.
func (w *Web) show(rw http.ResponseWriter, r *http.Request, handler http.HandlerFunc) {
	visit := w.visitOf(r)
	if !visit.isUnderWay() {
		handler(rw, r)
		return
	}
	shown := func() { w.setVisit(rw, visit.ended()) }
	if !isNavigation(r) {
		shown()
		handler(rw, r)
		return
	}
	page := httpx.BeforeHeader(rw, func(status int) int {
		isRedirect := status >= http.StatusMultipleChoices && status < http.StatusBadRequest
		if status != http.StatusSwitchingProtocols && !isRedirect {
			shown()
		}
		return status
	})
	handler(page, r)
	page.Close()
}

// withEffect makes a request that opens a WebSocket look like one that changes
// something, because the connection can. Browsers let pages of other sites open them.
func withEffect(r *http.Request) *http.Request {
	if r.Header.Get("Upgrade") == "" {
		return r
	}
	changing := r.Clone(r.Context())
	changing.Method = http.MethodPost
	return changing
}

// demand sends a browser to log in, and answers other clients that a login is needed.
// It remembers why the session was not accepted, if a login has just finished.
func (w *Web) demand(rw http.ResponseWriter, r *http.Request, problem Problem, prompt helseid.Prompt, why Loop) {
	problem.LoginURL = w.loginURL(w.here(r), demands{problem.SecurityLevel, problem.AssuranceLevel, prompt})
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && isNavigation(r) {
		if visit := w.visitOf(r); visit.rounds > 0 {
			visit.why = why
			w.setVisit(rw, visit)
		}
		redirect(rw, problem.LoginURL)
		return
	}
	w.fail(rw, r, problem, nil)
}

// lookUp finds the session by the cookie, or returns why there is none. It clears a
// cookie without a session. An error means that this could not be found out.
func (w *Web) lookUp(rw http.ResponseWriter, r *http.Request) (session *helseid.Session, why Loop, err error) {
	id, present := w.cookies.value(r, w.cookies.session)
	if !present {
		return nil, LoopNoCookie, nil
	}
	session, why, err = w.session(r.Context(), id)
	if err == nil && session == nil {
		w.cookies.clear(rw, w.cookies.session)
	}
	return session, why, err
}

// session finds a session of this application by its id, and ends it if it is too
// old.
func (w *Web) session(ctx context.Context, id string) (*helseid.Session, Loop, error) {
	session, err := w.config.Client.Sessions().Get(ctx, id)
	switch {
	case errors.Is(err, helseid.ErrSessionExpired):
		return nil, LoopTooOld, nil
	case errors.Is(err, helseid.ErrLoginRequired):
		return nil, LoopEnded, nil
	case err != nil:
		return nil, "", err
	case session.Application() != w.config.Application:
		return nil, LoopOtherApplication, nil // not ended: the other application may still use it
	case !isYoung(authenticatedAt(session), time.Now(), w.config.MaxSessionAge): // the session may be older than a lowered configuration
		w.end(ctx, id, helseid.EndedByAge)
		return nil, LoopTooOld, nil
	}
	return session, "", nil
}

// maxClockStep is how far in the future an authentication may seem to be: a small
// correction of a clock must not end sessions.
const maxClockStep = 5 * time.Minute

// isYoung reports that a user has authenticated less than an age ago. It is false for
// a time too far in the future, which says nothing about an age.
func isYoung(authenticated, now time.Time, age time.Duration) bool {
	passed := now.Sub(authenticated)
	return passed < age && passed >= -maxClockStep
}

// authenticatedAt returns when the user has authenticated, as far as HelseID states
// it.
func authenticatedAt(session *helseid.Session) time.Time {
	if at := session.User().AuthenticatedAt; !at.IsZero() {
		return at
	}
	return session.Identity().IssuedAt
}

// isNavigation distinguishes pages that a browser navigates to from what a page
// loads, also into a frame of another site, and from prefetches.
func isNavigation(r *http.Request) bool {
	if r.Header.Get("Sec-Purpose") != "" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		destination := r.Header.Get("Sec-Fetch-Dest")
		return mode == "navigate" && (destination == "" || destination == "document" || r.Header.Get("Sec-Fetch-Site") == "same-origin")
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "text/html") && r.Header.Get("X-Requested-With") == ""
}
