package idtoken_test

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/verification"
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

const loginClient = "the-login-client"

// idToken mints an ID token as HelseID writes them: type JWT, the client as
// audience, the nonce of the login.
func idToken(server *helseidtest.Server, opts ...mint.TokenOption) string {
	standard := []mint.TokenOption{
		mint.Clinician(),
		mint.Audience(loginClient),
		mint.Header("typ", "JWT"),
		mint.Claim("nonce", "the-nonce"),
		mint.Claim("client_id", nil),
		mint.Claim("scope", nil),
		mint.Unbound(),
	}
	return server.Token(append(standard, opts...)...)
}

func newValidator(t testing.TB, server *helseidtest.Server) *idtoken.Validator {
	t.Helper()
	validator := idtoken.New(metadata.NewSource(server.Issuer(), server.HTTPClient(), "jwks_uri"), loginClient, server.HTTPClient())
	t.Cleanup(validator.Close)
	return validator
}

func requireReason(t testing.TB, err error, reason verification.Reason) {
	t.Helper()
	require.ErrorIs(t, err, idtoken.ErrInvalid)
	require.NotErrorIs(t, err, jwks.ErrUnavailable)
	var refused *idtoken.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason)
	require.NotEmpty(t, err.Error())
	require.NotRegexp(t, identityNumber, err.Error())
	require.NotRegexp(t, jwsLike, err.Error())
}
