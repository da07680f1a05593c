package helseid

import (
	"context"
	"errors"
)

// A store that has gone back to an earlier state contains sessions that have ended in
// the meantime. They cannot be distinguished there from live ones, because the record of
// their end is lost. HelseID can tell, because the refresh token of an ended session has
// been revoked or used.

// confirm asks HelseID whether the session is alive, and returns its row. Concurrent
// callers, also in different processes, cause only one refresh.
func (s *Session) confirm(ctx context.Context) (sessionRow, error) {
	source := s.userInfoSource() // accepts any token
	if source.err != nil {
		return sessionRow{}, source.err
	}
	entry := source.entry()
	forgets := entry.forgets()
	token, refreshErr := s.sessions.refresher.refreshIf(ctx, s.held(), source.request, func(row sessionRow) bool { return row.unconfirmed })
	if token != nil {
		source.keep(ctx, entry, token, forgets)
	}
	row, err := s.sessions.rows.load(ctx, s.place().key)
	switch {
	case err == nil && !row.unconfirmed:
		return row, nil
	case errors.Is(refreshErr, ErrLoginRequired), errors.Is(refreshErr, ErrNoRefreshToken), errors.Is(refreshErr, ErrSeveralAudiences):
		s.sessions.logger.InfoContext(ctx, "the session store may have forgotten that a session has ended, and HelseID does not confirm it: it has ended")
		_ = s.sessions.ender.endByKey(because(ctx, EndedByDoubt), s.place().key) // is retried in the background if it fails
		return row, errSessionEnded
	case refreshErr != nil:
		return row, refreshErr
	case err != nil:
		return row, err
	}
	return row, storeError(errors.New("the session is unconfirmed again"))
}
