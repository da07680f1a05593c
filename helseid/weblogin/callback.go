package weblogin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// callback is HelseID's answer to a login that this browser has under way.
type callback struct {
	cookie  string // name of the login's cookie
	pending *pendingLogin
	state   *helseid.LoginState
	answer  url.Values
	before  string // id of the session that the browser has now, or ""
}

// serveCallback finishes a login: HelseID has sent the browser back.
func (w *Web) serveCallback(rw http.ResponseWriter, r *http.Request) {
	private(rw)
	unframed(rw)
	if !allow(rw, r, http.MethodGet) {
		return
	}
	if w.comeAgain(rw, r) {
		return
	}
	login, err := w.readCallback(rw, r)
	if err != nil {
		w.callbackFailed(rw, r, nil, err)
		return
	}
	session, err := w.finish(r, login)
	if err != nil {
		w.keepOrClear(rw, r, login, err)
		w.callbackFailed(rw, r, login.pending, err)
		return
	}
	w.cookies.clear(rw, login.cookie)
	previous, cause := login.pending.Previous, helseid.EndedByLogin
	if login.before != "" {
		if old, _, err := w.session(r.Context(), login.before); err == nil {
			previous = ""
			if old != nil {
				previous = old.User().Subject
			}
			if previous == session.User().Subject {
				cause = helseid.EndedByRenewal
			}
		}
	}
	visit := w.visitOf(r)
	only, err := w.onlySession(r.Context(), visit.id, login.before, session)
	if err != nil {
		w.end(r.Context(), session.ID().Reveal(), helseid.EndedByRenewal)
		w.loginFailed(rw, r, login.pending, err)
		return
	}
	if only != session {
		w.end(r.Context(), session.ID().Reveal(), helseid.EndedByRenewal)
	}
	// The browser's earlier session ends here, even if somebody else planted its cookie.
	if login.before != "" {
		w.end(r.Context(), login.before, cause)
	}
	w.tellLogin(r.Context(), login.pending, previous, session)
	w.cookies.set(rw, w.cookies.session, only.ID().Reveal(), 0)
	w.setVisit(rw, visit.nextRound())
	redirect(rw, w.outside(w.returnTo(login.pending.ReturnTo)))
}

// tellLogin reports to the application who has logged in, and whose session this
// replaces.
func (w *Web) tellLogin(ctx context.Context, pending *pendingLogin, previous string, session *helseid.Session) {
	if previous != "" && previous != session.User().Subject {
		event := about(EventUserChanged, session)
		event.PreviousSubject = previous
		w.emit(ctx, event)
	}
	kind := EventLogin
	if pending.Subject != "" {
		kind = EventStepUp
	}
	w.emit(ctx, about(kind, session))
}

// readCallback finds the login that the answer belongs to, by its state and the
// cookie of the browser that started it. It clears a cookie that contains no such
// login. A cookie that cannot be opened because the store fails is kept for a while,
// so that the user can try again.
func (w *Web) readCallback(rw http.ResponseWriter, r *http.Request) (*callback, error) {
	answer, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(answer["state"]) != 1 {
		return nil, errNoAnswer
	}
	answer.Del(parameterAgain)
	name := w.cookies.loginName(answer.Get("state"))
	if _, present := w.cookies.value(r, name); !present {
		return nil, errNoPending
	}
	before, _ := w.cookies.value(r, w.cookies.session)
	pending, state, err := w.openLogin(r.Context(), name, w.cookies.sealedLogin(r, name))
	if err == nil && pending.isLate(before, time.Now()) {
		err = errNoPending
	}
	switch {
	case errors.Is(err, errNoPending):
		w.cookies.clear(rw, name)
		return nil, err
	case err != nil:
		w.cookies.setLogin(rw, name, w.cookies.sealedLogin(r, name), triesLifetime)
		return nil, err
	}
	return &callback{name, pending, state, answer, before}, nil
}

// keepOrClear clears the login's cookie, unless the login can be tried again.
func (w *Web) keepOrClear(rw http.ResponseWriter, r *http.Request, login *callback, err error) {
	if kind, _, _ := classify(err); kind == KindUnavailable && !errors.Is(err, errCheckPending) {
		now := time.Now()
		if next, ok := login.pending.again(login.before, now); ok {
			if sealed, err := w.sealLogin(r.Context(), login.cookie, next); err == nil {
				w.cookies.setLogin(rw, login.cookie, sealed, time.Unix(next.Until, 0).Sub(now).Round(time.Second))
				return
			}
		}
	}
	w.cookies.clear(rw, login.cookie)
}

// callbackFailed answers when there is no new session. A user who has a session, and
// has only reloaded the page or gone back to it, is sent to the page that they
// wanted.
func (w *Web) callbackFailed(rw http.ResponseWriter, r *http.Request, pending *pendingLogin, err error) {
	if errors.Is(err, errNoPending) && !errors.Is(err, errNoAnswer) || errors.Is(err, helseid.ErrLoginFinished) {
		session, _, errStore := w.lookUp(rw, r)
		switch {
		case errStore != nil:
			err = errStore
		case session != nil && pending != nil:
			redirect(rw, w.outside(w.returnTo(pending.ReturnTo)))
			return
		case session != nil:
			redirect(rw, w.outside(w.config.HomePath))
			return
		}
	}
	w.loginFailed(rw, r, pending, err)
}

var (
	errNoAnswer     = fmt.Errorf("%w: the request is no answer to a login", errNoPending)
	errWrongPerson  = redact.Words("the user is another person")
	errCheckPending = redact.Words("who the user is could not be found out")
)

// finish exchanges the code and makes a session, if the person is the right one.
func (w *Web) finish(r *http.Request, login *callback) (session *helseid.Session, err error) {
	ctx, done := w.resumeTrace(r.Context(), login.pending.Trace)
	defer func() { done(err) }()
	return w.config.Client.FinishLogin(ctx, login.state, login.answer, func(ctx context.Context, user identity.User) error {
		switch {
		case login.pending.Subject != "" && login.pending.Subject != user.Subject:
			return errWrongPerson
		case w.config.SamePerson == nil:
			return nil
		}
		// The application's error may name people, so it is not passed on.
		switch err := w.config.SamePerson(ctx, r, user); {
		case err == nil:
			return nil
		case errors.Is(err, helseid.ErrUnavailable):
			return fmt.Errorf("%w: %w", errCheckPending, helseid.ErrUnavailable)
		default:
			return errWrongPerson
		}
	})
}
