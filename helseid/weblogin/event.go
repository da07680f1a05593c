package weblogin

import (
	"context"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
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
	SecurityLevel identity.SecurityLevel

	// Cause says who or what has ended the session, of EventLogout and
	// EventSessionExpired.
	Cause helseid.EndCause

	// Application is that of the session (Config.Application), of EventLogout and
	// EventSessionExpired: where several share the client, HelseID's word ends those of
	// all of them.
	Application string

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

	// EventLogout means that a session has ended by what somebody did: Event.Cause says
	// who. The user's own logout is helseid.EndedByUser. A session that the same user's
	// next one takes the place of is not told of.
	EventLogout EventKind = "logout"

	// EventSessionExpired means that a session has been found to be older than
	// Config.MaxSessionAge (helseid.EndedByAge) or to have gone unused for longer than
	// Config.IdleTimeout (helseid.EndedByIdleness), and was ended. One whose cookie
	// nobody sends any more is not found.
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

// tellEnd tells the application of a session that has ended: here, or because HelseID or
// the application has said so.
func (w *Web) tellEnd(ctx context.Context, end helseid.SessionEnd) {
	if end.Cause == helseid.EndedByRenewal {
		return // EventLogin or EventStepUp tells of it
	}
	kind := EventLogout
	if end.Cause == helseid.EndedByAge || end.Cause == helseid.EndedByIdleness {
		kind = EventSessionExpired
	}
	w.emit(ctx, Event{
		Kind: kind, Cause: end.Cause, Application: end.Application,
		Subject: end.Subject, SessionID: end.SessionID, SecurityLevel: end.SecurityLevel,
	})
}
