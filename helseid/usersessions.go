package helseid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// UserSession is one of a user's sessions, of whichever application and process of
// this client's. It tells nothing about the person, and its session cannot be used with
// it.
type UserSession struct {
	// Created is when the user logged in, and AuthenticatedAt when the user had
	// authenticated at HelseID. They are zero if this process cannot read the session,
	// for want of a key.
	Created, AuthenticatedAt time.Time

	// LastUsed is when the session was last used as far as is written down: see
	// LoginRequest.IdleTimeout. Zero without one.
	LastUsed time.Time

	// Expiry is when it ends unless it is used: see Session.Expiry.
	Expiry time.Time

	ender *sessionEnder
	key   string
}

var errNoSubject = fmt.Errorf("%w: the subject is empty: it is that of identity.User", ErrConfig)

// Is reports whether it is this session, such as the one of the user who looks at the
// list.
func (u UserSession) Is(session *Session) bool { return session != nil && session.place().key == u.key }

// End ends the session, and has its refresh token revoked in the background. The error
// is that of [Sessions.End].
func (u UserSession) End(ctx context.Context) error {
	if u.ender == nil {
		return nil
	}
	u.ender.rows.places.place(u.key, time.Now().Add(sessionLifetime)) // no stranger's: it goes on trying
	return u.ender.endByKey(because(ctx, EndedByApplication), u.key)
}

// Format prints what it is, for every verb.
func (u UserSession) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "a user's session")
}

// LogValue returns what it is.
func (u UserSession) LogValue() slog.Value { return slog.StringValue("a user's session") }

// Of lists the living sessions of a user, the newest first: at most a hundred.
// The subject is that of identity.User, which is no identity number. To list
// sessions does not use them. The error wraps [ErrStore], and [ErrUnreadableRow] if
// this process cannot tell which sessions there are.
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

// userSession reports whether a session lives, and what can be told of it.
func (s *Sessions) userSession(ctx context.Context, key string) (session UserSession, ok bool, err error) {
	session = UserSession{ender: s.ender, key: key}
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
	if err != nil { // of another version of this library's
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

// EndOf ends all sessions of a user, of whichever application and process of
// this client's, and revokes their refresh tokens. A login of the user's that is under
// way comes to nothing. It does not end the session at HelseID.
//
// The error wraps ErrStore if sessions may live on. This process goes on trying
// for a day then. The error wraps ErrConfig if there is no subject: nothing has ended.
func (s *Sessions) EndOf(ctx context.Context, subject string) error {
	if subject == "" {
		return errNoSubject
	}
	return s.logouts.carryOut(context.WithoutCancel(ctx), indexedLogout{Index: s.indexes.subKey(subject), Subject: subject, Before: time.Now().Unix(), Cause: EndedByApplication})
}
