package idtoken

import (
	"context"
	"time"

	"github.com/helseid-go/sdk/internal/claims"
)

// logoutEvent is the member of events that makes a JWT a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutClaims is what a valid logout token says. At least one of Subject and
// SessionID is there: with a session id, that session has ended, and without
// one all sessions of the subject.
type LogoutClaims struct {
	// Subject is sub, the person's stable pseudonym.
	Subject string

	// SessionID is sid, the id of HelseID's session.
	SessionID string

	// ID is jti.
	ID string

	// IssuedAt is iat. Sessions that began after it are not meant.
	IssuedAt time.Time
}

// ValidateLogout checks a logout token by section 2.6 of OpenID Connect
// Back-Channel Logout 1.0. The error is an [*Error], or wraps
// [jwks.ErrUnavailable].
func (v *Validator) ValidateLogout(ctx context.Context, token string) (*LogoutClaims, error) {
	verified, err := v.logout.Verify(ctx, token)
	if err != nil {
		return nil, refusal(err)
	}
	object := verified.Claims
	var (
		events, hasEvents  = object.Get("events").Object()
		_, isLogout        = events.Get(logoutEvent).Object()
		id, hasID          = object.Get("jti").Text()
		issuedAt, hasTime  = object.Get("iat").Seconds()
		subject, hasSub    = object.Get("sub").Text()
		session, hasSID    = object.Get("sid").Text()
		malformedSubject   = !hasSub && !object.Get("sub").Absent()
		malformedSessionID = !hasSID && !object.Get("sid").Absent()
	)
	switch {
	case !hasEvents, !isLogout, !hasID, id == "", !hasTime, object.Has("nonce"),
		malformedSubject, malformedSessionID, subject == "" && session == "":
		return nil, refuse(ReasonLogout)
	}
	return &LogoutClaims{Subject: subject, SessionID: session, ID: id, IssuedAt: claims.UnixTime(issuedAt)}, nil
}
