package helseid

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// RequireScopes returns a [*ScopeError], which is an [ErrScopeNotGranted], if one of
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

// ScopeError lists the scopes that HelseID has not granted. It is an
// [ErrScopeNotGranted]. Find it with [errors.As].
type ScopeError struct {
	// Rejected are the scopes whose terms the organisation has not accepted
	// (HelseID's rejected_scope).
	Rejected []string

	// Missing are the other scopes that were not granted.
	Missing []string
}

// Error names the scopes and says what to do.
func (e *ScopeError) Error() string {
	if len(e.Rejected) > 0 {
		return fmt.Sprintf("%v: %s: the organisation has not accepted the API's terms, and must (or set AcceptMissingScopes)", ErrScopeNotGranted, strings.Join(e.Rejected, " "))
	}
	return fmt.Sprintf("%v: %s: ask the API's owner to grant it to the client in HelseID Selvbetjening", ErrScopeNotGranted, strings.Join(e.Missing, " "))
}

// LogValue returns the same text: scopes are names that were asked for.
func (e *ScopeError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Is makes every ScopeError an [ErrScopeNotGranted].
func (e *ScopeError) Is(target error) bool { return target == ErrScopeNotGranted }

func (s *TokenSource) checkScopes(token *Token) error {
	if s.request.acceptMissing || token.checked {
		return nil
	}
	return token.RequireScopes(s.request.scopes...)
}
