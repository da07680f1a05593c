package weblogin

import (
	"context"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Event is something that an application writes into its audit log. It has no
// identity number and no secret.
type Event struct {
	// Kind says what has happened.
	Kind EventKind

	// Subject is the user's pseudonym at HelseID (the claim sub), if it is known:
	// of a login that has failed it is whose session was to be stepped up.
	Subject string

	// SessionID is HelseID's name of its own session (the claim sid), if it is
	// known.
	SessionID string

	// PreviousSubject is whose session there was in the browser before, of
	// EventUserChanged.
	PreviousSubject string

	// SecurityLevel is the user's, or the one that was asked for if the login has
	// failed. Zero means that it is not known, or any.
	SecurityLevel tokenvalidation.SecurityLevel

	// Problem is what the user is shown, of EventLoginFailed and
	// EventLoginCancelled.
	Problem Kind
}

// EventKind says what has happened. The strings are stable.
type EventKind string

// The kinds of events. Applications must expect further ones.
const (
	// EventLogin means that a user has logged in.
	EventLogin EventKind = "login"

	// EventLoginFailed means that a login that this browser had under way has
	// failed, or could not be started.
	EventLoginFailed EventKind = "login_failed"

	// EventLoginCancelled means that the user has cancelled it, or that HelseID
	// has refused it.
	EventLoginCancelled EventKind = "login_cancelled"

	// EventStepUp means that a user who was logged in has logged in again because
	// a page, or an API, demanded it. It comes in place of EventLogin.
	EventStepUp EventKind = "step_up"

	// EventUserChanged means that another user has taken over the browser from one
	// who had a session, which has ended. It comes before EventLogin.
	EventUserChanged EventKind = "user_changed"

	// EventLogout means that a user has logged out here.
	EventLogout EventKind = "logout"

	// EventSessionExpired means that a session has been found to be older than
	// Config.MaxSessionAge, and was ended.
	EventSessionExpired EventKind = "session_expired"
)

// emit tells the application.
func (w *Web) emit(ctx context.Context, event Event) {
	if w.config.OnEvent != nil {
		w.config.OnEvent(ctx, event)
	}
}

// about is an event about a session.
func about(kind EventKind, session *helseid.Session) Event {
	user := session.User()
	return Event{Kind: kind, Subject: user.Subject, SessionID: user.SessionID, SecurityLevel: user.SecurityLevel}
}
