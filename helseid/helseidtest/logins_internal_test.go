package helseidtest

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What has expired is forgotten when there is much of it, and no sooner than it
// has done its part: a code that comes twice must be recognised as long as there
// is something to revoke.
func TestSweep(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	past, future := now.Add(-time.Second), now.Add(time.Second)
	fill := func(l *logins, name string, expiry time.Time) {
		granted := &grant{expiry: expiry}
		l.pushed[name] = &authorization{expiry: expiry}
		l.pending[name] = &PendingLogin{expiry: expiry}
		l.codes[name] = &code{expiry: past, grant: granted}
		l.refresh[name] = &refreshToken{grant: granted}
		l.access[name] = &accessToken{expiry: expiry}
	}
	l := newLogins()
	fill(l, "past", past)
	fill(l, "future", future)
	l.codes["unused"] = &code{expiry: past}
	l.sweep(now)
	require.Contains(t, l.codes, "past", "few are kept")
	for i := range maxRemembered {
		l.access[strconv.Itoa(i)] = &accessToken{expiry: past}
	}
	l.sweep(now)
	for _, size := range []int{len(l.pushed), len(l.pending), len(l.codes), len(l.refresh), len(l.access)} {
		require.Equal(t, 1, size)
	}
	require.Contains(t, l.codes, "future")
}

// Between the check of a refresh token and its use, another request may have
// used or revoked it.
func TestRotateChecksAgain(t *testing.T) {
	t.Parallel()
	server, err := Start(InMemory())
	require.NoError(t, err)
	granted := &grant{}
	first := server.newRefreshToken(granted)
	second, refused := server.rotate(first)
	require.Nil(t, refused)
	_, refused = server.rotate(first)
	require.Equal(t, "invalid_grant", refused.code)
	require.True(t, granted.revoked)
	_, refused = server.rotate(second)
	require.Equal(t, "invalid_grant", refused.code)
}
