package clientassertion

import (
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Errors, to be tested for with errors.Is.
var (
	// ErrConfig is wrapped by every error about the configuration of a signer.
	ErrConfig = words("clientassertion: configuration")

	// ErrKey is wrapped by every error about a signing key that cannot be used, also by
	// those of a signer that fails or does not answer in time.
	ErrKey = errKey
)

// errKey is the same where keys are read: the documentation of ErrKey does not show
// the name of an internal package.
var errKey = jose.ErrKey

// words makes an error whose text may stand in a log. It keeps the name of an
// internal package out of the documentation of the errors above.
func words(text string) error { return redact.Words(text) }
