package helseid

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
)

// sessionRecord is a session as it is stored.
type sessionRecord struct {
	Version  int    `json:"version"`
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	JKT      string `json:"jkt"`

	Application string `json:"application,omitempty"` // that the login was for

	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token,omitempty"` // none: the session lasts as long as its access token
	RefreshUntil int64  `json:"refresh_until,omitempty"` // Unix seconds; zero: HelseID did not say

	// Refreshing is when a refresh was started that has not ended, in Unix
	// milliseconds: the refresh token may have been used up since. Refresher
	// names the newest refresh, also when it has ended.
	Refreshing int64  `json:"refreshing,omitempty"`
	Refresher  string `json:"refresher,omitempty"`

	// Ended says that the user has logged out. It stops a refresh that is under
	// way, until the row is deleted.
	Ended bool `json:"ended,omitempty"`

	Scopes    []string `json:"scopes,omitempty"`
	Resources []string `json:"resources,omitempty"`
	Details   bool     `json:"details,omitempty"`   // the login had a request object
	Organized bool     `json:"organized,omitempty"` // with an organisation
	Offline   bool     `json:"offline,omitempty"`   // the login gave a refresh token
	Several   bool     `json:"several,omitempty"`   // its access token was for several APIs
	Audience  string   `json:"audience,omitempty"`  // the only API of its access token, if that is known
	Created   int64    `json:"created"`             // Unix seconds
	Renewed   int64    `json:"renewed,omitempty"`   // when HelseID last gave tokens, in Unix seconds

	// AttestUntil is how long the attest of the whole session may be used, in Unix
	// seconds; zero if there is none.
	AttestUntil int64 `json:"attest_until,omitempty"`

	// EndsAt is when the session ends however much it is used, in Unix seconds; zero if
	// the login set no such bound.
	EndsAt int64 `json:"ends_at,omitempty"`

	// IdleTimeout is how long the session may go unused, in seconds, and LastUsed when
	// it was last used as far as is written down, in Unix milliseconds. Zero: any time.
	IdleTimeout int64 `json:"idle_timeout,omitempty"`
	LastUsed    int64 `json:"last_used,omitempty"`

	// IndexedUntil is how long a logout at HelseID finds the session, in Unix
	// seconds.
	IndexedUntil int64 `json:"indexed_until"`
}

const (
	sessionVersion = 1

	// sessionLifetime is how long a session is kept if HelseID does not say how
	// long its refresh token lives.
	sessionLifetime = 12 * time.Hour

	// refreshTimeout is how long a refresh can be under way. One that was marked
	// longer ago has been lost with its process. What it is longer than a token
	// request is for clocks that differ.
	refreshTimeout = tokenRequestTimeout + clockTolerance

	// clockTolerance is how far the clocks of processes may differ that share
	// sessions.
	clockTolerance = 45 * time.Second

	// maxClockStep is how far in the future the times of a session may lie: a small
	// correction of a clock must not end those that last for hours.
	maxClockStep = 5 * time.Minute
)

// isFuture reports that a stored time, in Unix seconds, lies further in the future
// than is forgiven: a clock was wrong when it was written or is now, and it says
// nothing about an age.
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
		record.AttestUntil = time.Unix(min(state.wire().Started, record.Created), 0).Add(clientassertion.AttestLifetime).Unix()
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

// authenticatedAt is when a login's user has authenticated, as far as HelseID says so,
// and not later than now.
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

// indexMargin is how much longer than a session its index entries are kept, so
// that they need not be written at each refresh.
const indexMargin = 12 * time.Hour

// reindex reports whether the session's index entries end before the session
// does, and if so says until when they are to be kept.
func (r *sessionRecord) reindex() bool {
	if r.keptUntil().Unix() <= r.IndexedUntil {
		return false
	}
	r.IndexedUntil = r.keptUntil().Add(indexMargin).Unix()
	return true
}

// plausible is until when index entries are kept, if that can be so. Those that claim
// to be kept for longer than any would be were written by a clock that was ahead, and
// end sooner than they say.
func (r *sessionRecord) plausible(indexed int64) int64 {
	if indexed > r.expiry().Add(indexMargin+maxClockStep).Unix() {
		return 0
	}
	return indexed
}

// renew takes over a new refresh token. An answer without one leaves the old one
// good (RFC 6749 section 6).
func (r *sessionRecord) renew(tokens *userTokens) {
	r.Renewed = time.Now().Unix()
	if tokens.refreshToken != "" {
		r.RefreshToken, r.RefreshUntil = tokens.refreshToken, 0
	}
	if !tokens.refreshUntil.IsZero() {
		r.RefreshUntil = tokens.refreshUntil.Unix()
	}
}

// expiry is when the session ends unless it is renewed or used before.
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

// idleAt is when the session ends if it is not used any more, or zero.
func (r *sessionRecord) idleAt() time.Time {
	if r.IdleTimeout == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.LastUsed).Add(time.Duration(r.IdleTimeout) * time.Second)
}

// usedAt notes a use that is not written down yet, in Unix milliseconds.
func (r *sessionRecord) usedAt(at int64) {
	if r.IdleTimeout != 0 {
		r.LastUsed = max(r.LastUsed, at)
	}
}

// keptUntil is how long the record is of use, if only to revoke its refresh token.
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

// hasEnded reports that nothing is left of the session, or that there is no telling,
// because it claims to have been made, renewed or used in the future.
func (r *sessionRecord) hasEnded(now time.Time) bool {
	attested := r.AttestUntil - int64(clientassertion.AttestLifetime/time.Second)
	return !now.Before(r.keptUntil()) || isFuture(max(r.Created, r.Renewed, r.LastUsed/1000, attested), now, maxClockStep)
}

// limit ends a token's use with the attest that it carries, and with the session.
func (r *sessionRecord) limit(token *Token) {
	if r.EndsAt != 0 {
		token.limit(time.Unix(r.EndsAt, 0).Sub(token.fetched))
	}
	if r.AttestUntil != 0 {
		token.limit(min(time.Unix(r.AttestUntil, 0).Sub(token.fetched), clientassertion.AttestLifetime))
	}
}

// refreshable says why the session cannot get another token for a request.
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

// firstResource is the API that the login's access token was asked for, or "".
func (r *sessionRecord) firstResource() string {
	if len(r.Resources) == 0 {
		return ""
	}
	return r.Resources[0]
}

// isLogins reports whether a request is for the token that the login gives.
func (r *sessionRecord) isLogins(request *preparedRequest) bool {
	resource := r.firstResource()
	if resource == "" && request.resource == r.Audience {
		resource = r.Audience
	}
	scopes := slices.DeleteFunc(slices.Clone(r.Scopes), isIdentityScope)
	slices.Sort(scopes)
	return request.resource == resource && len(request.details) == 0 && (len(request.scopes) == 0 || slices.Equal(request.scopes, scopes))
}

// mark says that a refresh has been started.
func (r *sessionRecord) mark(refresher string) {
	r.Refreshing, r.Refresher = time.Now().UnixMilli(), refresher
}

// unmark says that the refresh has ended.
func (r *sessionRecord) unmark() { r.Refreshing = 0 }

// redate gives a mark that lies in the future, by more than clocks may differ, the
// present time, and reports that it did. It is not lost yet: a process whose clock
// is ahead may be refreshing. From now on it counts like any other.
func (r *sessionRecord) redate(now time.Time) bool {
	if time.UnixMilli(r.Refreshing).Sub(now) <= clockTolerance {
		return false
	}
	r.Refreshing = now.UnixMilli()
	return true
}

// lost reports that a refresh was under way and its process has ended.
func (r *sessionRecord) lost(now time.Time) bool {
	return r.Refreshing != 0 && now.Sub(time.UnixMilli(r.Refreshing)) > refreshTimeout
}

// unused is the refresh token of a session that has ended, if it is to be revoked.
// One that is being used is not: whoever uses it finds that the session has ended,
// and revokes what comes.
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
