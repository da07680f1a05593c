package helseid

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

// UserSession is one of a user's sessions, in any application and process of this
// client. It contains nothing about the person and cannot be used to act as the user.
type UserSession struct {
	// Created is when the user logged in, and AuthenticatedAt when the user had
	// authenticated at HelseID. They are zero if this process cannot read the session
	// because it lacks the encryption key.
	Created, AuthenticatedAt time.Time

	// LastUsed is the last stored use of the session: see [LoginRequest.IdleTimeout].
	// It is zero if that is not set.
	LastUsed time.Time

	// Expiry is when it ends unless it is used: see [Session.Expiry].
	Expiry time.Time

	listed redact.Hidden[listedSession]
}

// listedSession is the session that a [UserSession] is about.
type listedSession struct {
	ender *sessionEnder
	key   string
}

var errNoSubject = fmt.Errorf("%w: the subject is empty: it is that of identity.User", ErrConfig)

// Is reports whether it is this session, for instance that of the user who is viewing
// the list.
func (u UserSession) Is(session *Session) bool {
	return session != nil && session.place().key == u.listed.Reveal().key
}

// End ends the session, and revokes its refresh token in the background. The error is
// that of [Sessions.End].
func (u UserSession) End(ctx context.Context) error {
	listed := u.listed.Reveal()
	if listed.ender == nil {
		return nil
	}
	listed.ender.rows.places.place(listed.key, time.Now().Add(sessionLifetime)) // a known session, so that a failed end is retried
	return listed.ender.endByKey(because(ctx, EndedByApplication), listed.key)
}

// Of returns the live sessions of a user, the newest first: at most a hundred. The
// subject is that of [identity.User], not an identity number. Listing sessions does
// not count as a use. The error wraps [ErrStore], and [ErrUnreadableRow] if this
// process cannot tell which sessions there are.
func (s *Sessions) Of(ctx context.Context, subject string) ([]UserSession, error) {
	var sessions []UserSession
	for _, rowKey := range indexRows(s.indexes.subKey(subject)) {
		_, index, err := s.indexes.load(ctx, rowKey)
		if err != nil {
			return nil, err
		}
		for _, key := range index.Sessions {
			session, ok, err := s.userSession(ctx, key)
			if err != nil {
				return nil, err
			}
			if ok {
				sessions = append(sessions, session)
			}
		}
	}
	slices.SortStableFunc(sessions, func(a, b UserSession) int { return b.Created.Compare(a.Created) })
	return sessions, nil
}

// userSession returns what can be said about a session. ok is false if it has ended.
func (s *Sessions) userSession(ctx context.Context, key string) (session UserSession, ok bool, err error) {
	session = UserSession{listed: redact.Hide(listedSession{ender: s.ender, key: key})}
	row, err := s.rows.store.Load(ctx, key)
	if errors.Is(err, ErrUnreadableRow) {
		return session, row.Version != 0, nil
	}
	if err != nil {
		return session, false, storeError(err)
	}
	if place := s.rows.places.find(key); row.Version == 0 || place != nil && place.ended.Load() {
		return session, false, nil
	}
	record, err := s.rows.decodeAnyKey(row.Data)
	if record.Ended {
		return session, false, nil
	}
	if err != nil { // written by another version of this library
		return session, true, nil //nolint:nilerr // it can be ended
	}
	if place := s.rows.places.find(key); place != nil {
		record.usedAt(place.used.Load())
	}
	session.Created, session.Expiry = time.Unix(record.Created, 0), record.expiry()
	if identity, err := s.idTokens.Restore(record.IDToken); err == nil {
		session.AuthenticatedAt = authenticatedAt(identity)
	}
	if record.LastUsed != 0 {
		session.LastUsed = time.UnixMilli(record.LastUsed)
	}
	return session, time.Now().Before(session.Expiry), nil
}

// EndOf ends all sessions of a user, in all applications and processes of this
// client, and revokes their refresh tokens. The user's unfinished logins fail. It
// does not end the session at HelseID.
//
// The error wraps [ErrStore] if sessions may still be usable; this process then keeps
// trying for a day. The error wraps [ErrConfig] if the subject is empty: then nothing
// has ended.
func (s *Sessions) EndOf(ctx context.Context, subject string) error {
	if subject == "" {
		return errNoSubject
	}
	return s.logouts.carryOut(context.WithoutCancel(ctx), indexedLogout{Index: s.indexes.subKey(subject), Subject: subject, Before: time.Now().Unix(), Cause: EndedByApplication})
}
