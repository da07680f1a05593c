package middleware_test

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

// TestMain captures everything that is written to the process's log during the whole
// suite, and fails if it contains a token or a national identity number.
func TestMain(m *testing.M) {
	var logged lockedBuffer
	log.SetOutput(&logged) //nolint:forbidigo // to see that nobody writes to it
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	code := m.Run()
	if text := logged.String(); identityNumber.MatchString(text) || jwsLike.MatchString(text) {
		fmt.Fprintln(os.Stderr, "the suite's log holds a token or a national identity number")
		code = 1
	}
	os.Exit(code)
}

var (
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
)

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
