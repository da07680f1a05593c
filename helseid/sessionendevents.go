package helseid

import (
	"context"
	"fmt"
	"sync"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/endcause"
)

// ErrSessionExpired means that a session has been unused for too long or has reached
// its maximum age ([LoginRequest.IdleTimeout], [LoginRequest.MaxSessionAge]). It is
// an [ErrLoginRequired].
var ErrSessionExpired = fmt.Errorf("%w: the session has gone unused for too long, or has reached its greatest age", ErrLoginRequired)

// SessionEnd describes a session that has ended, for an application's audit log. It
// contains no identity number and no secret.
type SessionEnd struct {
	// Cause says why the session ended, or who ended it.
	Cause EndCause

	// Application is the [LoginRequest.Application] of the login.
	Application string

	// Subject is the user's pseudonym at HelseID (the claim sub), SessionID is
	// HelseID's name for its own session (the claim sid), and SecurityLevel is the
	// user's level, as far as they are known.
	Subject, SessionID string
	SecurityLevel      identity.SecurityLevel
}

// EndCause says why a session has ended. The strings are stable.
type EndCause string

// The causes. Applications must expect further ones.
const (
	// EndedByUser means [Session.Logout]: the user has logged out here.
	EndedByUser EndCause = "user"

	// EndedByBackChannel and EndedByFrontChannel mean that HelseID has reported a
	// logout.
	EndedByBackChannel  EndCause = "back_channel"
	EndedByFrontChannel EndCause = "front_channel"

	// EndedByApplication means [Sessions.End], [Sessions.EndOf] or [UserSession.End].
	EndedByApplication EndCause = "application"

	// EndedByLogin means that another user has logged in in the same browser.
	EndedByLogin EndCause = "login"

	// EndedByRenewal means that the same user has got another session in the same
	// browser, or that the login was not completed. The events of package weblogin
	// leave it out.
	EndedByRenewal EndCause = "renewal"

	// EndedByAge and EndedByIdleness mean [LoginRequest.MaxSessionAge] and
	// [LoginRequest.IdleTimeout].
	EndedByAge      EndCause = "age"
	EndedByIdleness EndCause = "idleness"

	// EndedByNumber means that the user had too many sessions, and this was the
	// oldest.
	EndedByNumber EndCause = "number"

	// EndedByDoubt means that the session store may have lost the record that the
	// session had ended, and that HelseID did not confirm the session.
	EndedByDoubt EndCause = "doubt"
)

// endedByTime stands for EndedByAge or EndedByIdleness; the record says which.
const endedByTime EndCause = "time"

// endObservers are the functions of [Sessions.OnEnd], by application.
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

// concerned returns the functions to call for an application's sessions.
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

// because returns a context that carries the reason why sessions are ended.
func because(ctx context.Context, cause EndCause) context.Context {
	return endcause.With(ctx, string(cause))
}
