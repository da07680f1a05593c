package tokenvalidation_test

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// TestMain catches what anything writes to the process's log during the whole
// suite, and fails if a token or a national identity number is in it.
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

func newServer(t testing.TB) *helseidtest.Server {
	t.Helper()
	return helseidtest.NewServer(t, helseidtest.InMemory(), helseidtest.TokenLifetime(time.Hour))
}

func newValidator(t testing.TB, server *helseidtest.Server, change func(*tokenvalidation.Config)) *tokenvalidation.Validator {
	t.Helper()
	config := tokenvalidation.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience, HTTPClient: server.HTTPClient()}
	if change != nil {
		change(&config)
	}
	validator, err := tokenvalidation.New(config)
	require.NoError(t, err)
	t.Cleanup(validator.Close)
	return validator
}

// validated are the claims of a token with these options.
func validated(t testing.TB, options ...mint.TokenOption) *tokenvalidation.Claims {
	t.Helper()
	server := newServer(t)
	claims, err := newValidator(t, server, nil).Validate(t.Context(), server.Token(options...))
	require.NoError(t, err)
	return claims
}

func requireReason(t testing.TB, err error, reason tokenvalidation.Reason) {
	t.Helper()
	require.ErrorIs(t, err, tokenvalidation.ErrInvalidToken)
	require.NotErrorIs(t, err, tokenvalidation.ErrUnavailable)
	var refused *tokenvalidation.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason)
	require.NotEmpty(t, err.Error())
	require.NotRegexp(t, identityNumber, err.Error())
	require.NotRegexp(t, jwsLike, err.Error())
}

// transport is a round tripper that is a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wait moves a synctest bubble's clock.
func wait(d time.Duration) { <-time.After(d) }
