package weblogin

import (
	"context"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

// Event is something for an application's audit log. It contains no identity number
// and no secret.
type Event struct {
	// Kind says what has happened.
	Kind EventKind

	// Subject is the user's pseudonym at HelseID (the claim sub), if it is known. For
	// a step-up login that has failed it is that of the session's user.
	Subject string

	// SessionID is HelseID's name for its own session (the claim sid), if it is
	// known.
	SessionID string

	// PreviousSubject is the user of the browser's earlier session, for
	// EventUserChanged.
	PreviousSubject string

	// SecurityLevel is the user's level, or the one that was asked for if the login
	// has failed. Zero means unknown, or any.
	SecurityLevel identity.SecurityLevel

	// Cause says who or what has ended the session, for EventLogout and
	// EventSessionExpired.
	Cause helseid.EndCause

	// Application is that of the session ([Config.Application]), for EventLogout and
	// EventSessionExpired: if several share the client, a logout at HelseID ends the
	// sessions of all of them.
	Application string

	// Problem is what the user is shown, for EventLoginFailed and
	// EventLoginCancelled.
	Problem Kind
}

// EventKind says what has happened. The strings are stable.
type EventKind string

// The kinds of events. Applications must expect further ones.
const (
	// EventLogin means that a user has logged in.
	EventLogin EventKind = "login"

	// EventLoginFailed means that one of this browser's logins has failed, or could
	// not be started.
	EventLoginFailed EventKind = "login_failed"

	// EventLoginCancelled means that the user has cancelled the login, or that
	// HelseID has refused it.
	EventLoginCancelled EventKind = "login_cancelled"

	// EventStepUp means that a logged-in user has logged in again because a page or
	// an API required it. It replaces EventLogin.
	EventStepUp EventKind = "step_up"

	// EventUserChanged means that another user has logged in in a browser that had a
	// session, which has ended. It comes before EventLogin.
	EventUserChanged EventKind = "user_changed"

	// EventLogout means that somebody has ended a session: [Event.Cause] says who.
	// For the user's own logout it is [helseid.EndedByUser]. It is not reported for a
	// session that is replaced by the same user's next one.
	EventLogout EventKind = "logout"

	// EventSessionExpired means that a session was ended because it was older than
	// [Config.MaxSessionAge] ([helseid.EndedByAge]) or unused for longer than
	// [Config.IdleTimeout] ([helseid.EndedByIdleness]). If the browser does not send
	// its cookie any more, this is not noticed.
	EventSessionExpired EventKind = "session_expired"
)

// emit reports an event to the application.
func (w *Web) emit(ctx context.Context, event Event) {
	if w.config.OnEvent != nil {
		w.config.OnEvent(ctx, event)
	}
}

// about returns an event about a session.
func about(kind EventKind, session *helseid.Session) Event {
	user := session.User()
	return Event{Kind: kind, Subject: user.Subject, SessionID: user.SessionID, SecurityLevel: user.SecurityLevel}
}

// tellEnd reports the end of a session to the application, whoever has ended it.
func (w *Web) tellEnd(ctx context.Context, end helseid.SessionEnd) {
	if end.Cause == helseid.EndedByRenewal {
		return // EventLogin or EventStepUp reports the login that replaces it
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
