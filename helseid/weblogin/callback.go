package weblogin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// serveCallback ends a login: HelseID has sent the browser back.
func (w *Web) serveCallback(rw http.ResponseWriter, r *http.Request) {
	private(rw)
	if !allow(rw, r, http.MethodGet) {
		return
	}
	pending, answer, err := w.pendingOf(rw, r)
	if err != nil {
		w.loginFailed(rw, r, pending, err)
		return
	}
	session, err := w.finish(r, pending, answer)
	if err != nil {
		w.loginFailed(rw, r, pending, err)
		return
	}
	// Whatever session the browser came with, or was made to come with, ends here.
	if old, present := w.cookies.value(r, w.cookies.session); present && old != "" {
		w.end(r.Context(), old)
	}
	w.cookies.set(rw, w.cookies.session, session.ID().Reveal(), 0)
	redirect(rw, w.returnTo(pending.ReturnTo))
}

// pendingOf finds the login that the answer is to, by its state and the cookie of
// the browser that started it.
func (w *Web) pendingOf(rw http.ResponseWriter, r *http.Request) (*pendingLogin, url.Values, error) {
	answer, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(answer["state"]) != 1 {
		return nil, nil, errNoPending
	}
	state := answer.Get("state")
	name := w.cookies.loginName(state)
	cookie, present := w.cookies.value(r, name)
	if !present || cookie == "" {
		return nil, nil, errNoPending
	}
	pending, err := w.take(r.Context(), state, cookie)
	if !errors.Is(err, helseid.ErrSessionStore) {
		w.cookies.clear(rw, name)
	}
	return pending, answer, err
}

var (
	errWrongPerson  = redact.Words("the user is another person")
	errCheckPending = redact.Words("who the user is could not be found out")
)

// finish redeems the code and makes a session, if the person is the right one.
func (w *Web) finish(r *http.Request, pending *pendingLogin, answer url.Values) (*helseid.Session, error) {
	state, err := helseid.DecodeLoginState(pending.State)
	if err != nil {
		return nil, err
	}
	return w.config.Client.FinishLogin(r.Context(), state, answer, func(ctx context.Context, user tokenvalidation.User) error {
		switch {
		case pending.Subject != "" && pending.Subject != user.Subject:
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
