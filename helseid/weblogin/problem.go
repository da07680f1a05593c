package weblogin

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Problem is what an error page is about. It contains nothing about a person or about
// what was sent.
type Problem struct {
	// Kind says what went wrong.
	Kind Kind

	// Status is the HTTP status.
	Status int

	// LoginURL starts the login that solves the problem, and leads back to the page
	// that the user asked for. For KindLevelTooLow it is the step-up login. For
	// KindUnavailable it may be the page itself. Empty means that there is none.
	LoginURL string

	// LogoutURL is where HelseID asks the user whether to log out there, for
	// KindLogoutIncomplete. Empty means that it is not known.
	LogoutURL string

	// HomeURL is [Config.HomePath], as browsers see it.
	HomeURL string

	// SecurityLevel is the level that was asked for, or zero.
	SecurityLevel identity.SecurityLevel

	// AssuranceLevel is the assurance level that was asked for, or zero.
	AssuranceLevel identity.AssuranceLevel

	// Loop says why the last session was not accepted, for KindLoop.
	Loop Loop
}

// Kind says what went wrong. The strings are stable.
type Kind string

// The kinds of problems.
const (
	// KindCancelled means that the user has cancelled the login, or that HelseID has
	// refused it.
	KindCancelled Kind = "cancelled"

	// KindExpired means that this browser has no such login under way: it took too
	// long, has been used, or was started in another browser.
	KindExpired Kind = "expired"

	// KindWrongPerson means that another person has logged in than the application's
	// user ([Config.SamePerson]) or the user of the session.
	KindWrongPerson Kind = "wrong_person"

	// KindLevelTooLow means that the user's security level, or the assurance level of
	// their identity, is lower than required.
	KindLevelTooLow Kind = "level_too_low"

	// KindUnavailable means that HelseID, the session store or the KMS of a key does
	// not answer.
	KindUnavailable Kind = "unavailable"

	// KindLoginRequired means that a request that cannot be redirected needs a
	// login.
	KindLoginRequired Kind = "login_required"

	// KindCrossOrigin means that a request that changes something came from
	// another site's page.
	KindCrossOrigin Kind = "cross_origin"

	// KindLogoutIncomplete means that the user is logged out in this browser, but
	// that HelseID or the session store does not answer: the session there may be
	// alive.
	KindLogoutIncomplete Kind = "logout_incomplete"

	// KindLoop means that several logins in a row have succeeded but led to no page,
	// and that the browser would be redirected for ever: [Problem.Loop] says why.
	KindLoop Kind = "loop"

	// KindFailed means anything else: see the log.
	KindFailed Kind = "failed"
)

// fail answers with a problem.
func (w *Web) fail(rw http.ResponseWriter, r *http.Request, problem Problem, cause error) {
	problem.HomeURL = w.outside(w.config.HomePath)
	rw.Header().Set("Referrer-Policy", "no-referrer") // the URL of a callback holds a code
	if cause != nil {
		level := slog.LevelWarn
		if problem.Kind == KindCancelled { // nothing is wrong
			level = slog.LevelInfo
		}
		w.config.Logger.Log(r.Context(), level, "a request was refused", slog.String("kind", string(problem.Kind)), slog.String("cause", redact.Cause(cause)))
	}
	if problem.Status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", retryAfter(cause))
	}
	page := httpx.Refuse(rw, problem.Status)
	w.config.ErrorPage(page, r, problem)
	page.Close()
}

// defaultRetry is how long to wait if HelseID has not asked for a pause.
const defaultRetry = 5 * time.Second

// retryAfter returns the value of the header: the pause that HelseID asks for.
func retryAfter(cause error) string {
	wait := defaultRetry
	var refusal *helseid.TokenError
	if errors.As(cause, &refusal) && refusal.RetryAfter > 0 {
		wait = refusal.RetryAfter
	}
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}

// loginFailed says why there is no session and what the user can do.
func (w *Web) loginFailed(rw http.ResponseWriter, r *http.Request, pending *pendingLogin, err error) {
	if pending == nil {
		pending = &pendingLogin{ReturnTo: w.config.HomePath}
	}
	kind, status, prompt := classify(err)
	level, assurance := identity.SecurityLevel(pending.Level), identity.AssuranceLevel(pending.Assurance)
	if !errors.Is(err, errNoPending) { // anyone can cause that error
		event := Event{Kind: EventLoginFailed, Subject: pending.Subject, SecurityLevel: level, Problem: kind}
		if kind == KindCancelled {
			event.Kind = EventLoginCancelled
		}
		w.emit(r.Context(), event)
	}
	w.fail(rw, r, Problem{
		Kind: kind, Status: status, SecurityLevel: level, AssuranceLevel: assurance,
		LoginURL: w.loginURL(w.returnTo(pending.ReturnTo), demands{level, assurance, prompt}),
	}, err)
}

// classify returns the kind of an error of StartLogin or FinishLogin. If HelseID
// would give the same answer again from its own session, the prompt makes the next
// login a new one.
func classify(err error) (kind Kind, status int, prompt helseid.Prompt) {
	var (
		answer  *helseid.AuthorizationError
		invalid *tokenvalidation.Error
	)
	switch {
	case errors.Is(err, errNoPending), errors.Is(err, helseid.ErrLoginFinished):
		return KindExpired, http.StatusBadRequest, ""
	case errors.Is(err, errWrongPerson):
		return KindWrongPerson, http.StatusForbidden, helseid.PromptLogin
	case errors.Is(err, helseid.ErrUnavailable), errors.Is(err, helseid.ErrKey), errors.Is(err, helseid.ErrStore), errors.Is(err, helseid.ErrClosed):
		return KindUnavailable, http.StatusServiceUnavailable, ""
	case errors.As(err, &answer) && answer.Code == "access_denied":
		return KindCancelled, http.StatusForbidden, ""
	case errors.As(err, &answer):
		return KindExpired, http.StatusBadRequest, ""
	case errors.As(err, &invalid) && (invalid.Reason == tokenvalidation.ReasonSecurityLevel || invalid.Reason == tokenvalidation.ReasonAssuranceLevel):
		return KindLevelTooLow, http.StatusForbidden, helseid.PromptLogin
	case errors.As(err, &invalid) && invalid.Reason == tokenvalidation.ReasonLoginAge:
		return KindExpired, http.StatusForbidden, helseid.PromptLogin
	case errors.Is(err, helseid.ErrLogin):
		return KindFailed, http.StatusBadRequest, ""
	}
	return KindFailed, http.StatusInternalServerError, ""
}
