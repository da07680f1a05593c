package helseid

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/helseid-go/sdk/internal/redact"
)

// Secret is a token, which is as good as a password while it lives. Printed,
// logged or marshalled in any way it reads "[redacted]"; only Reveal gives the
// value.
type Secret struct {
	value redact.Hidden
}

// NewSecret hides a text, such as a token that came from elsewhere and that
// Client.Exchange shall take.
func NewSecret(text string) Secret { return Secret{redact.Hide(text)} }

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value.Reveal() }

// String returns "[redacted]".
func (s Secret) String() string { return redact.Placeholder }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redact.Placeholder }

// Format prints "[redacted]" for every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redact.Placeholder) }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact.Placeholder), nil }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact.Placeholder) }
