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

// defaultRetry is how long to wait if HelseID has not said.
const defaultRetry = 5 * time.Second

// retryAfter is the value of the header: how long HelseID asks to be left alone.
func retryAfter(cause error) string {
	wait := defaultRetry
	var refusal *helseid.TokenError
	if errors.As(cause, &refusal) && refusal.RetryAfter > 0 {
		wait = refusal.RetryAfter
	}
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}

// loginFailed says why there is no session, and what the way on is.
func (w *Web) loginFailed(rw http.ResponseWriter, r *http.Request, pending *pendingLogin, err error) {
	if pending == nil {
		pending = &pendingLogin{ReturnTo: w.config.HomePath}
	}
	kind, status, prompt := classify(err)
	level, assurance := identity.SecurityLevel(pending.Level), identity.AssuranceLevel(pending.Assurance)
	if !errors.Is(err, errNoPending) { // which anybody can be answered
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

// classify finds the kind of an error of StartLogin or FinishLogin. Where HelseID
// would do the same again from its own session, the next login must be a new
// one.
func classify(err error) (kind Kind, status int, prompt helseid.Prompt) {
	var answer *helseid.AuthorizationError
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
	case errors.Is(err, helseid.ErrLevelTooLow):
		return KindLevelTooLow, http.StatusForbidden, helseid.PromptLogin
	case errors.Is(err, helseid.ErrLoginTooOld):
		return KindExpired, http.StatusForbidden, helseid.PromptLogin
	case errors.Is(err, helseid.ErrLogin):
		return KindFailed, http.StatusBadRequest, ""
	}
	return KindFailed, http.StatusInternalServerError, ""
}
