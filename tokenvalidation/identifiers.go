package tokenvalidation

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/helseid-go/sdk/internal/orgnr"
	"github.com/helseid-go/sdk/internal/redact"
)

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable

// masked stands wherever a national identity number would have been printed.
const masked = "***********"

// PersonalIdentityNumber is a national identity number (fødselsnummer or
// D-nummer). Printed, logged or marshalled in any way it reads "***********";
// only Reveal gives the digits.
type PersonalIdentityNumber struct {
	value redact.Hidden[string]
}

func newPersonalIdentityNumber(digits string) PersonalIdentityNumber {
	return PersonalIdentityNumber{redact.HideText(digits)}
}

// Reveal returns the eleven digits. Whoever reads them has duties under Normen,
// the sector's code of conduct for information security.
func (n PersonalIdentityNumber) Reveal() string { return n.value.Reveal() }

// IsZero reports that there is no number.
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

// GoString does the same.
func (n PersonalIdentityNumber) GoString() string { return n.mask() }

// Format does the same for every verb.
func (n PersonalIdentityNumber) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, n.mask())
}

// MarshalText does the same.
func (n PersonalIdentityNumber) MarshalText() ([]byte, error) { return []byte(n.mask()), nil }

// LogValue does the same.
func (n PersonalIdentityNumber) LogValue() slog.Value { return slog.StringValue(n.mask()) }

func isPersonalIdentityNumber(text string) bool { return isDigits(text, 11, 11) }

// OrganizationNumber is a Norwegian organisation number: nine digits.
type OrganizationNumber string

// Valid reports whether the number has nine digits.
func (n OrganizationNumber) Valid() bool { return orgnr.IsNumber(string(n)) }

// ValidCheckDigit reports whether the number's last digit fits the others
// (modulus 11). Real numbers pass; some of Norsk helsenett's test organisations
// do not.
func (n OrganizationNumber) ValidCheckDigit() bool { return orgnr.HasValidCheckDigit(string(n)) }

// HPRNumber is a number in the register of health personnel
// (Helsepersonellregisteret).
type HPRNumber string

// Valid reports whether the number has one to nine digits and does not start
// with zero.
func (n HPRNumber) Valid() bool { return isDigits(string(n), 1, 9) && n[0] != '0' }

func isDigits(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, "0123456789") == ""
}
