package helseid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A refresh token is used once: HelseID answers with the next. So a refresh
// leaves a mark in the session's record first, which only one can leave, and
// which all others wait for. Whoever finds a mark whose process must have ended
// does not know whether the token has been used up.

// refresh gets a token for a request with the session's refresh token.
func (s *Session) refresh(ctx context.Context, request *preparedRequest) (*Token, error) {
	unlock, err := s.place.lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: wait for another refresh of the session: %w", ErrUnavailable, err)
	}
	defer unlock()
	for {
		if s.place.ended.Load() {
			return nil, errSessionEnded
		}
		version, record, err := s.awaitIdle(ctx)
		if err != nil {
			return nil, err
		}
		token, err := s.client.inTurn(ctx, func() (*Token, error) { return s.refreshOnce(ctx, version, record, request) })
		if !errors.Is(err, errSessionChanged) {
			return token, err
		}
	}
}

var errSessionChanged = fmt.Errorf("%w: another process is refreshing the session", errNotAsked)

const (
	firstIdleWait = 10 * time.Millisecond
	maxIdleWait   = 250 * time.Millisecond
)

// awaitIdle waits until no refresh of the session is under way anywhere, and
// returns its record if it can be refreshed.
func (s *Session) awaitIdle(ctx context.Context) (version uint64, record sessionRecord, err error) {
	if outcome := s.place.unsettled; outcome != nil {
		if _, err := s.trySettle(ctx, outcome); err != nil {
			return 0, record, err
		}
		s.place.unsettled = nil
	}
	for wait := firstIdleWait; ; wait = min(2*wait, maxIdleWait) {
		version, record, err = s.client.loadSession(ctx, s.key)
		if err != nil {
			return 0, record, err
		}
		switch now := time.Now(); {
		case record.Refreshing == 0:
			return version, record, record.refreshable(now)
		case record.lost(now) && s.client.config.ResendUnansweredRefreshTokens:
			return version, record, record.refreshable(now)
		case record.lost(now):
			record.unmark()
			record.RefreshToken = ""
			if _, err := s.save(ctx, version, record); err != nil {
				return 0, record, err
			}
			return 0, record, fmt.Errorf("%w: a process ended while it refreshed the session: %w", ErrLoginRequired, errOutcomeUnknown)
		}
		if !sleep(ctx, wait) {
			return 0, record, fmt.Errorf("%w: another process is refreshing the session: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// refreshOnce marks the session, asks HelseID and writes down what came of it.
func (s *Session) refreshOnce(ctx context.Context, version uint64, record sessionRecord, request *preparedRequest) (*Token, error) {
	refresher := jose.NewID()
	record.mark(refresher)
	saved, err := s.save(ctx, version, record)
	switch {
	case err != nil:
		// The mark may have been left all the same.
		record.unmark()
		s.settle(ctx, &refreshOutcome{version + 1, refresher, record})
		return nil, fmt.Errorf("%w: %w", errNotAsked, err)
	case !saved:
		return nil, errSessionChanged
	}
	grant := request.tokenGrant()
	grant.parameters.Set("refresh_token", record.RefreshToken)
	grant.once = true
	tokens, err := s.client.askUserTokens(ctx, grant)
	record.unmark()
	spent := false
	switch {
	case err == nil:
		record.renew(tokens)
	case s.spends(err):
		spent = true
		record.RefreshToken = ""
	}
	reindex := err == nil && record.reindex()
	gone := s.settle(ctx, &refreshOutcome{version + 1, refresher, record})
	switch {
	case spent:
		return nil, fmt.Errorf("%w: %w", ErrLoginRequired, err)
	case err != nil:
		return nil, err
	case gone:
		// The user has logged out meanwhile.
		s.client.revokeQuietly(ctx, record.RefreshToken)
		return nil, errSessionEnded
	}
	s.client.sessions.extend(s.place, record.expiry())
	if reindex {
		if err := s.client.indexSession(ctx, s.key, &s.identity, record.IndexedUntil); err != nil {
			s.client.config.Logger.WarnContext(ctx, "a session will not be found when HelseID logs its user out", slog.Any("cause", err))
		}
	}
	return s.checkRefreshed(ctx, version+2, record, tokens)
}

// spends reports that a refresh token is of no use after an error.
func (s *Session) spends(err error) bool {
	var refusal *TokenError
	if errors.As(err, &refusal) && refusal.Code == "invalid_grant" {
		return true
	}
	return errors.Is(err, errOutcomeUnknown) && !s.client.config.ResendUnansweredRefreshTokens
}

// checkRefreshed looks at the tokens when the refresh token is in safety.
func (s *Session) checkRefreshed(ctx context.Context, version uint64, record sessionRecord, tokens *userTokens) (*Token, error) {
	if tokens.tokenErr != nil {
		return nil, tokens.tokenErr
	}
	token := tokens.token
	if tokens.idToken != "" {
		_, err := s.client.idTokens.Validate(ctx, tokens.idToken, tokenvalidation.IDTokenExpectation{
			AccessToken: token.Access.Reveal(), Previous: &s.identity,
		})
		if errors.Is(err, tokenvalidation.ErrInvalidToken) {
			record.RefreshToken = ""
			_, _ = s.save(ctx, version, record)
			return nil, fmt.Errorf("%w: the refreshed ID token: %w", ErrLoginRequired, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if token.audiences > 1 {
		return nil, ErrSeveralAudiences
	}
	if end, ok := record.attestEnd(); ok {
		token.limit(end.Sub(token.fetched))
	}
	return token, nil
}

func (s *Session) save(ctx context.Context, version uint64, record sessionRecord) (bool, error) {
	data, err := record.encode()
	if err != nil {
		return false, err
	}
	saved, err := s.client.store.Save(ctx, s.key, StoredSession{Version: version, Data: data, Expiry: record.expiry()})
	if err != nil {
		return false, storeError(err)
	}
	return saved, nil
}

// refreshOutcome is what is to be written over the mark of a refresh.
type refreshOutcome struct {
	version   uint64 // of the row with the mark
	refresher string // in the mark
	record    sessionRecord
}

const (
	settleTimeout = 5 * time.Second
	settleTries   = 4
	settleWait    = 100 * time.Millisecond
)

// settle writes the outcome down, also for a caller that has gone. It reports
// that there is no such session any more. If the store does not take it, this
// process keeps it and tries again at the next refresh.
func (s *Session) settle(ctx context.Context, outcome *refreshOutcome) (gone bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	saved, err := s.save(ctx, outcome.version, outcome.record)
	if err == nil && saved {
		return false
	}
	for try := range settleTries {
		if gone, err = s.trySettle(ctx, outcome); err == nil {
			return gone
		}
		if !sleep(ctx, settleWait<<try) {
			break
		}
	}
	s.place.unsettled = outcome
	s.client.config.Logger.WarnContext(ctx, "the session store did not take a renewed session")
	return false
}

// trySettle writes the outcome over its mark if that is still there. An earlier
// attempt may have done so although the store said it had failed.
func (s *Session) trySettle(ctx context.Context, outcome *refreshOutcome) (gone bool, err error) {
	row, err := s.client.store.Load(ctx, s.key)
	if err != nil {
		return false, storeError(err)
	}
	data, err := outcome.record.encode()
	if err != nil {
		return false, err
	}
	if bytes.Equal(row.Data, data) {
		return false, nil
	}
	stored, err := s.client.decodeSession(row.Data)
	if err != nil || stored.Refresher != outcome.refresher {
		return true, nil //nolint:nilerr // it is not ours any more
	}
	saved, err := s.save(ctx, row.Version, outcome.record)
	if err != nil {
		return false, err
	}
	return !saved, nil
}
