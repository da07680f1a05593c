package helseid

import (
	"context"
	"fmt"
	"sync"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/endcause"
)

// ErrSessionExpired means that a session has gone unused for too long or has reached
// its greatest age (LoginRequest.IdleTimeout, LoginRequest.MaxSessionAge). It is an
// ErrLoginRequired.
var ErrSessionExpired = fmt.Errorf("%w: the session has gone unused for too long, or has reached its greatest age", ErrLoginRequired)

// SessionEnd is a session that has ended, for an application's audit log. It has no
// identity number and no secret.
type SessionEnd struct {
	// Cause says why, or by whom.
	Cause EndCause

	// Application is the LoginRequest.Application of the login.
	Application string

	// Subject is the user's pseudonym at HelseID (the claim sub), SessionID HelseID's
	// name of its own session (the claim sid), and SecurityLevel the user's, as far as
	// they are known.
	Subject, SessionID string
	SecurityLevel      identity.SecurityLevel
}

// EndCause says why a session has ended. The strings are stable.
type EndCause string

// The causes. Applications must expect further ones.
const (
	// EndedByUser means Session.Logout: the user has logged out here.
	EndedByUser EndCause = "user"

	// EndedByBackChannel and EndedByFrontChannel mean that HelseID has said so.
	EndedByBackChannel  EndCause = "back_channel"
	EndedByFrontChannel EndCause = "front_channel"

	// EndedByApplication means [Sessions.End], [Sessions.EndOf] or [UserSession.End].
	EndedByApplication EndCause = "application"

	// EndedByLogin means that another user has logged in in the same browser.
	EndedByLogin EndCause = "login"

	// EndedByRenewal means that the same user has got another session in the same
	// browser, or that the login was not completed. weblogin's events leave it out.
	EndedByRenewal EndCause = "renewal"

	// EndedByAge and EndedByIdleness mean LoginRequest.MaxSessionAge and
	// LoginRequest.IdleTimeout.
	EndedByAge      EndCause = "age"
	EndedByIdleness EndCause = "idleness"

	// EndedByNumber means that the user had too many sessions: the oldest ends.
	EndedByNumber EndCause = "number"

	// EndedByDoubt means that the session store may have forgotten that the session
	// had ended, and that HelseID did not confirm it.
	EndedByDoubt EndCause = "doubt"
)

// endedByTime is found out by the record: EndedByAge or EndedByIdleness.
const endedByTime EndCause = "time"

// endObservers are those who are told, by application.
type endObservers struct {
	mu sync.RWMutex
	of map[string]func(context.Context, SessionEnd)
}

func (o *endObservers) set(application string, tell func(context.Context, SessionEnd)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = make(map[string]func(context.Context, SessionEnd))
	}
	o.of[application] = tell
	if tell == nil {
		delete(o.of, application)
	}
}

// concerned are those who are told of an application's sessions.
func (o *endObservers) concerned(application string) []func(context.Context, SessionEnd) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if own := o.of[application]; own != nil {
		return []func(context.Context, SessionEnd){own}
	}
	var all []func(context.Context, SessionEnd)
	for _, tell := range o.of {
		all = append(all, tell)
	}
	return all
}

// because says with a context why sessions are ended.
func because(ctx context.Context, cause EndCause) context.Context {
	return endcause.With(ctx, string(cause))
}
