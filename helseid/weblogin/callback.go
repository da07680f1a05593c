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
	cookie  string // name of the login's
	pending *pendingLogin
	state   *helseid.LoginState
	answer  url.Values
	before  string // id of the session that the browser comes with, or ""
}

// serveCallback ends a login: HelseID has sent the browser back.
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
	// Whatever session the browser came with, or was made to come with, ends here.
	if login.before != "" {
		w.end(r.Context(), login.before, cause)
	}
	w.tellLogin(r.Context(), login.pending, previous, session)
	w.cookies.set(rw, w.cookies.session, only.ID().Reveal(), 0)
	w.setVisit(rw, visit.nextRound())
	redirect(rw, w.outside(w.returnTo(login.pending.ReturnTo)))
}

// tellLogin tells the application who has logged in, and in whose place.
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

// readCallback finds the login that the answer is to, by its state and the cookie
// of the browser that started it. It takes back a cookie that leads to none. One that
// cannot be opened for want of the store stays for a while, to be tried again.
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

// keepOrClear takes the login's cookie back, unless the login can be tried again.
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

// callbackFailed says why there is no session. Whoever has one, and has only loaded
// the page once more or gone back to it, is led to where they wanted to go.
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

// finish redeems the code and makes a session, if the person is the right one.
func (w *Web) finish(r *http.Request, login *callback) (*helseid.Session, error) {
	return w.config.Client.FinishLogin(r.Context(), login.state, login.answer, func(ctx context.Context, user identity.User) error {
		switch {
		case login.pending.Subject != "" && login.pending.Subject != user.Subject:
			return errWrongPerson
		case w.config.SamePerson == nil:
			return nil
		}
		// What the application says may name people: it is not passed on.
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
