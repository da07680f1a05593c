package helseid

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// An outcome replaces the mark of its own refresh, the row from before a mark that may not
// have been written, and a row that still has the token that was used; and no other.
func TestRefreshOutcomeIsOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcome refreshOutcome
		version uint64
		stored  sessionRecord
		is      bool
	}{
		"its own mark":                 {refreshOutcome{refresher: "a"}, 7, sessionRecord{Refresher: "a"}, true},
		"another's mark":               {refreshOutcome{refresher: "a"}, 7, sessionRecord{Refresher: "b"}, false},
		"the row before its mark":      {refreshOutcome{refresher: "a", before: 7}, 7, sessionRecord{Refresher: "b"}, true},
		"a row after that":             {refreshOutcome{refresher: "a", before: 7}, 8, sessionRecord{Refresher: "b"}, false},
		"no row":                       {refreshOutcome{refresher: "a"}, 0, sessionRecord{Refresher: "b"}, false},
		"with the used token":          {refreshOutcome{refresher: "a", used: "t"}, 7, sessionRecord{Refresher: "b", RefreshToken: "t"}, true},
		"with another token":           {refreshOutcome{refresher: "a", used: "t"}, 7, sessionRecord{Refresher: "b", RefreshToken: "u"}, false},
		"without a token, none used":   {refreshOutcome{refresher: "a"}, 7, sessionRecord{Refresher: "b"}, false},
		"without a token, one is used": {refreshOutcome{refresher: "a", used: "t"}, 7, sessionRecord{Refresher: "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.is, test.outcome.isOver(test.version, &test.stored))
		})
	}
}

// What becomes of an outcome depends on what the store has in place of the mark.
func TestTrySettle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*StoredRow, *sessionRecord) // of what the session's row has
		gone    bool
		replace bool
	}{
		"its mark":            {func(_ *StoredRow, r *sessionRecord) { r.mark("mine") }, false, true},
		"its mark, for lost":  {func(_ *StoredRow, r *sessionRecord) { r.Refresher, r.RefreshToken = "mine", "" }, false, true},
		"another's mark":      {func(_ *StoredRow, r *sessionRecord) { r.mark("another") }, false, false},
		"the end":             {func(_ *StoredRow, r *sessionRecord) { r.mark("mine"); r.Ended = true }, true, false},
		"something else":      {func(row *StoredRow, _ *sessionRecord) { row.Data = []byte("x") }, true, false},
		"a future version":    {func(_ *StoredRow, r *sessionRecord) { r.mark("mine"); r.Version++ }, true, false},
		"nothing at all":      {func(row *StoredRow, _ *sessionRecord) { row.Version = 0 }, true, false},
		"a session of others": {func(_ *StoredRow, r *sessionRecord) { r.mark("mine"); r.ClientID = "another" }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &MemoryStore{}
			parts := newSessionParts(store)
			held := parts.session(t, "a", "the old token")
			row, err := store.Load(t.Context(), "a")
			require.NoError(t, err)
			record := held.record
			test.change(&row, &record)
			switch {
			case row.Version == 0:
				require.NoError(t, store.Delete(t.Context(), "a"))
			default:
				if string(row.Data) != "x" {
					row.Data, err = record.encode()
					require.NoError(t, err)
				}
				saved, err := store.Save(t.Context(), "a", row)
				require.NoError(t, err)
				require.True(t, saved)
			}
			before, err := store.Load(t.Context(), "a")
			require.NoError(t, err)

			outcome := &refreshOutcome{refresher: "mine", record: held.record}
			outcome.record.RefreshToken = "the new token"
			r := &refresher{rows: parts.rows, logger: slog.New(slog.DiscardHandler)}
			gone, err := r.trySettle(t.Context(), held, outcome)
			require.NoError(t, err)
			require.Equal(t, test.gone, gone)
			after, err := store.Load(t.Context(), "a")
			require.NoError(t, err)
			if !test.replace {
				require.Equal(t, before, after)
				return
			}
			stored, err := parts.rows.decode(after.Data)
			require.NoError(t, err)
			require.Equal(t, "the new token", stored.RefreshToken)
		})
	}
}

// answeringStore answers the next writes as it is told.
type answeringStore struct {
	MemoryStore
	answers []error // nil: another writer was faster
	saves   int
}

func (s *answeringStore) Save(ctx context.Context, key string, row StoredRow) (bool, error) {
	s.saves++
	if len(s.answers) > 0 {
		answer := s.answers[0]
		s.answers = s.answers[1:]
		return false, answer
	}
	return s.MemoryStore.Save(ctx, key, row)
}

// An outcome is written again after a write of others, and kept for later if the store does
// not take it.
func TestSettleOld(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for name, test := range map[string]struct {
		answers []error
		saves   int
		err     error
	}{
		"taken":                     {nil, 1, nil},
		"another writer was faster": {[]error{nil}, 2, nil},
		"down":                      {[]error{down}, 1, ErrStore},
		"faster, then down":         {[]error{nil, down}, 2, ErrStore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &answeringStore{}
			parts := newSessionParts(store)
			held := parts.session(t, "a", "the old token")
			row, err := store.Load(t.Context(), "a")
			require.NoError(t, err)
			record := held.record
			record.mark("mine")
			saved, err := parts.rows.save(t.Context(), held.place, row.Version, record, false)
			require.NoError(t, err)
			require.True(t, saved)

			r := &refresher{rows: parts.rows, revoker: parts.revoker, logger: slog.New(slog.DiscardHandler)}
			require.NoError(t, r.settleOld(t.Context(), held), "nothing is unsettled")
			held.place.unsettled = &refreshOutcome{refresher: "mine", record: held.record}
			held.place.unsettled.record.RefreshToken = "the new token"
			store.answers, store.saves = test.answers, 0
			require.ErrorIs(t, r.settleOld(t.Context(), held), test.err)
			require.Equal(t, test.saves, store.saves)
			require.Equal(t, test.err != nil, held.place.unsettled != nil)
			require.Empty(t, parts.revoked)

			// The user logs out before the next try, which then finds no session.
			held.place.unsettled = &refreshOutcome{refresher: "mine", record: held.record}
			held.place.unsettled.record.RefreshToken = "the newest token"
			require.NoError(t, store.Delete(t.Context(), "a"))
			require.NoError(t, r.settleOld(t.Context(), held))
			require.Nil(t, held.place.unsettled)
			require.Equal(t, []string{"the newest token"}, parts.revoked)
		})
	}
}
