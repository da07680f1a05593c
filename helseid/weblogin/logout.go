package weblogin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

// endTimeout bounds what is done for a session that ends on the side.
const endTimeout = 5 * time.Second

// serveLogout ends the session here and sends the browser to HelseID, to end the
// one there. Only a form of this application's own may do so.
func (w *Web) serveLogout(rw http.ResponseWriter, r *http.Request) {
	private(rw)
	if !allow(rw, r, http.MethodPost) {
		return
	}
	if err := w.origins.Check(r); err != nil {
		w.fail(rw, r, Problem{Kind: KindCrossOrigin, Status: http.StatusForbidden}, err)
		return
	}
	id, present := w.cookies.value(r, w.cookies.session)
	w.cookies.clear(rw, w.cookies.session)
	session, err := w.config.Client.Session(r.Context(), id)
	switch {
	case errors.Is(err, helseid.ErrLoginRequired) && present:
		// The session has ended here, and that of HelseID may live.
		w.endElsewhere(rw, r)
		return
	case errors.Is(err, helseid.ErrLoginRequired):
		redirect(rw, w.config.HomePath)
		return
	case err != nil:
		w.fail(rw, r, Problem{Kind: KindLogoutIncomplete, Status: http.StatusServiceUnavailable}, err)
		return
	}
	target, err := session.Logout(r.Context(), helseid.LogoutRequest{PostLogoutRedirectURI: w.config.PostLogoutRedirectURI})
	if err != nil {
		w.config.Logger.WarnContext(r.Context(), "a logout was incomplete", slog.Any("cause", err))
	}
	if target == "" || errors.Is(err, helseid.ErrSessionStore) {
		w.fail(rw, r, Problem{Kind: KindLogoutIncomplete, Status: http.StatusServiceUnavailable}, nil)
		return
	}
	redirect(rw, target)
}

// endElsewhere sends the browser to HelseID, which asks whether to log out.
func (w *Web) endElsewhere(rw http.ResponseWriter, r *http.Request) {
	target, err := w.config.Client.LogoutURL(r.Context())
	if err != nil {
		w.fail(rw, r, Problem{Kind: KindLogoutIncomplete, Status: http.StatusServiceUnavailable}, err)
		return
	}
	redirect(rw, target)
}

// end ends a session that nobody asked to end, as well as it can.
func (w *Web) end(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	session, err := w.config.Client.Session(ctx, id)
	if err == nil {
		_, err = session.Logout(ctx, helseid.LogoutRequest{PostLogoutRedirectURI: w.config.PostLogoutRedirectURI})
	}
	if err != nil && !errors.Is(err, helseid.ErrLoginRequired) {
		w.config.Logger.WarnContext(ctx, "a session was not ended in full", slog.Any("cause", err))
	}
}
