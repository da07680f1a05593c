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

// A refresh token is used once: HelseID answers with the next. So a refresh first
// marks the session's record, by compare-and-swap. Only one process succeeds, and the
// others wait. Whoever finds a mark whose process must have ended does not know
// whether the token has been used.

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

// refreshIf does the same unless it turns out not to be needed any more. Then there is
// no token.
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
			return nil, errSessionEnded // a logout came in between
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

// maxKnown is how old what is known of a row may be to be relied upon without another
// look: as long as a look-up and the call for which it was made are apart. The mark
// fails if it has changed, and then it is read.
const maxKnown = 5 * time.Second

// known is the session's row as this process has just read or written it, if it can be
// refreshed. The caller has the turn.
func (s *heldSession) known(request *preparedRequest) (row sessionRow, ok bool) {
	known, now := s.place.known.Load(), time.Now()
	if known == nil || s.place.unsettled != nil || s.place.ended.Load() || now.Sub(known.at) > maxKnown {
		return row, false
	}
	row = known.sessionRow
	return row, row.record.Refreshing == 0 && row.record.refreshable(request) == nil && now.Before(row.record.expiry())
}

// awaitIdle waits until no refresh of the session is under way anywhere, and
// returns its record if it can be refreshed.
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
			// It is not revoked: its process may only have been cut off from the
			// store, and bring the outcome later.
			record.unmark()
			record.RefreshToken = ""
			saved, err := r.rows.save(ctx, s.place, row.version, record, false)
			if err != nil {
				return row, err
			}
			if saved {
				return row, fmt.Errorf("%w: a process ended while it refreshed the session: %w", ErrLoginRequired, exchange.ErrOutcomeUnknown)
			}
			// It has not ended after all.
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

	unmarked bool // the store said that it did not take the mark
	sent     bool
}

// send marks the session and asks HelseID. From the mark on neither a cancelled
// context nor Close stops it: the token would be lost.
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

// conclude writes down what came of an attempt, and looks at the tokens.
func (r *refresher) conclude(ctx context.Context, s *heldSession, attempt *refreshAttempt, err error) (*Token, error) {
	if !attempt.sent && !attempt.unmarked {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	record := attempt.record
	record.unmark()
	outcome := &refreshOutcome{refresher: attempt.refresher, unconfirmed: attempt.unconfirmed}
	if attempt.sent {
		outcome.marked = attempt.version + 1
	}
	spent, dropped := false, ""
	switch {
	case attempt.unmarked:
		outcome.before = attempt.version
	case err == nil:
		if attempt.tokens.refreshToken != "" {
			outcome.used = record.RefreshToken
		}
		record.renew(attempt.tokens)
		outcome.confirms = attempt.unconfirmed
	case attempt.unconfirmed && errors.Is(err, exchange.ErrOutcomeUnknown):
		// Nobody knows whether the session is alive: HelseID is to be asked again.
	case r.spends(err):
		spent = true
		if errors.Is(err, exchange.ErrOutcomeUnknown) {
			dropped = record.RefreshToken // it may be good yet, and nobody will use it
		}
		record.RefreshToken = ""
	}
	// The record says that the index is written only when it has been.
	indexed := max(record.plausible(record.IndexedUntil), record.plausible(s.place.indexed.Load()))
	record.IndexedUntil = indexed
	reindex := err == nil && (record.reindex() || attempt.unconfirmed) // the index may have been lost
	until := record.IndexedUntil
	record.IndexedUntil = indexed
	outcome.record = record
	gone := r.settle(ctx, s, outcome)
	if gone {
		// The user has logged out meanwhile, and left the token to this refresh.
		r.revoker.revokeQuietly(ctx, record.RefreshToken)
	}
	switch {
	case spent:
		r.revoker.revokeQuietly(ctx, dropped)
		return nil, fmt.Errorf("%w: %w", ErrLoginRequired, err)
	case err != nil:
		return nil, err
	case gone:
		return nil, errSessionEnded
	}
	r.rows.places.extend(s.place, record.keptUntil())
	if reindex {
		indexing, cancel := context.WithTimeout(ctx, settleTimeout)
		defer cancel()
		if err := r.ender.index(indexing, s.place.key, &s.identity, until); err != nil {
			r.logger.WarnContext(ctx, "a session may not be found when HelseID logs its user out", cause(err))
		} else {
			s.place.indexed.Store(until)
		}
	}
	return r.checkRefreshed(ctx, s, attempt.refresher, record, attempt.tokens)
}

// spends reports that a refresh token is of no use after an error.
func (r *refresher) spends(err error) bool {
	var refusal *TokenError
	if errors.As(err, &refusal) && refusal.Code == "invalid_grant" {
		return !leavesRefreshToken[refusal.HID]
	}
	return errors.Is(err, exchange.ErrOutcomeUnknown) && !r.resend
}

// checkRefreshed looks at the tokens when the refresh token is in safety. An ID
// token of another login ends the session.
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

// refreshOutcome is what is to be written over the mark of a refresh.
type refreshOutcome struct {
	refresher string // in the mark
	record    sessionRecord

	// before is the version that a mark was to be written over, if it is not known
	// whether it was. A row that still has it is written again: a mark that comes
	// late then finds another version.
	before uint64

	// marked is the version of the mark, if this process has written it and nothing
	// since. A row that still has it need not be read.
	marked uint64

	// confirms says that HelseID has accepted the session, of which there was doubt.
	confirms    bool
	unconfirmed bool // there was

	// used is the refresh token that HelseID has replaced, if it has. A row that
	// still holds it, because the store has lost the mark, holds nothing of use.
	used string
}

// isOver reports whether an outcome is to be written over a row.
func (o *refreshOutcome) isOver(version uint64, stored *sessionRecord) bool {
	return stored.Refresher == o.refresher || o.before != 0 && version == o.before || o.used != "" && stored.RefreshToken == o.used
}

const (
	settleTimeout = 5 * time.Second
	settleTries   = 5
	settleWait    = 100 * time.Millisecond
)

// settle writes the outcome down, also for a caller that has gone. It reports
// that there is no such session any more. If the store does not take it, this
// process keeps it and goes on trying in the background.
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
	outcome.confirms = false // it may be another loss
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

// settleOld writes an outcome down that the store did not take earlier. The
// caller has the turn.
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

// trySettle writes the outcome over its mark. The row can be in four states: it
// still has the mark, or what another process made of a mark that it took for
// lost; it has the outcome, since an earlier attempt succeeded although the store
// said it had failed; others have refreshed the session since, which they can only
// after that; or the session has ended.
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
