package helseid

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// storeError hides what a store says: it may quote what was to be stored.
func storeError(err error) error {
	return &hiddenCause{ErrStore, redact.Hide(err)}
}

// hiddenCause is an error whose cause can be tested for and is not printed. What this
// library says itself is not tested for in a cause: a store that is reached with a
// client of its own would else speak of the user, the login or HelseID.
type hiddenCause struct {
	error
	cause redact.Hidden[error]
}

// LogValue gives the category.
func (e *hiddenCause) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Unwrap gives the category.
func (e *hiddenCause) Unwrap() error { return e.error }

// Is looks for an error of others in the cause.
func (e *hiddenCause) Is(target error) bool {
	return !slices.Contains(ownErrors, target) && errors.Is(e.cause.Reveal(), target)
}

// As looks for an error of others in the cause.
func (e *hiddenCause) As(target any) bool {
	switch target.(type) {
	case **TokenError, **AuthorizationError, **tokenvalidation.Error:
		return false
	}
	return errors.As(e.cause.Reveal(), target)
}

// ownErrors are those that decide what becomes of a session or a login.
var ownErrors = []error{
	ErrUnavailable, ErrBusy, ErrInvalidResponse, ErrIssuerMismatch, ErrScopeNotGranted, ErrInsecureURL, ErrOriginRefused, ErrClosed,
	ErrConfig, ErrLogin, ErrLoginFinished, ErrLoginRequired, ErrNoRefreshToken, ErrSeveralAudiences, tokenvalidation.ErrInvalidToken,
	exchange.ErrOutcomeUnknown, errSessionEnded, ErrSessionExpired, errSessionChanged, errNoLoginState,
}
