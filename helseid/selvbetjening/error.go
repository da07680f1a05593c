package selvbetjening

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Error is an answer of the API with status 4xx or 5xx, and the members of its problem
// document (RFC 9457) if it has one. Find it with errors.As. A status of 429 or 5xx is no
// refusal, but a request to wait or a failure of the API: the error that is returned then
// also wraps [helseid.ErrUnavailable].
type Error struct {
	// Status is the HTTP status of the answer, whatever the document says.
	Status int

	// Type is the kind of problem, a URI, and Title and Detail explain it in words. They
	// are cut to 300 characters, with anything that looks like a token or a national
	// identity number taken out, and may be empty.
	Type, Title, Detail string

	// RetryAfter is how long the API asks to wait before the next request (RFC 9110
	// section 10.2.3), or zero. [Rotation.Run] waits that long.
	RetryAfter time.Duration
}

// Error tells what the API answered and what to do about it.
func (e *Error) Error() string {
	text := "HelseID Selvbetjening refused the request: "
	if e.temporary() {
		text = "HelseID Selvbetjening is in trouble: "
	}
	text += e.words()
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(": it asks for a pause of %v", e.RetryAfter)
	}
	if advice := advice[e.Status]; advice != "" {
		text += ": " + advice
	}
	return text
}

// temporary reports whether trying again later can help.
func (e *Error) temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError
}

// words are the status and what the API says about it.
func (e *Error) words() string {
	var text strings.Builder
	text.WriteString(fmt.Sprintf("status %d", e.Status))
	for _, part := range []string{e.Title, e.Detail} {
		if part != "" {
			text.WriteString(": " + part)
		}
	}
	return text.String()
}

// LogValue is the error for a log line: the status, the pause and the advice, without what
// the API said in words.
func (e *Error) LogValue() slog.Value {
	return slog.StringValue((&Error{Status: e.Status, RetryAfter: e.RetryAfter}).Error())
}

var advice = map[int]string{
	http.StatusUnauthorized: "it does not take the token or its proof: check the environment of the client, and the machine's clock",
	http.StatusForbidden:    "check that the scope " + Scope + " is granted to the client",
	http.StatusNotFound:     "check BaseURL",

	http.StatusTooManyRequests: "call it less often",
}

// problem reads the answer as a problem document, as far as it is one.
func (a answer) problem() *Error {
	failure := &Error{Status: a.status, RetryAfter: httpx.RetryAfter(a.header, time.Now())}
	if !httpx.IsJSON(a.header) {
		return failure
	}
	object, err := jose.ParseObject(a.body)
	if err != nil {
		return failure
	}
	for name, field := range map[string]*string{"type": &failure.Type, "title": &failure.Title, "detail": &failure.Detail} {
		text, _ := object.Get(name).Text()
		*field = redact.Text(text)
	}
	return failure
}
