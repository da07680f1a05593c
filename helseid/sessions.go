package helseid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Sessions are the sessions of a client's logged-in users, of all its processes that
// share a [Store]. They begin with [Client.FinishLogin]. It is safe for concurrent use.
type Sessions struct {
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

// newSessions makes the parts and gives each what it needs of the others.
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

// Format prints what it is, for every verb. Package fmt would read what goroutines
// are writing.
func (s Sessions) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "sessions") }

// LogValue returns what it is.
func (s Sessions) LogValue() slog.Value { return slog.StringValue("sessions") }

// Store returns [Config.Store], or the client's own memory. What belongs to sessions
// can be kept there under keys of its own, as package weblogin does: those of this
// package start with "session-", "login-", "sid-", "sub-", "subonly-" and "outbox-".
func (s *Sessions) Store() Store { return s.rows.store }

// Get looks a session up by its ID, which is a use of it. The error wraps
// [ErrLoginRequired] if there is none, it has been used too little or for too long, or
// it was made with another DPoP key, and [ErrStore] if the store failed.
//
// If the store may have forgotten that the session has ended (StoredRow.Unconfirmed),
// HelseID is asked with a refresh, once. A session without a refresh token ends then,
// and so does one that HelseID refuses. The error is one of the refresh, such as
// [ErrUnavailable], if HelseID has not decided.
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

// sessionOf is the session of a record.
func (s *Sessions) sessionOf(id, key string, record sessionRecord, claims *identity.IDToken) *Session {
	place := s.rows.places.place(key, record.keptUntil())
	return &Session{sessions: s, id: identity.NewSecret(id), hidden: redact.Hide(&heldSession{place, *claims, record})}
}

// End ends the session with this id, for an application that has the id and cannot
// look the session up, or need not wait for HelseID: the refresh token is revoked in
// the background. An id that leads to no session has ended.
//
// The error wraps [ErrStore] if the store does not answer. This process goes on trying
// for a day then.
func (s *Sessions) End(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	return s.ender.endByKey(ctx, s.rows.storeKey("session", id))
}

// OnEnd has a function told of each session of this application
// (LoginRequest.Application) that this process ends, for whatever cause, once it has
// ended in the store. Of several processes the one that ends a session tells. Sessions
// of an application that no function is there for, in this process, are told to all. A
// function that was set for the same application earlier is replaced.
//
// The context is that of the call that ends the session, or another if that has met an
// outage. The function must not block, and may be called from several goroutines.
// Sessions that nobody looks up any more, or that end with their refresh token, are
// not told of. weblogin's Config.OnEvent tells of these ends too.
func (s *Sessions) OnEnd(application string, tell func(ctx context.Context, end SessionEnd)) {
	s.ender.observers.set(application, tell)
}

// start stores a session and puts its first token in memory.
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
		return nil, errSessionEnded // HelseID has said so meanwhile
	}
	return session, nil
}
