package inspect

import (
	"errors"
	"strconv"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// moment is the time to judge at: now, a time that was named, or when the input says that
// it was issued.
type moment struct {
	at     time.Time // zero: now
	issued bool
	text   string
}

// String is the flag's text.
func (m *moment) String() string { return m.text }

// Set reads the flag.
func (m *moment) Set(text string) error {
	*m = moment{text: text}
	if text == "iat" {
		m.issued = true
		return nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		m.at = time.Unix(seconds, 0)
		return nil
	}
	var err error
	if m.at, err = time.Parse(time.RFC3339, text); err != nil {
		return errors.New("use a time such as 2026-01-31T12:00:00Z, Unix seconds, or iat")
	}
	return nil
}

// of is the time for these claims.
func (m *moment) of(claims jose.Object) time.Time {
	if seconds, ok := claims.Get("iat").Seconds(); ok && m.issued {
		return time.Unix(seconds, 0)
	}
	if m.at.IsZero() {
		return time.Now()
	}
	return m.at
}
