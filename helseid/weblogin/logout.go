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

// siteData is what browsers delete for this origin at a logout: cached pages, also
// for the back button, and what scripts have stored. It does not include "cookies",
// which are cleared by name: that would also clear those of the domain's other hosts,
// which belong to other applications.
const siteData = `"cache", "storage"`

// serveLogout ends the session here and sends the browser to HelseID to end the
// session there. Only a form of this application may do so.
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
	w.cookies.clearLogins(rw, r) // nobody else may finish them
	session, err := w.config.Client.Sessions().Get(r.Context(), id)
	switch {
	case errors.Is(err, helseid.ErrLoginRequired) && present:
		// The session has ended here, or this process cannot use it (it was made with an
		// older or newer DPoP key), but the session at HelseID may be alive.
		w.end(r.Context(), id, helseid.EndedByUser)
		w.endElsewhere(rw, r)
		return
	case errors.Is(err, helseid.ErrLoginRequired):
		redirect(rw, w.outside(w.config.HomePath))
		return
	case err != nil:
		w.end(r.Context(), id, helseid.EndedByUser) // retried in the background if it fails
		w.logoutIncomplete(rw, r, err)
		return
	case session.Application() != w.config.Application:
		w.endElsewhere(rw, r) // another application's session is not ended here; HelseID ends them all
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

// wayOutTimeout limits how long an error page waits for HelseID's address.
const wayOutTimeout = 3 * time.Second

// logoutIncomplete says that the logout was incomplete, and how to end the session at
// HelseID, if its address is known.
func (w *Web) logoutIncomplete(rw http.ResponseWriter, r *http.Request, cause error) {
	problem := Problem{Kind: KindLogoutIncomplete, Status: http.StatusServiceUnavailable}
	ctx, cancel := context.WithTimeout(r.Context(), wayOutTimeout)
	defer cancel()
	if target, err := w.config.Client.LogoutURL(ctx); err == nil {
		problem.LogoutURL = target
	}
	w.fail(rw, r, problem, cause)
}

// endElsewhere sends the browser to HelseID, which asks the user whether to log out.
func (w *Web) endElsewhere(rw http.ResponseWriter, r *http.Request) {
	target, err := w.config.Client.LogoutURL(r.Context())
	if err != nil {
		w.fail(rw, r, Problem{Kind: KindLogoutIncomplete, Status: http.StatusServiceUnavailable}, err)
		return
	}
	redirect(rw, target)
}

// end ends a session and logs any error.
func (w *Web) end(ctx context.Context, id string, cause helseid.EndCause) {
	ctx = endcause.With(ctx, string(cause))
	if err := w.config.Client.Sessions().End(ctx, id); err != nil {
		w.config.Logger.WarnContext(ctx, "a session was not ended in full", slog.String("cause", redact.Cause(err)))
	}
}
