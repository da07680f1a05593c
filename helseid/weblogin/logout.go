package weblogin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/endcause"
	"github.com/helseid-go/sdk/internal/redact"
)

// siteData is what browsers forget of this origin at a logout: what they have kept of
// its pages, also for the back button, and what its scripts have stored. Not "cookies":
// those are cleared by their names, and that would also clear those of the domain's
// other hosts, which are other applications'.
const siteData = `"cache", "storage"`

// serveLogout ends the session here and sends the browser to HelseID, to end the
// one there. Only a form of this application's own may do so.
func (w *Web) serveLogout(rw http.ResponseWriter, r *http.Request) {
	private(rw)
	unframed(rw)
	if !allow(rw, r, http.MethodPost) {
		return
	}
	if err := w.origins.Check(r); err != nil {
		w.fail(rw, r, Problem{Kind: KindCrossOrigin, Status: http.StatusForbidden}, err)
		return
	}
	rw.Header().Set("Clear-Site-Data", siteData)
	id, present := w.cookies.value(r, w.cookies.session)
	w.cookies.clear(rw, w.cookies.session)
	w.cookies.clearLogins(rw, r) // nobody else ends them
	session, err := w.config.Client.Sessions().Get(r.Context(), id)
	switch {
	case errors.Is(err, helseid.ErrLoginRequired) && present:
		// The session has ended here, or is one that this process cannot use (made
		// with a DPoP key of before or after), and that of HelseID may live.
		w.end(r.Context(), id, helseid.EndedByUser)
		w.endElsewhere(rw, r)
		return
	case errors.Is(err, helseid.ErrLoginRequired):
		redirect(rw, w.outside(w.config.HomePath))
		return
	case err != nil:
		w.end(r.Context(), id, helseid.EndedByUser) // goes on trying
		w.logoutIncomplete(rw, r, err)
		return
	case session.Application() != w.config.Application:
		w.endElsewhere(rw, r) // it is not ours to end, and HelseID ends them all
		return
	}
	target, err := session.Logout(r.Context(), helseid.LogoutRequest{PostLogoutRedirectURI: w.config.PostLogoutRedirectURI})
	if err != nil {
		w.config.Logger.WarnContext(r.Context(), "a logout was incomplete", slog.String("cause", redact.Cause(err)))
	}
	if target == "" || errors.Is(err, helseid.ErrStore) {
		w.logoutIncomplete(rw, r, nil)
		return
	}
	if w.config.LogoutForm {
		w.postOn(rw, target)
		return
	}
	redirect(rw, target)
}

// wayOutTimeout bounds how long an error page waits for HelseID's address.
const wayOutTimeout = 3 * time.Second

// logoutIncomplete says so, and how to end the session at HelseID, if it answers.
func (w *Web) logoutIncomplete(rw http.ResponseWriter, r *http.Request, cause error) {
	problem := Problem{Kind: KindLogoutIncomplete, Status: http.StatusServiceUnavailable}
	ctx, cancel := context.WithTimeout(r.Context(), wayOutTimeout)
	defer cancel()
	if target, err := w.config.Client.LogoutURL(ctx); err == nil {
		problem.LogoutURL = target
	}
	w.fail(rw, r, problem, cause)
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

// end ends a session, as well as it can.
func (w *Web) end(ctx context.Context, id string, cause helseid.EndCause) {
	ctx = endcause.With(ctx, string(cause))
	if err := w.config.Client.Sessions().End(ctx, id); err != nil {
		w.config.Logger.WarnContext(ctx, "a session was not ended in full", slog.String("cause", redact.Cause(err)))
	}
}
