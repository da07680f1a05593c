package helseid_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

// foreignStore is a store whose errors wrap what this library says, such as one behind
// an API that is called with a client of this library's.
type foreignStore struct {
	helseid.Store
	err error
}

func (s *foreignStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	if s.err != nil {
		return helseid.StoredRow{}, fmt.Errorf("ask the store: %w", s.err)
	}
	return s.Store.Load(ctx, key)
}

// What a store's error wraps is about the store, and says nothing of the user, the
// login or HelseID.
func TestErrorsOfAStoreAreNotTakenForOurs(t *testing.T) {
	t.Parallel()
	store := &foreignStore{Store: &helseid.MemoryStore{}}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.Store = store }})
	session := w.logIn(t)
	for _, foreign := range []error{
		helseid.ErrLoginRequired, helseid.ErrLogin, helseid.ErrLoginFinished, helseid.ErrNoRefreshToken, helseid.ErrSeveralAudiences,
		helseid.ErrIDToken, helseid.ErrLevelTooLow, helseid.ErrLoginTooOld, helseid.ErrConfig, helseid.ErrClosed, helseid.ErrUnavailable, helseid.ErrInvalidResponse,
		&helseid.TokenError{Code: "invalid_grant", StatusCode: 400},
	} {
		store.err = foreign
		_, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrStore)
		var refusal *helseid.TokenError
		if require.NotErrorAs(t, err, &refusal); !errors.As(foreign, &refusal) {
			require.NotErrorIs(t, err, foreign)
		}
	}
	store.err = context.DeadlineExceeded
	_, err := newClient(t, w.config).Sessions().Get(t.Context(), session.ID().Reveal())
	requireError(t, err, helseid.ErrStore)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
