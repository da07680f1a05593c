package identity

import "github.com/helseid-go/sdk/internal/redact"

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable

// Secret is a token, password or key. Printed, logged or marshalled in any way it reads
// "[redacted]"; only [Secret.Reveal] returns the value.
type Secret struct {
	unprintable
	value redact.Hidden[string]
}

// NewSecret wraps a text, such as a token from another source or a password from the
// environment.
func NewSecret(text string) Secret { return Secret{value: redact.HideText(text)} }

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value.Reveal() }
