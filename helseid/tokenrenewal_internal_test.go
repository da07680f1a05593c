package helseid

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTokenState(t *testing.T) {
	t.Parallel()
	start := time.Now().Truncate(time.Second)
	token := &Token{}
	token.setLifetime(start, 10*time.Minute)
	for after, want := range map[time.Duration]tokenState{
		0:                   tokenFresh,
		570*time.Second - 1: tokenFresh,
		570 * time.Second:   tokenStale,
		595*time.Second - 1: tokenStale,
		595 * time.Second:   tokenDead,
		10 * time.Minute:    tokenDead,
		-4 * time.Second:    tokenFresh, // the clock has been corrected a little
		-6 * time.Second:    tokenDead,  // it was wrong when the token came, or is now
		-2 * time.Hour:      tokenDead,
	} {
		require.Equal(t, want, token.state(start.Round(0).Add(after)), "after %v", after)
	}
	require.Equal(t, tokenDead, (*Token)(nil).state(start))
	require.Equal(t, tokenDead, (&Token{}).state(start), "a token of unknown life is not handed out again")
	require.Equal(t, start.Round(0), token.fetched, "by the wall clock")
	require.Equal(t, 10*time.Second, token.renewalRetry())

	token.setLifetime(start, time.Minute)
	require.Equal(t, 2*time.Second, token.renewalRetry())
	token.setLifetime(start, 1000*time.Hour)
	require.Equal(t, start.Round(0).Add(24*time.Hour), token.Expiry)
}
