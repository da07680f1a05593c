package redisstore

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const placeholder = "[redacted]"

// unprintable makes a struct that it is embedded in read "[redacted]" wherever it is
// printed, logged or marshalled. The SDK has the same inside; this module has its own,
// since an application may have the two in different versions.
type unprintable struct{}

// String returns "[redacted]".
func (unprintable) String() string { return placeholder }

// GoString returns "[redacted]".
func (unprintable) GoString() string { return placeholder }

// Format prints "[redacted]" for every verb.
func (unprintable) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, placeholder) }

// MarshalText returns "[redacted]", which is also what JSON and XML get.
func (unprintable) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// LogValue returns "[redacted]".
func (unprintable) LogValue() slog.Value { return slog.StringValue(placeholder) }

// GobEncode fails: there would be nothing to read again.
func (unprintable) GobEncode() ([]byte, error) { return nil, errGob }

var errGob = errors.New("it holds secrets, and is not encoded as a whole: encode what is needed of it, encrypted")
