package helseid

import (
	"context"
	"errors"
)

// A store that has gone back to an earlier state brings sessions back that have ended.
// Nothing in it tells them from those that have not: what said so is lost. HelseID
// knows, since a session that has ended had its refresh token revoked or used.

// confirm asks HelseID whether the session is alive, and returns its row. Several that
// ask at once, also in different processes, refresh once.
func (s *Session) confirm(ctx context.Context) (sessionRow, error) {
	source := s.userInfoSource() // which any token will do for
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
		_ = s.sessions.ender.endByKey(because(ctx, EndedByDoubt), s.place().key) // goes on trying
		return row, errSessionEnded
	case refreshErr != nil:
		return row, refreshErr
	case err != nil:
		return row, err
	}
	return row, storeError(errors.New("the session is unconfirmed again"))
}
