package helseid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Sessions are the sessions of a client's logged-in users, in all its processes that
// share a [Store]. Sessions start with [Client.FinishLogin]. It is safe for
// concurrent use.
type Sessions struct {
	unprintable

	rows       *sessionRows
	indexes    *sessionIndexes
	outbox     *outbox
	revoker    *revoker
	ender      *sessionEnder
	logouts    *logouts
	refresher  *refresher
	uses       *sessionUses
	idTokens   *idtoken.Validator
	logoutURLs logoutURLs
	userInfo   userInfoReader
	tokens     *tokenSupply
	calls      *apiCaller
	logger     *slog.Logger
}

// newSessions makes the parts and connects them.
func newSessions(config Config, identity clientIdentity, store Store, requests tokenRequester, idTokens *idtoken.Validator, tokens *tokenSupply, calls *apiCaller) *Sessions {
	work, logger := requests.Work, config.Logger
	rows := &sessionRows{clientIdentity: identity, store: store, logger: logger}
	indexes := &sessionIndexes{clientIdentity: identity, store: store, logger: logger}
	outbox := &outbox{clientIdentity: identity, store: store, local: config.Store == nil, work: work, logger: logger}
	revoker := &revoker{revoke: revokeWith(requests.Exchange), outbox: outbox, work: work, logger: logger}
	pending := &pendingEnds{}
	ender := &sessionEnder{
		rows: rows, indexes: indexes, outbox: outbox, revoker: revoker, pending: pending, work: work, idTokens: idTokens,
		forgetTokens: tokens.forgetOwner,
	}
	logouts := &logouts{
		rows: rows, indexes: indexes, ender: ender, outbox: outbox, revoker: revoker, pending: pending, work: work, idTokens: idTokens,
	}
	outbox.perform = func(ctx context.Context, entry outboxEntry) error {
		if entry.Logout != nil {
			return logouts.end(ctx, *entry.Logout)
		}
		return revoker.revoke(ctx, entry.RefreshToken)
	}
	outbox.tries = func(entry *outboxEntry) bool { return entry.Logout != nil && pending.has(*entry.Logout) }
	return &Sessions{
		rows: rows, indexes: indexes, outbox: outbox, revoker: revoker, ender: ender, logouts: logouts, idTokens: idTokens, tokens: tokens, calls: calls, logger: logger,
		refresher: &refresher{
			rows: rows, ender: ender, revoker: revoker, idTokens: idTokens, inTurn: requests.userTokens(requests.Budgets.Tokens),
			work: work, logger: logger, resend: config.ResendUnansweredRefreshTokens,
		},
		uses:       &sessionUses{rows: rows, ender: ender, work: work},
		logoutURLs: logoutURLs{clientID: config.ClientID, registered: config.Registered.PostLogoutRedirectURIs, endpoint: requests.Endpoint},
		userInfo:   userInfoReader{requests: requests, timeout: config.RequestTimeout, bearer: config.BearerUserInfo},
	}
}

// Store returns [Config.Store], or the client's own memory. Other data about sessions
// can be kept there too, as package weblogin does, under keys with another prefix:
// this package's keys start with "session-", "login-", "sid-", "sub-", "subonly-" and
// "outbox-".
func (s *Sessions) Store() Store { return s.rows.store }

// Get looks a session up by its ID, which counts as a use of it. The error wraps
// [ErrLoginRequired] if there is no such session, if it has been unused for too long
// or is too old, or if it was made with another DPoP key. It wraps [ErrStore] if the
// store failed.
//
// If the store may have lost the record that the session has ended
// ([StoredRow.Unconfirmed]), HelseID is asked once, with a refresh. If HelseID
// refuses it, or the session has no refresh token, the session ends. If HelseID gives
// no decision, the error is that of the refresh, such as [ErrUnavailable].
func (s *Sessions) Get(ctx context.Context, id string) (*Session, error) {
	if id == "" {
		return nil, errSessionEnded
	}
	s.outbox.look()
	key := s.rows.storeKey("session", id)
	if place := s.rows.places.find(key); place != nil && place.ended.Load() {
		return nil, errSessionEnded
	}
	row, err := s.rows.load(ctx, key)
	if err != nil {
		if place := s.rows.places.find(key); place != nil {
			place.known.Store(nil)
		}
		if errors.Is(err, ErrSessionExpired) {
			s.ender.endExpired(ctx, key)
		}
		return nil, err
	}
	record := row.record
	identity, err := s.idTokens.Restore(record.IDToken)
	if err != nil {
		return nil, fmt.Errorf("%w: the stored ID token cannot be read", ErrLoginRequired)
	}
	session := s.sessionOf(id, key, record, identity)
	session.place().know(row)
	if row.unconfirmed {
		if row, err = session.confirm(ctx); err != nil {
			return nil, err
		}
		session = s.sessionOf(id, key, row.record, identity)
	}
	if err := session.use(ctx, time.Now()); err != nil {
		return nil, err
	}
	return session, nil
}

// sessionOf returns the session of a record.
func (s *Sessions) sessionOf(id, key string, record sessionRecord, claims *identity.IDToken) *Session {
	place := s.rows.places.place(key, record.keptUntil())
	return &Session{sessions: s, id: identity.NewSecret(id), hidden: redact.Hide(&heldSession{place, *claims, record})}
}

// End ends the session with this ID. It is for an application that has the ID but
// cannot look the session up, or need not wait for HelseID: the refresh token is
// revoked in the background. An ID without a session is no error.
//
// The error wraps [ErrStore] if the store does not answer. This process then keeps
// trying for a day.
func (s *Sessions) End(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	return s.ender.endByKey(ctx, s.rows.storeKey("session", id))
}

// OnEnd sets the function that is called for each session of this application
// ([LoginRequest.Application]) that this process ends, for any cause, after it has
// ended in the store. If there are several processes, the one that ends the session
// calls its function. If this process has no function for a session's application, it
// calls all functions. A later call for the same application replaces the function.
//
// The context is that of the call that ends the session, or another one if the end
// had to be retried. The function must not block, and may be called from several
// goroutines. It is not called for sessions that nobody looks up any more or that
// expire with their refresh token. Config.OnEvent of package weblogin reports these
// ends too.
func (s *Sessions) OnEnd(application string, tell func(ctx context.Context, end SessionEnd)) {
	s.ender.observers.set(application, tell)
}

// start stores a session and puts its first token into memory.
func (s *Sessions) start(ctx context.Context, state *LoginState, tokens *userTokens, identity *identity.IDToken) (*Session, error) {
	s.outbox.look()
	id := jose.NewID()
	record := newSessionRecord(state, tokens, identity)
	if !time.Now().Before(record.expiry()) {
		return nil, ErrSessionExpired
	}
	key := s.rows.storeKey("session", id)
	session := s.sessionOf(id, key, record, identity)
	if err := s.rows.create(ctx, key, record); err != nil {
		return nil, err
	}
	if err := s.ender.index(ctx, key, session.identity(), record.IndexedUntil); err != nil {
		_ = s.rows.store.Delete(ctx, key)
		return nil, err
	}
	session.place().know(sessionRow{version: 1, record: record})
	session.keepFirst(ctx, tokens.token, state)
	if session.place().ended.Load() {
		return nil, errSessionEnded // HelseID has reported a logout meanwhile
	}
	return session, nil
}
