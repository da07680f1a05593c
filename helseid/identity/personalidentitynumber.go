package identity

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
)

// masked is printed in place of a national identity number.
const masked = "***********"

// PersonalIdentityNumber is a national identity number (fødselsnummer or
// D-nummer). Printed, logged or marshalled in any way it reads "***********";
// only Reveal gives the digits.
type PersonalIdentityNumber struct {
	value redact.Hidden[string]
}

// NewPersonalIdentityNumber wraps any text, without checking it: see
// [PersonalIdentityNumber.Valid].
func NewPersonalIdentityNumber(digits string) PersonalIdentityNumber {
	return PersonalIdentityNumber{redact.HideText(digits)}
}

// Valid reports whether the number has eleven digits. It ignores the check digits, which
// do not fit in test numbers.
func (n PersonalIdentityNumber) Valid() bool { return isDigits(n.Reveal(), 11, 11) }

// Reveal returns the digits. Normen, the sector's code of conduct for information
// security, has rules for handling them.
func (n PersonalIdentityNumber) Reveal() string { return n.value.Reveal() }

// IsZero reports whether there is no number.
func (n PersonalIdentityNumber) IsZero() bool { return n.value == redact.Hidden[string]{} }

// Equal compares two numbers without revealing them.
func (n PersonalIdentityNumber) Equal(other PersonalIdentityNumber) bool {
	return n.Reveal() == other.Reveal()
}

func (n PersonalIdentityNumber) mask() string {
	if n.IsZero() {
		return ""
	}
	return masked
}

// String returns "***********", or "" if there is no number.
func (n PersonalIdentityNumber) String() string { return n.mask() }

// GoString returns the same as String.
func (n PersonalIdentityNumber) GoString() string { return n.mask() }

// Format prints the same for every verb.
func (n PersonalIdentityNumber) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, n.mask())
}

// MarshalText returns the same as String.
func (n PersonalIdentityNumber) MarshalText() ([]byte, error) { return []byte(n.mask()), nil }

// LogValue returns the same as String.
func (n PersonalIdentityNumber) LogValue() slog.Value { return slog.StringValue(n.mask()) }

func isDigits(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, "0123456789") == ""
}
