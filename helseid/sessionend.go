package helseid

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/endcause"
	"github.com/helseid-go/sdk/tokenvalidation"
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
	SecurityLevel      tokenvalidation.SecurityLevel
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

	// EndedByApplication means Client.EndSession, Client.EndSessionsOf or
	// UserSession.End.
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

// OnSessionEnd has a function told of each session of this application
// (LoginRequest.Application) that this process ends, for whatever cause, once it has
// ended in the session store. Of several processes the one that ends a session tells.
// Sessions of an application that no function is there for, in this process, are told
// to all. A function that is set for the same application before is replaced.
//
// The context is that of the call that ends the session, or another if that has met an
// outage. The function must not block, and may be called from several goroutines.
// Sessions that nobody looks up any more, or that end with their refresh token, are
// not told of. weblogin's Config.OnEvent tells of these ends too.
func (c *Client) OnSessionEnd(application string, tell func(ctx context.Context, end SessionEnd)) {
	c.sessionEnds.set(application, tell)
}

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

// tellEnd tells that a session has ended.
func (c *Client) tellEnd(ctx context.Context, record *sessionRecord) {
	tells := c.sessionEnds.concerned(record.Application)
	if len(tells) == 0 {
		return
	}
	end := SessionEnd{Cause: cmp.Or(EndCause(endcause.Of(ctx)), EndedByApplication), Application: record.Application}
	if end.Cause == endedByTime {
		end.Cause = EndedByIdleness
		if record.EndsAt != 0 && time.Now().Unix() >= record.EndsAt {
			end.Cause = EndedByAge
		}
	}
	if identity, err := c.idTokens.Restore(record.IDToken); err == nil {
		end.Subject, end.SessionID, end.SecurityLevel = identity.User.Subject, identity.User.SessionID, identity.User.SecurityLevel
	}
	for _, tell := range tells {
		tell(ctx, end)
	}
}
