package exchange

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// Answer is a complete HTTP answer from HelseID.
type Answer struct {
	Sent     time.Time // when the request was started
	At       time.Time // when the answer was complete
	Endpoint string    // the metadata member that names it

	Status int
	Header http.Header
	Body   []byte

	signer *clientassertion.Signer // of the assertion in the request, or nil
}

// keyID is the kid of the key that signed the assertion, or "".
func (a Answer) keyID() string {
	if a.signer == nil {
		return ""
	}
	return a.signer.KeyID()
}

func (a Answer) ok() bool { return a.Status == http.StatusOK || a.Status == http.StatusCreated }

// Refusal is an OAuth error (RFC 6749 section 5.2).
type Refusal struct {
	Code        string // empty if an answer of 429 gives none
	Description string // without tokens and national identity numbers
	HID         string // HelseID's own number for it, or ""
	StatusCode  int

	// KeyID is the kid of the key that signed the assertion, or "".
	KeyID string

	// Temporary reports that a later attempt may succeed without any change.
	Temporary bool

	// RetryAfter is the pause that HelseID asks for, or zero.
	RetryAfter time.Duration

	// ClockDifference is how far this machine's clock is ahead of HelseID's, if that
	// may be the reason.
	ClockDifference time.Duration
}

// Failure returns the error for an answer that is not a success: the refusal in it,
// or that the answer is not HelseID's. A body in another form is not quoted.
func (e *Exchange) Failure(a Answer) error {
	refusal, err := a.refusal()
	if err != nil {
		return err
	}
	return e.Refused(refusal)
}

func (a Answer) refusal() (Refusal, error) {
	if a.Status >= 300 && a.Status < 400 {
		return Refusal{}, fmt.Errorf("%w: HelseID's %s redirects (status %d), and credentials follow no redirect", metadata.ErrInvalid, endpointText(a.Endpoint), a.Status)
	}
	if object, err := jose.ParseObject(a.Body); err == nil {
		if code, ok := object.Get("error").Text(); ok && ValidErrorCode(code) {
			description, _ := object.Get("error_description").Text()
			description = redact.Text(description)
			failure := Refusal{
				Code:        code,
				Description: description,
				HID:         HIDNumber(description),
				StatusCode:  a.Status,
				Temporary:   TemporaryStatus(a.Status),
				RetryAfter:  a.pause(),
				KeyID:       a.keyID(),
			}
			if code == "invalid_client" || code == "invalid_dpop_proof" {
				failure.ClockDifference = clockDifference(a.Header, a.At)
			}
			return failure, nil
		}
	}
	if wait := a.pause(); wait > 0 && a.Status == http.StatusTooManyRequests {
		return Refusal{StatusCode: a.Status, Temporary: true, RetryAfter: wait, KeyID: a.keyID()}, nil
	}
	category := metadata.ErrInvalid
	if TemporaryStatus(a.Status) {
		category = metadata.ErrUnavailable
	}
	return Refusal{}, fmt.Errorf("%w: HelseID's %s answered status %d with %d bytes of %s", category, endpointText(a.Endpoint), a.Status, len(a.Body), httpx.MediaType(a.Header))
}

// Object reads the answer as one JSON object. None of the given members may occur
// twice in different spellings.
func (a Answer) Object(members ...string) (jose.Object, error) {
	if !httpx.IsJSON(a.Header) {
		return jose.Object{}, fmt.Errorf("%w: the %s answered %d with %d bytes of %s in place of JSON: is the issuer right, or a proxy in the way?",
			metadata.ErrInvalid, endpointText(a.Endpoint), a.Status, len(a.Body), httpx.MediaType(a.Header))
	}
	object, err := jose.ParseObject(a.Body)
	if err == nil {
		err = object.CheckFolded(members...)
	}
	if err != nil {
		return jose.Object{}, a.Unusable(err)
	}
	return object, nil
}

// Unusable returns the error for an answer that seems to be HelseID's but cannot be
// used.
func (a Answer) Unusable(err error) error {
	return fmt.Errorf("%w: the %s's answer of %d bytes: %w", metadata.ErrInvalid, endpointText(a.Endpoint), len(a.Body), err)
}

// endpointText is the name of an endpoint in an error.
func endpointText(member string) string {
	if member == "" {
		return "endpoint"
	}
	return strings.ReplaceAll(member, "_", " ")
}

// ValidErrorCode accepts the characters of RFC 6749 section 5.2, up to a plausible
// length.
func ValidErrorCode(code string) bool {
	if code == "" || len(code) > 64 {
		return false
	}
	for i := range len(code) {
		if c := code[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return redact.Text(code) == code
}

var hidNumber = regexp.MustCompile(`\bHID-[0-9]{4}\b`)

// HIDNumber returns HelseID's own number for an error from its description, or "".
func HIDNumber(description string) string { return hidNumber.FindString(description) }

// TemporaryStatus reports that a later attempt may succeed without any change.
func TemporaryStatus(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// MaxClockDifference is the tolerance of HelseID's time checks, as far as its samples
// show.
const MaxClockDifference = 5 * time.Second

// clockDifference returns how far this machine's clock is ahead of that of the server
// that wrote the Date header at about the given time. It is zero if it is unknown or
// small.
func clockDifference(header http.Header, at time.Time) time.Duration {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	difference := at.Sub(date)
	if difference.Abs() <= MaxClockDifference {
		return 0
	}
	return difference
}
