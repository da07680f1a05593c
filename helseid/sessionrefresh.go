package helseid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// A refresh token can be used once: HelseID's answer contains the next one. So a refresh
// first marks the session's record by compare-and-swap. Only one process succeeds, and the
// others wait. If the process that set a mark must have ended, it is not known whether the
// token has been used.

// refresher refreshes sessions.
type refresher struct {
	rows     *sessionRows
	ender    *sessionEnder
	revoker  *revoker
	idTokens *idtoken.Validator
	inTurn   userTokensInTurn
	work     *lifecycle.Lifecycle
	logger   *slog.Logger
	resend   bool // Config.ResendUnansweredRefreshTokens
}

// refresh gets a token for a request with the session's refresh token.
func (r *refresher) refresh(ctx context.Context, s *heldSession, request *preparedRequest) (*Token, error) {
	return r.refreshIf(ctx, s, request, func(sessionRow) bool { return true })
}

// refreshIf does the same if needed still says so when the session is locked.
// Otherwise it returns no token.
func (r *refresher) refreshIf(ctx context.Context, s *heldSession, request *preparedRequest, needed func(sessionRow) bool) (token *Token, err error) {
	unlock, err := s.place.lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: wait for another refresh of the session: %w", ErrUnavailable, err)
	}
	defer unlock()
	defer func() {
		if errors.Is(err, ErrSessionExpired) {
			r.ender.endExpired(ctx, s.place.key)
		}
	}()
	row, ok := s.known(request)
	for ; ; ok = false {
		if !ok {
			if row, err = r.awaitIdle(ctx, s, request); err != nil {
				return nil, err
			}
		}
		if !needed(row) {
			return nil, nil
		}
		attempt := &refreshAttempt{sessionRow: row, refresher: jose.NewID()}
		err = r.inTurn(ctx, func(ask askUserTokens) error { return r.send(ctx, s, ask, attempt, request) })
		token, err = r.conclude(ctx, s, attempt, err)
		switch {
		case err == nil && s.place.ended.Load():
			return nil, errSessionEnded // there was a logout meanwhile
		case !errors.Is(err, errSessionChanged):
			return token, err
		case !clock.Sleep(ctx, firstIdleWait):
			return nil, fmt.Errorf("%w: other processes refresh the session: %w", ErrUnavailable, ctx.Err())
		}
	}
}

var errSessionChanged = redact.Words("another process is refreshing the session")

const (
	firstIdleWait = 10 * time.Millisecond
	maxIdleWait   = 250 * time.Millisecond
)

// maxKnown is how old the known row may be to be used without loading it again: the
// time between looking a session up and the call that this is done for. If the row
// has changed meanwhile, the mark fails, and then the row is loaded.
const maxKnown = 5 * time.Second

// known returns the session's row as this process has just read or written it, if the
// session can be refreshed. The caller holds the lock.
func (s *heldSession) known(request *preparedRequest) (row sessionRow, ok bool) {
	known, now := s.place.known.Load(), time.Now()
	if known == nil || s.place.unsettled != nil || s.place.ended.Load() || now.Sub(known.at) > maxKnown {
		return row, false
	}
	row = known.sessionRow
	return row, row.record.Refreshing == 0 && row.record.refreshable(request) == nil && now.Before(row.record.expiry())
}

// awaitIdle waits until no process is refreshing the session, and returns its row if
// it can be refreshed.
func (r *refresher) awaitIdle(ctx context.Context, s *heldSession, request *preparedRequest) (row sessionRow, err error) {
	if err := r.settleOld(ctx, s); err != nil {
		return row, err
	}
	for wait := firstIdleWait; ; wait = min(2*wait, maxIdleWait) {
		if s.place.ended.Load() {
			return row, errSessionEnded
		}
		if row, err = r.rows.load(ctx, s.place.key); err != nil {
			return row, err
		}
		record := row.record
		switch now := time.Now(); {
		case record.Refreshing == 0:
			return row, record.refreshable(request)
		case record.redate(now):
			if _, err := r.rows.save(ctx, s.place, row.version, record, false); err != nil {
				return row, err
			}
		case record.lost(now) && r.resend:
			return row, record.refreshable(request)
		case record.lost(now):
			// The token is not revoked: the process may only have lost its connection to
			// the store, and may store the outcome later.
			record.unmark()
			record.RefreshToken = ""
			saved, err := r.rows.save(ctx, s.place, row.version, record, false)
			if err != nil {
				return row, err
			}
			if saved {
				return row, fmt.Errorf("%w: a process ended while it refreshed the session: %w", ErrLoginRequired, exchange.ErrOutcomeUnknown)
			}
			// The mark has changed, so the process has not ended.
		}
		if !clock.Sleep(ctx, wait) {
			return row, fmt.Errorf("%w: another process is refreshing the session: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// refreshAttempt is one use of a session's refresh token.
type refreshAttempt struct {
	sessionRow // as it was before the mark
	refresher  string
	tokens     *userTokens // what HelseID answered, or nil

	unmarked bool // writing the mark failed
	sent     bool
}

// send marks the session and asks HelseID. After the mark, neither a cancelled
// context nor Close stops it, because the token would be lost.
func (r *refresher) send(ctx context.Context, s *heldSession, ask askUserTokens, attempt *refreshAttempt, request *preparedRequest) error {
	attempt.record.mark(attempt.refresher)
	marking, stop := context.WithTimeout(ctx, settleTimeout)
	saved, err := r.rows.save(marking, s.place, attempt.version, attempt.record, false)
	stop()
	switch {
	case err != nil:
		attempt.unmarked = true
		s.place.known.Store(nil)
		return err
	case !saved:
		return errSessionChanged
	}
	attempt.sent = true
	s.place.known.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenRequestTimeout)
	defer cancel()
	grant := request.tokenGrant()
	grant.parameters.Set("refresh_token", attempt.record.RefreshToken)
	grant.once = true
	attempt.tokens, err = ask(ctx, grant)
	if err == nil {
		attempt.tokens.forIssuer = request.forIssuer
	}
	return err
}

// conclude stores the outcome of an attempt and returns the token, or why there is none.
func (r *refresher) conclude(ctx context.Context, s *heldSession, attempt *refreshAttempt, err error) (*Token, error) {
	if !attempt.sent && !attempt.unmarked {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	outcome, spent := r.outcomeOf(attempt, err)
	record := outcome.record
	// Until the index is written, the stored record states how long it was kept before.
	indexed := max(record.plausible(record.IndexedUntil), record.plausible(s.place.indexed.Load()))
	record.IndexedUntil = indexed
	reindex := err == nil && (record.reindex() || attempt.unconfirmed) // the index may have been lost
	until := record.IndexedUntil
	record.IndexedUntil = indexed
	outcome.record = record
	gone := r.settle(ctx, s, outcome)
	if gone {
		// The user has logged out meanwhile, which leaves the token to this refresh.
		r.revoker.revokeQuietly(ctx, record.RefreshToken)
	}
	switch {
	case spent:
		if errors.Is(err, exchange.ErrOutcomeUnknown) {
			// The old token may still be valid, and nobody will use it.
			r.revoker.revokeQuietly(ctx, attempt.record.RefreshToken)
		}
		return nil, fmt.Errorf("%w: %w", ErrLoginRequired, err)
	case err != nil:
		return nil, err
	case gone:
		return nil, errSessionEnded
	}
	r.rows.places.extend(s.place, record.keptUntil())
	if reindex {
		r.index(ctx, s, until)
	}
	return r.checkRefreshed(ctx, s, attempt.refresher, record, attempt.tokens)
}

// outcomeOf returns what to store after an attempt. spent says that the session's refresh
// token must not be used again, and that there is no new one.
func (r *refresher) outcomeOf(attempt *refreshAttempt, err error) (outcome *refreshOutcome, spent bool) {
	outcome = &refreshOutcome{refresher: attempt.refresher, unconfirmed: attempt.unconfirmed, record: attempt.record}
	outcome.record.unmark()
	if attempt.sent {
		outcome.marked = attempt.version + 1
	}
	switch {
	case attempt.unmarked:
		outcome.before = attempt.version
	case err == nil:
		if attempt.tokens.refreshToken != "" {
			outcome.used = attempt.record.RefreshToken
		}
		outcome.record.renew(attempt.tokens)
		outcome.confirms = attempt.unconfirmed
	case attempt.unconfirmed && errors.Is(err, exchange.ErrOutcomeUnknown):
		// It is not known whether the session is alive: HelseID must be asked again.
	case r.spends(err):
		spent = true
		outcome.record.RefreshToken = ""
	}
	return outcome, spent
}

// index keeps the session findable for a logout at HelseID until a time, in Unix seconds.
func (r *refresher) index(ctx context.Context, s *heldSession, until int64) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := r.ender.index(ctx, s.place.key, &s.identity, until); err != nil {
		r.logger.WarnContext(ctx, "a session may not be found when HelseID logs its user out", cause(err))
		return
	}
	s.place.indexed.Store(until)
}

// spends reports that the refresh token must not be used again after an error.
func (r *refresher) spends(err error) bool {
	var refusal *TokenError
	if errors.As(err, &refusal) && refusal.Code == "invalid_grant" {
		return !leavesRefreshToken[refusal.HID]
	}
	return errors.Is(err, exchange.ErrOutcomeUnknown) && !r.resend
}

// checkRefreshed validates the tokens, after the new refresh token has been stored.
// After an ID token of another login, the session gets no more tokens: it has no refresh
// token any more.
func (r *refresher) checkRefreshed(ctx context.Context, s *heldSession, refresher string, record sessionRecord, tokens *userTokens) (*Token, error) {
	expected := idtoken.Expectation{Previous: &s.identity}
	if tokens.token != nil {
		expected.AccessToken = tokens.token.Access.Reveal()
	}
	if tokens.idToken != "" {
		_, err := r.idTokens.Validate(ctx, tokens.idToken, expected)
		if errors.Is(err, ErrIDToken) {
			foreign := record.RefreshToken
			record.RefreshToken = ""
			r.settle(ctx, s, &refreshOutcome{refresher: refresher, record: record})
			r.revoker.revokeQuietly(ctx, foreign)
			return nil, fmt.Errorf("%w: the refreshed ID token: %w", ErrLoginRequired, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if tokens.tokenErr != nil {
		return nil, tokens.tokenErr
	}
	if tokens.token.audiences > 1 && !tokens.forIssuer {
		return nil, ErrSeveralAudiences
	}
	record.limit(tokens.token)
	return tokens.token, nil
}

// refreshOutcome is what replaces the mark of a refresh.
type refreshOutcome struct {
	refresher string // in the mark
	record    sessionRecord

	// before is the version before the mark, if it is not known whether the mark has
	// been written. A row that still has this version is written again: if the mark
	// arrives late, the compare-and-swap fails.
	before uint64

	// marked is the version of the mark, if this process has written it. A row that
	// still has this version need not be read.
	marked uint64

	// confirms says that HelseID has accepted a session that was unconfirmed (see
	// [StoredRow]).
	confirms    bool
	unconfirmed bool // the session was unconfirmed before the refresh

	// used is the refresh token that HelseID has replaced, or "". A row that still
	// contains it, because the store has lost the mark, is outdated.
	used string
}

// isOver reports whether an outcome replaces a row.
func (o *refreshOutcome) isOver(version uint64, stored *sessionRecord) bool {
	return stored.Refresher == o.refresher || o.before != 0 && version == o.before || o.used != "" && stored.RefreshToken == o.used
}

const (
	settleTimeout = 5 * time.Second
	settleTries   = 5
	settleWait    = 100 * time.Millisecond
)

// settle stores the outcome, even if the caller has given up. It reports that the
// session does not exist any more. If the store fails, this process keeps the outcome
// and keeps trying in the background.
func (r *refresher) settle(ctx context.Context, s *heldSession, outcome *refreshOutcome) (gone bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	s.place.unsettled = nil
	if outcome.marked != 0 {
		if saved, err := r.rows.save(ctx, s.place, outcome.marked, outcome.record, outcome.confirms); saved && err == nil {
			s.place.know(sessionRow{version: outcome.marked + 1, record: outcome.record, unconfirmed: outcome.unconfirmed && !outcome.confirms})
			return false
		}
	}
	for try := range settleTries {
		if gone, err := r.trySettle(ctx, s, outcome); err == nil {
			return gone
		}
		if !clock.Sleep(ctx, settleWait<<try) {
			break
		}
	}
	r.logger.WarnContext(ctx, "the session store did not take a renewed session")
	outcome.confirms = false // the store may have lost data again since
	s.place.unsettled = outcome
	if r.work.Begin() == nil {
		go r.settleLater(s, outcome)
	}
	return false
}

func (r *refresher) settleLater(s *heldSession, outcome *refreshOutcome) {
	defer r.work.Done()
	keepTrying(r.work, func(ctx context.Context) bool {
		unlock, err := s.place.lock(ctx)
		if err != nil {
			return false
		}
		defer unlock()
		return s.place.unsettled != outcome || r.settleOld(ctx, s) == nil
	})
}

// settleOld stores an outcome that could not be stored earlier. The caller holds the
// lock.
func (r *refresher) settleOld(ctx context.Context, s *heldSession) error {
	outcome := s.place.unsettled
	if outcome == nil {
		return nil
	}
	gone, err := r.trySettle(ctx, s, outcome)
	if err != nil {
		return err
	}
	s.place.unsettled = nil
	if gone {
		r.revoker.revokeQuietly(ctx, outcome.record.RefreshToken)
	}
	return nil
}

// trySettle replaces the mark by the outcome. There are four cases. The row still has
// the mark, or another process has taken the mark for lost and replaced it. The row
// has the outcome, since an earlier attempt succeeded although the store reported an
// error. Others have refreshed the session since, which is only possible after the
// outcome was stored. Or the session has ended.
func (r *refresher) trySettle(ctx context.Context, s *heldSession, outcome *refreshOutcome) (gone bool, err error) {
	data, err := outcome.record.encode()
	if err != nil {
		return false, err
	}
	for {
		row, err := r.rows.store.Load(ctx, s.place.key)
		if errors.Is(err, ErrUnreadableRow) {
			return true, nil
		}
		if err != nil {
			return false, storeError(err)
		}
		stored, err := r.rows.decode(row.Data)
		switch {
		case row.Version == 0 || err != nil:
			return true, nil
		case !outcome.isOver(row.Version, &stored), bytes.Equal(row.Data, data):
			return false, nil
		}
		outcome.record.usedAt(stored.LastUsed)
		saved, err := r.rows.save(ctx, s.place, row.Version, outcome.record, outcome.confirms)
		if err != nil || saved {
			return false, err
		}
		if !clock.Sleep(ctx, firstIdleWait) {
			return false, storeError(ctx.Err())
		}
	}
}
