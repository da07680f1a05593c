package clientassertion

import (
	"errors"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// maxDetail bounds one structured detail, in bytes. The largest that HelseID defines,
// the trust framework's attest, has about 2 KiB.
const maxDetail = 16 << 10

// Detail is one structured detail for the claim assertion_details, for instance the
// organisation that a token is requested for. It is a JSON object with a member "type".
//
// It may name organisations and, in an attest, a care relationship. So package fmt and
// loggers print "[redacted]"; String and encoding/json return the JSON.
// Source: requirement FK5 of HelseID's security profile.
type Detail struct {
	unprintable
	kind string
	json redact.Hidden[string]
}

// unprintable makes the type that embeds it print as "[redacted]".
type unprintable = redact.Unprintable

func newDetail(kind, json string) Detail { return Detail{kind: kind, json: redact.HideText(json)} }

// ParseDetail reads a detail from JSON. It accepts a single object of at most 16 KiB
// with a non-empty string member "type" and without duplicate members.
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

// Type returns the detail's member "type".
func (d Detail) Type() string { return d.kind }

// String returns the detail as JSON, which must not be logged. Package fmt does not
// call it.
func (d Detail) String() string { return d.json.Reveal() }

// MarshalJSON returns the JSON of the detail unchanged.
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
