package redact

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Unprintable makes a struct that embeds it read "[redacted]" wherever it is printed,
// logged or marshalled. This protects exported fields. Where package fmt calls no
// methods, only [Hidden] protects a value.
type Unprintable struct{}

// String returns "[redacted]".
func (Unprintable) String() string { return Placeholder }

// GoString returns "[redacted]".
func (Unprintable) GoString() string { return Placeholder }

// Format prints "[redacted]" for every verb.
func (Unprintable) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, Placeholder) }

// MarshalText returns "[redacted]", which is also what JSON and XML get.
func (Unprintable) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// LogValue returns "[redacted]".
func (Unprintable) LogValue() slog.Value { return slog.StringValue(Placeholder) }

// GobEncode fails: a gob is meant to be decoded again, and the secrets would be
// missing.
func (Unprintable) GobEncode() ([]byte, error) { return nil, errGob }

var errGob = errors.New("it holds secrets, and is not encoded as a whole: encode what is needed of it, encrypted")
