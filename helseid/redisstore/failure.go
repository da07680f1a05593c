package redisstore

import "log/slog"

// failure is an error in words of this package's, which may stand in a log.
type failure struct {
	text   string
	outage bool
}

// words makes an error.
func words(text string) error { return &failure{text: text} }

// outage makes an error that means that something is down.
func outage(text string) error { return &failure{text: text, outage: true} }

func (f *failure) Error() string { return f.text }

// LogValue tells the SDK that its log lines may quote the text.
func (f *failure) LogValue() slog.Value { return slog.StringValue(f.text) }

// Unavailable tells the SDK that trying later can help.
func (f *failure) Unavailable() bool { return f.outage }
