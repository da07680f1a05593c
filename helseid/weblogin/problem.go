package weblogin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/helseid/identity"
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
