package weblogin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/helseid/identity"
)

// Problem is what an error page is about. None of it tells anything about a
// person or about what was sent.
type Problem struct {
	// Kind says what went wrong.
	Kind Kind

	// Status is the HTTP status.
	Status int

	// LoginURL starts the login that is the way on, and leads back to where the
	// user wanted to go. Of KindLevelTooLow it is the one that steps up. For
	// KindUnavailable it may be the page itself. Empty means that there is none.
	LoginURL string

	// LogoutURL is where HelseID asks the user whether to log out there, for
	// KindLogoutIncomplete. Empty means that it is not known.
	LogoutURL string

	// HomeURL is Config.HomePath, as browsers see it.
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
	// KindCancelled means that the user has cancelled the login, or that HelseID
	// has refused it.
	KindCancelled Kind = "cancelled"

	// KindExpired means that no such login is under way in this browser: it took
	// too long, has been used, or was started in another browser.
	KindExpired Kind = "expired"

	// KindWrongPerson means that somebody else has logged in than the
	// application's user (Config.SamePerson) or the one whose session it was.
	KindWrongPerson Kind = "wrong_person"

	// KindLevelTooLow means that the user is authenticated at a lower security
	// level, or has an identity of a lower assurance level, than is needed.
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
	// HelseID or the session store does not answer: the session there may live.
	KindLogoutIncomplete Kind = "logout_incomplete"

	// KindLoop means that several logins in a row have ended well and led to no
	// page, and that the browser would be sent round for ever: Problem.Loop says
	// why.
	KindLoop Kind = "loop"

	// KindFailed means anything else: the log tells what.
	KindFailed Kind = "failed"
)

// writeProblem is the error page of applications that have none of their own: a
// page for browsers, JSON for scripts.
func writeProblem(rw http.ResponseWriter, r *http.Request, problem Problem) {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Cache-Control", "no-store")
	if !isNavigation(r) && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		rw.Header().Set("Content-Type", "application/problem+json")
		rw.WriteHeader(problem.Status)
		document := map[string]any{"status": problem.Status, "reason": problem.Kind, "login": problem.LoginURL}
		if problem.LogoutURL != "" {
			document["logout"] = problem.LogoutURL
		}
		if problem.Loop != "" {
			document["loop"] = problem.Loop
		}
		_ = json.NewEncoder(rw).Encode(document)
		return
	}
	writePage(rw, problem)
}
