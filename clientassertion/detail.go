package clientassertion

import (
	"errors"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// maxDetail bounds one structured detail, in bytes. The largest that HelseID
// defines, the trust-framework attest, needs about 2 KiB.
const maxDetail = 16 << 10

// Detail is one structured detail for the claim assertion_details, for
// instance the organisation that a token is wanted for. It is a JSON object
// with a member "type".
//
// It may name organisations, and with an attest a care relationship. Printed or
// logged it reads "[redacted]"; String and encoding/json give the JSON.
//
// Source: requirement FK5 of HelseID's security profile.
type Detail struct {
	unprintable
	kind string
	json redact.Hidden[string]
}

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable

func newDetail(kind, json string) Detail { return Detail{kind: kind, json: redact.HideText(json)} }

// ParseDetail takes a detail as JSON. It refuses anything that is not a single
// object with a non-empty string member "type", duplicate members, and more
// than 16 KiB.
func ParseDetail(data []byte) (Detail, error) {
	if len(data) > maxDetail {
		return Detail{}, fmt.Errorf("assertion detail: longer than %d bytes", maxDetail)
	}
	object, err := jose.ParseObject(data)
	if err != nil {
		return Detail{}, fmt.Errorf("assertion detail: %w", err)
	}
	kind, ok := object.Get("type").Text()
	if !ok || kind == "" {
		return Detail{}, errors.New(`assertion detail: the member "type" is missing or not a string`)
	}
	return newDetail(kind, strings.TrimSpace(string(data))), nil
}

// Type is the detail's member "type".
func (d Detail) Type() string { return d.kind }

// String returns the detail as JSON: it is no text for logs. Package fmt does not
// call it.
func (d Detail) String() string { return d.json.Reveal() }

// MarshalJSON returns the detail as it was given.
func (d Detail) MarshalJSON() ([]byte, error) {
	if d.String() == "" {
		return nil, errEmptyDetail
	}
	return []byte(d.String()), nil
}

var errEmptyDetail = errors.New("assertion detail: empty, make it with ParseDetail")

// marshalDetails writes one detail as an object and several as an array, as
// Norsk helsenett's own libraries do.
func marshalDetails(details []Detail) (string, error) {
	if len(details) == 0 {
		return "", errEmptyDetail
	}
	parts := make([]string, len(details))
	for i, detail := range details {
		if parts[i] = detail.String(); parts[i] == "" {
			return "", errEmptyDetail
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return "[" + strings.Join(parts, ",") + "]", nil
}
