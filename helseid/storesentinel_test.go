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
	helseid.SessionStore
	err error
}

func (s *foreignStore) Load(ctx context.Context, key string) (helseid.StoredSession, error) {
	if s.err != nil {
		return helseid.StoredSession{}, fmt.Errorf("ask the store: %w", s.err)
	}
	return s.SessionStore.Load(ctx, key)
}

// What a store's error wraps is about the store, and says nothing of the user, the
// login or HelseID.
func TestErrorsOfAStoreAreNotTakenForOurs(t *testing.T) {
	t.Parallel()
	store := &foreignStore{SessionStore: &helseid.MemorySessionStore{}}
	w := newLoginWorld(t, worldOptions{config: func(c *helseid.Config) { c.SessionStore = store }})
	session := w.logIn(t)
	for _, foreign := range []error{
		helseid.ErrLoginRequired, helseid.ErrLogin, helseid.ErrLoginFinished, helseid.ErrNoRefreshToken, helseid.ErrSeveralAudiences,
		helseid.ErrConfig, helseid.ErrClosed, helseid.ErrUnavailable, helseid.ErrInvalidResponse,
		&helseid.TokenError{Code: "invalid_grant", StatusCode: 400},
	} {
		store.err = foreign
		_, err := newClient(t, w.config).Session(t.Context(), session.ID().Reveal())
		requireError(t, err, helseid.ErrSessionStore)
		var refusal *helseid.TokenError
		if require.NotErrorAs(t, err, &refusal); !errors.As(foreign, &refusal) {
			require.NotErrorIs(t, err, foreign)
		}
	}
	store.err = context.DeadlineExceeded
	_, err := newClient(t, w.config).Session(t.Context(), session.ID().Reveal())
	requireError(t, err, helseid.ErrSessionStore)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
