package identity

import "github.com/helseid-go/sdk/internal/redact"

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable

// Secret is a token, which is as good as a password while it lives, or a password
// or key. Printed, logged or marshalled in any way it reads "[redacted]"; only
// Reveal gives the value.
type Secret struct {
	unprintable
	value redact.Hidden[string]
}

// NewSecret hides a text, such as a token that came from elsewhere or a password from
// the environment.
func NewSecret(text string) Secret { return Secret{value: redact.HideText(text)} }

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value.Reveal() }
