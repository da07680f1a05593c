package helseid

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/testkit"
)

// sessionParts are those of one process, without HelseID.
type sessionParts struct {
	*sessionEnder
	revoked   []string // what HelseID was asked to revoke
	forgotten []string // whose tokens were forgotten
}

func newSessionParts(store Store) *sessionParts {
	identity := clientIdentity{issuer: "https://helseid.example.no", clientID: "a-client", thumbprint: "a-key"}
	work, logger := lifecycle.New(), slog.New(slog.DiscardHandler)
	parts := &sessionParts{}
	box := &outbox{clientIdentity: identity, store: store, work: work, logger: logger, tries: func(*outboxEntry) bool { return false }}
	revoke := func(_ context.Context, refreshToken string) error {
		parts.revoked = append(parts.revoked, refreshToken)
		return nil
	}
	box.perform = func(ctx context.Context, entry outboxEntry) error { return revoke(ctx, entry.RefreshToken) }
	parts.sessionEnder = &sessionEnder{
		rows:     &sessionRows{clientIdentity: identity, store: store, logger: logger},
		indexes:  &sessionIndexes{clientIdentity: identity, store: store, logger: logger},
		outbox:   box,
		revoker:  &revoker{revoke: revoke, outbox: box, work: work, logger: logger},
		pending:  &pendingEnds{},
		work:     work,
		idTokens: idtoken.New(metadata.NewSource(identity.issuer, &http.Client{}, exchange.TokenEndpoint), "a-client", &http.Client{}),
		forgetTokens: func(_ context.Context, key string) {
			parts.forgotten = append(parts.forgotten, key)
		},
	}
	return parts
}

// session stores a session under a key.
func (p *sessionParts) session(t *testing.T, key, refreshToken string) *heldSession {
	now := time.Now()
	record := sessionRecord{
		Version: sessionVersion, Issuer: p.rows.issuer, ClientID: p.rows.clientID, JKT: p.rows.thumbprint,
		RefreshToken: refreshToken, Offline: true, Created: now.Unix(), RefreshUntil: now.Add(time.Hour).Unix(),
	}
	require.NoError(t, p.rows.create(t.Context(), key, record))
	return &heldSession{place: p.rows.places.place(key, record.keptUntil()), record: record}
}

// What ends a session leaves nothing in the store but the refresh token that HelseID is
// to revoke, and tells once.
func TestSessionEnder(t *testing.T) {
	t.Parallel()
	store := &MemoryStore{}
	parts := newSessionParts(store)
	session := parts.session(t, "a", "the token")
	var told []EndCause
	parts.observers.set("", func(_ context.Context, end SessionEnd) { told = append(told, end.Cause) })
	for range 2 {
		refreshToken, err := parts.end(because(t.Context(), EndedByUser), "a")
		require.NoError(t, err)
		if len(told) == 1 && refreshToken != "" {
			require.Equal(t, "the token", refreshToken)
		}
	}
	require.Equal(t, []EndCause{EndedByUser}, told)
	require.True(t, session.place.ended.Load())
	require.Equal(t, []string{"a", "a"}, parts.forgotten)
	row, err := store.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Zero(t, row.Version)
	_, entries, err := parts.outbox.load(t.Context(), parts.outbox.rows()[0])
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "the token", entries[0].RefreshToken)
	require.NoError(t, parts.revoker.revokeEnded(t.Context(), time.Now().Add(time.Hour), "the token"))
	_, entries, err = parts.outbox.load(t.Context(), parts.outbox.rows()[0])
	require.NoError(t, err)
	require.Empty(t, entries)
	require.Equal(t, []string{"the token"}, parts.revoked)
}

// Of two processes with one session each refreshes in its turn, with the token that the
// other got.
func TestRefresherTakesTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &MemoryStore{}
		var sent []string
		ask := func(_ context.Context, grant tokenGrant) (*userTokens, error) {
			sent = append(sent, grant.parameters.Get("refresh_token"))
			testkit.Sleep(time.Second)
			token := &Token{}
			token.setLifetime(time.Now(), time.Minute)
			return &userTokens{token: token, refreshToken: "token " + strconv.Itoa(len(sent))}, nil
		}
		first, second := newSessionParts(store), newSessionParts(store)
		held := []*heldSession{first.session(t, "a", "token 0")}
		held = append(held, &heldSession{place: second.rows.places.place("a", time.Now().Add(time.Hour)), record: held[0].record})
		results := make(chan error)
		for i, parts := range []*sessionParts{first, second} {
			held[i].identity.User.Subject = "somebody"
			refresher := &refresher{
				rows: parts.rows, ender: parts.sessionEnder, revoker: parts.revoker, idTokens: parts.idTokens, work: parts.work,
				logger: slog.New(slog.DiscardHandler), inTurn: func(_ context.Context, do func(askUserTokens) error) error { return do(ask) },
			}
			go func() {
				_, err := refresher.refresh(t.Context(), held[i], &preparedRequest{tokenOrigin: tokenOrigin{grant: grantRefreshToken}})
				results <- err
			}()
		}
		require.NoError(t, <-results)
		require.NoError(t, <-results)
		require.Equal(t, []string{"token 0", "token 1"}, sent)
		row, err := first.rows.load(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "token 2", row.record.RefreshToken)
		require.Zero(t, row.record.Refreshing, "the mark is gone")
	})
}

// A login is finished once, unless HelseID has given nothing for its code.
func TestClaimOfALogin(t *testing.T) {
	t.Parallel()
	logins := &logins{store: &MemoryStore{}}
	state := newLoginState(&loginStateWire{State: "a", Started: time.Now().Unix()})
	require.NoError(t, logins.claim(t.Context(), state))
	require.ErrorIs(t, logins.claim(t.Context(), state), ErrLoginFinished)
	logins.release(t.Context(), state)
	require.NoError(t, logins.claim(t.Context(), state))
}

// closingStore fails once, while the client is being closed.
type closingStore struct {
	MemoryStore
	failing func()
}

func (s *closingStore) Load(ctx context.Context, key string) (StoredRow, error) {
	if failing := s.failing; failing != nil {
		s.failing = nil
		failing()
		return StoredRow{}, errors.New("down")
	}
	return s.MemoryStore.Load(ctx, key)
}

// Close waits for the end of a session that the store does not take at once, also if it
// has been called meanwhile.
func TestSessionEndsDuringClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &closingStore{}
		parts := newSessionParts(store)
		parts.session(t, "a", "the token")
		closed := make(chan struct{})
		store.failing = func() {
			go func() {
				parts.work.Close()
				close(closed)
			}()
			synctest.Wait()
			require.True(t, parts.work.Closed())
		}
		_, err := parts.end(t.Context(), "a")
		require.ErrorIs(t, err, ErrStore)
		<-closed
		row, err := store.Load(t.Context(), "a")
		require.NoError(t, err)
		require.Zero(t, row.Version)
	})
}
