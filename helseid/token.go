package helseid

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/clock"
)

// The token types, which are the schemes of the Authorization header too.
const (
	tokenTypeDPoP   = "DPoP"
	tokenTypeBearer = "Bearer"
)

// Token is an access token, bound to the client's DPoP key unless the request
// was for an unbound one. It is shared between callers: do not change it.
type Token struct {
	// Access is the token itself.
	Access Secret

	// Type is its token_type: "DPoP", or "Bearer" if that was asked for.
	Type string

	// Expiry is when the token ends, counted from the start of the request that
	// fetched it. It is zero if HelseID did not say; such a token is not kept.
	Expiry time.Time

	// Scopes are the granted scopes, in HelseID's order: those of the answer,
	// else those that the token itself carries, else those asked for.
	Scopes []string

	// RejectedScopes are scopes that HelseID left out because the organisation
	// has not accepted the API's terms (HelseID's rejected_scope).
	RejectedScopes []string

	fetched time.Time // the start of the request that fetched it
	started time.Time // the same by this process's own clock
	checked bool      // has every scope that was asked for

	// The ages at which it is stale, and not handed out any more.
	staleAge, deadAge time.Duration

	audiences int    // how many APIs the token says it is for, if they are an array
	audience  string // the only one
}

// tokenState is where a token is in its life.
type tokenState int

const (
	tokenDead tokenState = iota
	tokenStale
	tokenFresh
)

// maxTokenLifetime bounds what an answer may claim. HelseID's tokens live an
// hour at most.
const maxTokenLifetime = 24 * time.Hour

// setLifetime computes the three states from the start of the request.
func (t *Token) setLifetime(start time.Time, lifetime time.Duration) {
	lifetime = min(lifetime, maxTokenLifetime)
	// HelseID writes exp in whole seconds: a token may end almost a second
	// before expires_in has passed.
	t.started, t.fetched = start, start.Round(0).Truncate(time.Second)
	t.Expiry = t.fetched.Add(lifetime)
	t.staleAge = lifetime - min(30*time.Second, lifetime/10)
	t.deadAge = lifetime - min(5*time.Second, lifetime/20)
}

// limit ends the token's use a given time after it was fetched, if it would live
// longer.
func (t *Token) limit(lifetime time.Duration) {
	if !t.Expiry.IsZero() && t.Expiry.Sub(t.fetched) > lifetime {
		t.setLifetime(t.started, lifetime)
	}
}

// age is how long ago the token was fetched, by whichever clock says more: a
// machine that slept must not believe its token alive, nor one whose clock has been
// set back.
func (t *Token) age(now time.Time) time.Duration {
	return clock.Moment{Wall: t.fetched, Own: t.started}.Age(now)
}

func (t *Token) state(now time.Time) tokenState {
	if t == nil {
		return tokenDead
	}
	switch age := t.age(now); {
	case age >= t.deadAge:
		return tokenDead
	case age >= t.staleAge:
		return tokenStale
	}
	return tokenFresh
}

// renewalRetry is how long to wait after a failed renewal of a stale token.
func (t *Token) renewalRetry() time.Duration {
	return min(30*time.Second, (t.Expiry.Sub(t.fetched)-t.staleAge)/3)
}

// RequireScopes returns a *ScopeError, which is an ErrScopeNotGranted, if one of
// scopes was not granted.
func (t *Token) RequireScopes(scopes ...string) error {
	failure := &ScopeError{}
	for _, scope := range scopes {
		switch {
		case slices.Contains(t.Scopes, scope):
		case slices.Contains(t.RejectedScopes, scope):
			failure.Rejected = append(failure.Rejected, scope)
		default:
			failure.Missing = append(failure.Missing, scope)
		}
	}
	if len(failure.Rejected)+len(failure.Missing) == 0 {
		return nil
	}
	return failure
}

// ScopeError tells which scopes HelseID has not granted. It is an
// ErrScopeNotGranted. Find it with errors.As.
type ScopeError struct {
	// Rejected are those whose terms the organisation has not accepted (HelseID's
	// rejected_scope).
	Rejected []string

	// Missing are the others.
	Missing []string
}

// Error names the scopes and says what to do.
func (e *ScopeError) Error() string {
	if len(e.Rejected) > 0 {
		return fmt.Sprintf("%v: %s: the organisation has not accepted the API's terms, and must (or set AcceptMissingScopes)", ErrScopeNotGranted, strings.Join(e.Rejected, " "))
	}
	return fmt.Sprintf("%v: %s: ask the API's owner to grant it to the client in HelseID Selvbetjening", ErrScopeNotGranted, strings.Join(e.Missing, " "))
}

// LogValue is the same: scopes are names that were asked for.
func (e *ScopeError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Is makes every ScopeError an ErrScopeNotGranted.
func (e *ScopeError) Is(target error) bool { return target == ErrScopeNotGranted }
