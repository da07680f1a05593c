package testkit

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"testing"
)

// Log is a buffer for what several goroutines write.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is what has been written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// RunLogged runs a suite, catches what anything writes to the process's log meanwhile,
// and exits: with 1 also if find names a secret in it.
func RunLogged(m *testing.M, find func(text string) (secret string)) {
	var logged Log
	log.SetOutput(&logged) //nolint:forbidigo // to see that nobody writes to it
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	code := m.Run()
	if secret := find(logged.String()); secret != "" {
		fmt.Fprintln(os.Stderr, "the suite's log holds", secret)
		code = 1
	}
	os.Exit(code)
}

// What a log must not hold: a national identity number, and a token (which a JWS is).
var (
	IdentityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
	JWS            = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
)

// FindCredential says whether a text holds a token or a national identity number.
func FindCredential(text string) string {
	switch {
	case JWS.MatchString(text):
		return "a token"
	case IdentityNumber.MatchString(text):
		return "a national identity number"
	}
	return ""
}
