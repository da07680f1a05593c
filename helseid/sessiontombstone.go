package helseid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/endcause"
	"github.com/helseid-go/sdk/internal/idtoken"
)

// sessionEnder ends sessions, in this process and in the store.
type sessionEnder struct {
	rows     *sessionRows
	indexes  *sessionIndexes
	outbox   *outbox
	revoker  *revoker
	pending  *pendingEnds
	work     *lifecycle.Lifecycle
	idTokens *idtoken.Validator

	forgetTokens func(ctx context.Context, key string)
	observers    endObservers
}

// end ends a session in all processes. It returns the refresh token that must be
// revoked, or "", also with an error. A session that is not in the store has already
// ended. If the store fails, this process keeps trying in the background.
func (e *sessionEnder) end(ctx context.Context, key string) (refreshToken string, err error) {
	if e.work.Begin() != nil {
		return e.tryEnd(ctx, key)
	}
	handedOver := false
	defer func() { // in the background; Close waits for it
		if !handedOver {
			e.work.Done()
		}
	}()
	refreshToken, err = e.tryEnd(ctx, key)
	if stranger := e.rows.places.find(key) == nil; err != nil && e.pending.begin(key, stranger) {
		handedOver = true
		go e.entombLater(key, refreshToken, endcause.Of(ctx), stranger)
	}
	return refreshToken, err
}

func (e *sessionEnder) tryEnd(ctx context.Context, key string) (refreshToken string, err error) {
	var unsettled *refreshOutcome
	place := e.rows.places.find(key)
	if place != nil {
		place.ended.Store(true)
		if unlock, ok := place.tryLock(); ok {
			defer unlock()
			unsettled = place.unsettled
		}
	}
	e.forgetTokens(ctx, key)
	refreshToken, settled, err := e.entomb(ctx, key, unsettled)
	if err == nil && place != nil { // the session cannot be found any more
		place.expiry.Store(time.Now().Add(placeMargin).Unix())
	}
	if err == nil && settled {
		place.unsettled = nil
	}
	return refreshToken, err
}

// endByKey ends a session, and revokes its refresh token in the background.
func (e *sessionEnder) endByKey(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	refreshToken, err := e.end(ctx, key)
	if refreshToken != "" && e.work.Begin() == nil {
		go func() {
			defer e.work.Done()
			e.revoker.revokeEndedQuietly(ctx, refreshToken)
		}()
	}
	return err
}

// endExpired ends a session that has expired. If the store fails, this process keeps
// trying in the background.
func (e *sessionEnder) endExpired(ctx context.Context, key string) {
	_ = e.endByKey(because(ctx, endedByTime), key)
}

// index makes a session findable until a time, in Unix seconds, and ends the user's
// oldest sessions if there are too many. The error wraps [ErrLoginRequired] if the
// user has logged out since the login.
func (e *sessionEnder) index(ctx context.Context, key string, identity *identity.IDToken, until int64) error {
	for _, indexKey := range e.indexes.keysOf(identity) {
		loggedOut, tooMany, err := e.indexes.add(ctx, indexKey, key, until)
		if err != nil {
			return err
		}
		for _, oldest := range tooMany { // without an index entry, no logout would find it
			refreshToken, _ := e.end(because(ctx, EndedByNumber), oldest) // retried in the background if it fails
			e.revoker.revokeEndedQuietly(ctx, refreshToken)
		}
		if loggedOut >= identity.IssuedAt.Unix() {
			return fmt.Errorf("%w: HelseID has said that the user has logged out", ErrLoginRequired)
		}
	}
	return nil
}

// entomb replaces a session by a tombstone, which a concurrent refresh must find, and
// then deletes it. Before that it puts the refresh token into the outbox. It returns
// the refresh token that must be revoked now, or "", also with an error. unsettled is
// the outcome of a refresh that this process could not store: if the store has
// nothing newer, that outcome holds the current refresh token, and entomb reports it
// as settled.
func (e *sessionEnder) entomb(ctx context.Context, key string, unsettled *refreshOutcome) (refreshToken string, settled bool, err error) {
	posted := ""
	for {
		row, err := e.rows.store.Load(ctx, key)
		unreadable := errors.Is(err, ErrUnreadableRow)
		if err != nil && !unreadable {
			return refreshToken, settled, storeError(err)
		}
		// A record that this process cannot read, such as one of another version of this
		// library, may be a session for other processes: the key belongs to this client.
		record, _ := e.rows.decodeAnyKey(row.Data)
		settled = unsettled != nil && (row.Version == 0 || unsettled.isOver(row.Version, &record))
		used := record.RefreshToken != "" && record.unused(time.Now()) == ""
		refreshToken = record.unused(time.Now())
		if settled {
			record, refreshToken, used = unsettled.record, unsettled.record.RefreshToken, false
		}
		if row.Version == 0 || record.Ended {
			return refreshToken, settled, nil
		}
		if record.RefreshToken != "" && record.RefreshToken != posted {
			if posted != "" {
				e.outbox.unpost(ctx, outboxEntry{RefreshToken: posted})
			}
			posted = e.postToken(ctx, &record, used)
		}
		tombstone := e.rows.tombstone()
		data, err := tombstone.encode()
		if err != nil {
			return refreshToken, settled, err
		}
		saved, err := e.rows.store.Save(ctx, key, StoredRow{Version: row.Version, Data: data, Expiry: time.Now().Add(2 * refreshTimeout)})
		if saved && err == nil {
			e.tell(ctx, &record)
			_ = e.rows.store.Delete(ctx, key) // if this fails, the tombstone expires
		}
		if (saved || err != nil) && used {
			if posted == "" {
				e.revoker.revokeLater(record.RefreshToken)
			} else {
				e.outbox.deliverLater()
			}
		}
		switch {
		case err != nil:
			return refreshToken, settled, storeError(err)
		case saved:
			return refreshToken, settled, nil
		case !clock.Sleep(ctx, firstIdleWait):
			return refreshToken, settled, storeError(ctx.Err())
		}
	}
}

// postToken puts the refresh token of a session that is about to end into the outbox,
// and returns the token if the store has accepted it. This process revokes the token
// itself: at once, or, if a refresh is using it, when that must be over.
func (e *sessionEnder) postToken(ctx context.Context, record *sessionRecord, used bool) string {
	next := time.Now().Add(outboxLease)
	if used {
		next = time.Now().Add(refreshTimeout)
	}
	if e.outbox.post(ctx, revocation(record.RefreshToken, next, record.keptUntil())) != nil {
		return ""
	}
	return record.RefreshToken
}

// entombLater keeps trying to end a session after the store has failed, and revokes
// its refresh token unless that has been done.
func (e *sessionEnder) entombLater(key, revoked, cause string, stranger bool) {
	defer e.work.Done()
	defer e.pending.done(key, stranger)
	keepTrying(e.work, func(ctx context.Context) bool {
		refreshToken, _, err := e.entomb(endcause.With(ctx, cause), key, nil)
		switch {
		case err != nil:
			return false
		case refreshToken != revoked:
			e.revoker.revokeEndedQuietly(ctx, refreshToken)
		case revoked != "":
			e.outbox.unpost(ctx, outboxEntry{RefreshToken: revoked})
		}
		return true
	})
}

// tell reports that a session has ended.
func (e *sessionEnder) tell(ctx context.Context, record *sessionRecord) {
	tells := e.observers.concerned(record.Application)
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
	if identity, err := e.idTokens.Restore(record.IDToken); err == nil {
		end.Subject, end.SessionID, end.SecurityLevel = identity.User.Subject, identity.User.SessionID, identity.User.SecurityLevel
	}
	for _, tell := range tells {
		tell(ctx, end)
	}
}
