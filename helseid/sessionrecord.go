package helseid

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
)

// sessionRecord is a session as it is stored.
type sessionRecord struct {
	Version  int    `json:"version"`
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	JKT      string `json:"jkt"`

	Application string `json:"application,omitempty"` // of the login

	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token,omitempty"` // empty: the session lasts as long as its access token
	RefreshUntil int64  `json:"refresh_until,omitempty"` // Unix seconds; zero: HelseID did not say

	// Refreshing is when the current refresh was started, in Unix milliseconds, or
	// zero: the refresh token may have been used since. Refresher identifies the last
	// refresh, also after it has ended.
	Refreshing int64  `json:"refreshing,omitempty"`
	Refresher  string `json:"refresher,omitempty"`

	// Ended makes the record a tombstone: the user has logged out. It stops a
	// concurrent refresh until the row is deleted.
	Ended bool `json:"ended,omitempty"`

	Scopes    []string `json:"scopes,omitempty"`
	Resources []string `json:"resources,omitempty"`
	Details   bool     `json:"details,omitempty"`   // the login had a request object
	Organized bool     `json:"organized,omitempty"` // with an organisation
	Offline   bool     `json:"offline,omitempty"`   // the login gave a refresh token
	Several   bool     `json:"several,omitempty"`   // its access token was for several APIs
	Audience  string   `json:"audience,omitempty"`  // the only API of its access token, or ""
	Created   int64    `json:"created"`             // Unix seconds
	Renewed   int64    `json:"renewed,omitempty"`   // when HelseID last gave tokens, in Unix seconds

	// AttestUntil is until when the attest of the whole session may be used, in Unix
	// seconds; zero if there is none.
	AttestUntil int64 `json:"attest_until,omitempty"`

	// EndsAt is when the session ends no matter how much it is used, in Unix seconds;
	// zero if the login set no limit.
	EndsAt int64 `json:"ends_at,omitempty"`

	// IdleTimeout is how long the session may be unused, in seconds; zero means no
	// limit. LastUsed is the last stored use, in Unix milliseconds.
	IdleTimeout int64 `json:"idle_timeout,omitempty"`
	LastUsed    int64 `json:"last_used,omitempty"`

	// IndexedUntil is until when a logout at HelseID finds the session, in Unix
	// seconds.
	IndexedUntil int64 `json:"indexed_until"`
}

const (
	sessionVersion = 1

	// sessionLifetime is how long a session is kept if HelseID does not state the
	// lifetime of its refresh token.
	sessionLifetime = 12 * time.Hour

	// refreshTimeout is how long a refresh can be under way. If it was marked longer
	// ago, its process has ended. The time beyond that of a token request allows for
	// clocks that differ.
	refreshTimeout = tokenRequestTimeout + clockTolerance

	// clockTolerance is how far the clocks of processes that share sessions may
	// differ.
	clockTolerance = 45 * time.Second

	// maxClockStep is how far in the future the times of a session may be: a small
	// correction of a clock must not end sessions that last for hours.
	maxClockStep = 5 * time.Minute
)

// isFuture reports that a stored time, in Unix seconds, is further in the future than
// tolerated. Then a clock was wrong when it was written or is wrong now, and the time
// says nothing about an age.
func isFuture(stored int64, now time.Time, forgiven time.Duration) bool {
	return stored > now.Add(forgiven).Unix()
}

func newSessionRecord(state *LoginState, tokens *userTokens, identity *identity.IDToken) sessionRecord {
	record := sessionRecord{
		Version:     sessionVersion,
		Issuer:      state.wire().Issuer,
		ClientID:    state.wire().ClientID,
		JKT:         state.wire().JKT,
		Application: state.wire().Application,
		IDToken:     tokens.idToken,
		Scopes:      tokens.token.Scopes,
		Resources:   state.wire().Resources,
		Details:     state.wire().Details,
		Organized:   state.wire().Organized,
		Created:     time.Now().Unix(),
	}
	if state.wire().Attested {
		record.AttestUntil = time.Unix(min(state.wire().Started, record.Created), 0).Add(claims.AttestLifetime).Unix()
	}
	record.Offline = tokens.refreshToken != ""
	record.Several, record.Audience = tokens.token.audiences > 1, tokens.token.audience
	if age := state.wire().MaxSessionAge; age > 0 {
		record.EndsAt = authenticatedAt(identity).Unix() + age
	}
	if record.IdleTimeout = state.wire().IdleTimeout; record.IdleTimeout > 0 {
		record.LastUsed = time.Now().UnixMilli()
	}
	record.renew(tokens)
	record.reindex()
	return record
}

// authenticatedAt returns when a login's user has authenticated, as far as HelseID
// states it, and not later than now.
func authenticatedAt(identity *identity.IDToken) time.Time {
	at := identity.User.AuthenticatedAt
	if at.IsZero() {
		at = identity.IssuedAt
	}
	if now := time.Now(); at.After(now) {
		return now
	}
	return at
}

// indexMargin is how much longer than a session its index entries are kept, so that
// they need not be written at each refresh.
const indexMargin = 12 * time.Hour

// reindex reports whether the session's index entries end before the session does. If
// so, it sets IndexedUntil to when they shall end.
func (r *sessionRecord) reindex() bool {
	if r.keptUntil().Unix() <= r.IndexedUntil {
		return false
	}
	r.IndexedUntil = r.keptUntil().Add(indexMargin).Unix()
	return true
}

// plausible returns until when index entries are kept. A time later than any process
// sets was written by a clock that was ahead, and counts as zero.
func (r *sessionRecord) plausible(indexed int64) int64 {
	if indexed > r.expiry().Add(indexMargin+maxClockStep).Unix() {
		return 0
	}
	return indexed
}

// renew stores a new refresh token. Without a new one the old one stays valid (RFC
// 6749 section 6).
func (r *sessionRecord) renew(tokens *userTokens) {
	r.Renewed = time.Now().Unix()
	if tokens.refreshToken != "" {
		r.RefreshToken, r.RefreshUntil = tokens.refreshToken, 0
	}
	if !tokens.refreshUntil.IsZero() {
		r.RefreshUntil = tokens.refreshUntil.Unix()
	}
}

// expiry returns when the session ends unless it is renewed or used before.
func (r *sessionRecord) expiry() time.Time {
	expiry := r.keptUntil()
	if end := time.Unix(r.EndsAt, 0); r.EndsAt != 0 && end.Before(expiry) {
		expiry = end
	}
	if end := r.idleAt(); !end.IsZero() && end.Before(expiry) {
		expiry = end
	}
	return expiry
}

// idleAt returns when the session ends if it is not used any more, or zero.
func (r *sessionRecord) idleAt() time.Time {
	if r.IdleTimeout == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.LastUsed).Add(time.Duration(r.IdleTimeout) * time.Second)
}

// usedAt records a use, in Unix milliseconds, if it is later than the stored one.
func (r *sessionRecord) usedAt(at int64) {
	if r.IdleTimeout != 0 {
		r.LastUsed = max(r.LastUsed, at)
	}
}

// keptUntil returns until when the record is needed, if only to revoke its refresh
// token.
func (r *sessionRecord) keptUntil() time.Time {
	expiry := time.Unix(r.Created, 0).Add(sessionLifetime)
	if r.RefreshUntil != 0 {
		expiry = time.Unix(r.RefreshUntil, 0)
	}
	if end := time.Unix(r.AttestUntil, 0); r.AttestUntil != 0 && end.Before(expiry) {
		expiry = end
	}
	return expiry
}

// hasEnded reports that the session has ended, or that this cannot be told because it
// claims to have been made, renewed or used in the future.
func (r *sessionRecord) hasEnded(now time.Time) bool {
	attested := r.AttestUntil - int64(claims.AttestLifetime/time.Second)
	return !now.Before(r.keptUntil()) || isFuture(max(r.Created, r.Renewed, r.LastUsed/1000, attested), now, maxClockStep)
}

// limit limits a token's use to the lifetime of the attest that it carries, and to
// that of the session.
func (r *sessionRecord) limit(token *Token) {
	if r.EndsAt != 0 {
		token.limit(time.Unix(r.EndsAt, 0).Sub(token.fetched))
	}
	if r.AttestUntil != 0 {
		token.limit(min(time.Unix(r.AttestUntil, 0).Sub(token.fetched), claims.AttestLifetime))
	}
}

// refreshable returns why the session cannot get another token for a request, or nil.
func (r *sessionRecord) refreshable(request *preparedRequest) error {
	switch {
	case r.RefreshToken != "":
		return nil
	case r.Offline:
		return fmt.Errorf("%w: the session's refresh token was refused or lost", ErrLoginRequired)
	case !r.isLogins(request):
		return ErrNoRefreshToken
	case r.Several:
		return ErrSeveralAudiences
	}
	return fmt.Errorf("%w: the access token has ended, and the login did not ask for ScopeOfflineAccess", ErrLoginRequired)
}

// firstResource returns the API that the login's access token was asked for, or "".
func (r *sessionRecord) firstResource() string {
	if len(r.Resources) == 0 {
		return ""
	}
	return r.Resources[0]
}

// isLogins reports whether a request is for the token that the login itself gives.
func (r *sessionRecord) isLogins(request *preparedRequest) bool {
	resource := r.firstResource()
	if resource == "" && request.resource == r.Audience {
		resource = r.Audience
	}
	scopes := slices.DeleteFunc(slices.Clone(r.Scopes), isIdentityScope)
	slices.Sort(scopes)
	return request.resource == resource && len(request.details) == 0 && (len(request.scopes) == 0 || slices.Equal(request.scopes, scopes))
}

// mark notes that a refresh has started.
func (r *sessionRecord) mark(refresher string) {
	r.Refreshing, r.Refresher = time.Now().UnixMilli(), refresher
}

// unmark notes that the refresh has ended.
func (r *sessionRecord) unmark() { r.Refreshing = 0 }

// redate gives a mark that is too far in the future the present time, and reports
// that it did. The refresh is not lost yet, since a process whose clock is ahead may
// be doing it. From now on the mark counts like any other.
func (r *sessionRecord) redate(now time.Time) bool {
	if time.UnixMilli(r.Refreshing).Sub(now) <= clockTolerance {
		return false
	}
	r.Refreshing = now.UnixMilli()
	return true
}

// lost reports that a refresh was under way whose process has ended.
func (r *sessionRecord) lost(now time.Time) bool {
	return r.Refreshing != 0 && now.Sub(time.UnixMilli(r.Refreshing)) > refreshTimeout
}

// unused returns the refresh token of an ended session if it must be revoked. It
// returns none if a refresh is using the token: that refresh finds the tombstone and
// revokes the new token.
func (r *sessionRecord) unused(now time.Time) string {
	if r.Refreshing != 0 && !r.lost(now) {
		return ""
	}
	return r.RefreshToken
}

func (r *sessionRecord) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("helseid: store a session: %w", err)
	}
	return data, nil
}
