package selvbetjening

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Error is a refusal of the API's: an answer of 4xx, with the members of a problem
// document (RFC 9457) if it is one. Find it with errors.As. An API that is down, or that
// asks for a pause (429), has not refused anything: that is [helseid.ErrUnavailable].
type Error struct {
	// Status is the HTTP status of the answer, whatever the document says.
	Status int

	// Type is the kind of problem, a URI, and Title and Detail explain it in words. They
	// are cut to 300 characters, with anything that looks like a token or a national
	// identity number taken out, and may be empty.
	Type, Title, Detail string
}

// Error tells what the API answered and what to do about it.
func (e *Error) Error() string {
	text := "HelseID Selvbetjening refused the request: " + e.words()
	if advice := advice[e.Status]; advice != "" {
		text += ": " + advice
	}
	return text
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

// LogValue is the error for a log line: the status and the advice, without what the API
// said in words.
func (e *Error) LogValue() slog.Value {
	return slog.StringValue((&Error{Status: e.Status}).Error())
}

var advice = map[int]string{
	http.StatusUnauthorized: "it does not take the token or its proof: check the environment of the client, and the machine's clock",
	http.StatusForbidden:    "check that the scope " + Scope + " is granted to the client",
	http.StatusNotFound:     "check BaseURL",
}

// troubleError is what an API that is in trouble says of itself. It is not unwrapped: the
// API has not refused anything.
type troubleError struct{ told *Error }

func (e *troubleError) Error() string { return e.told.words() }

// LogValue is the status alone.
func (e *troubleError) LogValue() slog.Value {
	return slog.StringValue((&Error{Status: e.told.Status}).words())
}

// problem reads the answer as a problem document, as far as it is one.
func (a answer) problem() *Error {
	failure := &Error{Status: a.status}
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
