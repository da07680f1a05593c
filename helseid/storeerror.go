package helseid

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/redact"
)

// storeError hides the text of a store's error, which may quote what was to be
// stored.
func storeError(err error) error {
	return &hiddenCause{ErrStore, redact.Hide(err)}
}

// hiddenCause is an error whose cause can be tested for but is not printed. This
// library's own errors are not found in the cause: otherwise a store that uses a
// client of its own could seem to report on the user, the login or HelseID.
type hiddenCause struct {
	error
	cause redact.Hidden[error]
}

// LogValue returns the category.
func (e *hiddenCause) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Unwrap returns the category.
func (e *hiddenCause) Unwrap() error { return e.error }

// Is looks for a foreign error in the cause.
func (e *hiddenCause) Is(target error) bool {
	return !slices.Contains(ownErrors, target) && errors.Is(e.cause.Reveal(), target)
}

// As looks for a foreign error in the cause.
func (e *hiddenCause) As(target any) bool {
	switch target.(type) {
	case **TokenError, **AuthorizationError, **idtoken.Error:
		return false
	}
	return errors.As(e.cause.Reveal(), target)
}

// ownErrors are the errors that decide the fate of a session or a login.
var ownErrors = []error{
	ErrUnavailable, ErrBusy, ErrInvalidResponse, ErrIssuerMismatch, ErrScopeNotGranted, ErrInsecureURL, ErrOriginRefused, ErrClosed,
	ErrConfig, ErrLogin, ErrLoginFinished, ErrLoginRequired, ErrNoRefreshToken, ErrSeveralAudiences, ErrIDToken, ErrLevelTooLow, ErrLoginTooOld,
	exchange.ErrOutcomeUnknown, errSessionEnded, ErrSessionExpired, errSessionChanged, errNoLoginState,
}
