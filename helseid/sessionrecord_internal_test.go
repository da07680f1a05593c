package helseid

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
)

// The times of a session, to the second: what is just within a limit and what is not.
func TestSessionTimes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	milli := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	for name, test := range map[string]struct {
		record sessionRecord
		says   func(*sessionRecord) bool
		is     bool
	}{
		"created as far ahead as is forgiven": {sessionRecord{Created: at(maxClockStep)}, func(r *sessionRecord) bool { return r.hasEnded(now) }, false},
		"created further ahead":               {sessionRecord{Created: at(maxClockStep + time.Second)}, func(r *sessionRecord) bool { return r.hasEnded(now) }, true},
		"used as far ahead as is forgiven": {sessionRecord{Created: at(0), LastUsed: milli(maxClockStep)},
			func(r *sessionRecord) bool { return r.hasEnded(now) }, false},
		"used further ahead": {sessionRecord{Created: at(0), LastUsed: milli(maxClockStep + time.Second)},
			func(r *sessionRecord) bool { return r.hasEnded(now) }, true},
		"in its last second": {sessionRecord{Created: at(time.Second - sessionLifetime)}, func(r *sessionRecord) bool { return r.hasEnded(now) }, false},
		"at its end":         {sessionRecord{Created: at(-sessionLifetime)}, func(r *sessionRecord) bool { return r.hasEnded(now) }, true},
		"its attest ends": {sessionRecord{Created: at(-time.Minute), AttestUntil: at(0)},
			func(r *sessionRecord) bool { return r.hasEnded(now) }, true},
		"its attest ends in a second": {sessionRecord{Created: at(-time.Minute), AttestUntil: at(time.Second)},
			func(r *sessionRecord) bool { return r.hasEnded(now) }, false},
		"its attest began too far ahead": {sessionRecord{Created: at(0), AttestUntil: at(claims.AttestLifetime + maxClockStep + time.Second)},
			func(r *sessionRecord) bool { return r.hasEnded(now) }, true},
		"its attest began as far ahead as is forgiven": {sessionRecord{Created: at(0), AttestUntil: at(claims.AttestLifetime + maxClockStep)},
			func(r *sessionRecord) bool { return r.hasEnded(now) }, false},

		"not marked": {sessionRecord{}, func(r *sessionRecord) bool { return r.lost(now) }, false},
		"marked as long ago as a refresh may take": {sessionRecord{Refreshing: milli(-refreshTimeout)},
			func(r *sessionRecord) bool { return r.lost(now) }, false},
		"marked longer ago": {sessionRecord{Refreshing: milli(-refreshTimeout) - 1}, func(r *sessionRecord) bool { return r.lost(now) }, true},
		"marked by a clock that is ahead as far as is tolerated": {sessionRecord{Refreshing: milli(clockTolerance)},
			func(r *sessionRecord) bool { return r.redate(now) }, false},
		"marked by a clock that is further ahead": {sessionRecord{Refreshing: milli(clockTolerance) + 1},
			func(r *sessionRecord) bool { return r.redate(now) && r.Refreshing == now.UnixMilli() }, true},

		"indexed until its end": {sessionRecord{RefreshUntil: at(time.Hour), IndexedUntil: at(time.Hour)}, (*sessionRecord).reindex, false},
		"indexed for a second less": {sessionRecord{RefreshUntil: at(time.Hour), IndexedUntil: at(time.Hour) - 1},
			func(r *sessionRecord) bool { return r.reindex() && r.IndexedUntil == at(time.Hour+indexMargin) }, true},
		"indexed for as long as can be": {sessionRecord{RefreshUntil: at(0)},
			func(r *sessionRecord) bool { return r.plausible(at(indexMargin+maxClockStep)) != 0 }, true},
		"indexed for longer than that": {sessionRecord{RefreshUntil: at(0)},
			func(r *sessionRecord) bool { return r.plausible(at(indexMargin+maxClockStep)+1) != 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.is, test.says(&test.record))
		})
	}
}

// A session ends at the earliest of its limits; a limit that is not set is none.
func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	const created = 1_800_000_000
	day := int64(24 * 3600)
	for name, test := range map[string]struct {
		record sessionRecord
		expiry int64
	}{
		"no limit":                      {sessionRecord{}, created + day/2},
		"the refresh token":             {sessionRecord{RefreshUntil: created + day}, created + day},
		"the attest, sooner":            {sessionRecord{RefreshUntil: created + day, AttestUntil: created + 100}, created + 100},
		"the attest, later":             {sessionRecord{RefreshUntil: created + 50, AttestUntil: created + 100}, created + 50},
		"the login, sooner":             {sessionRecord{RefreshUntil: created + day, EndsAt: created + 100}, created + 100},
		"the login, later":              {sessionRecord{RefreshUntil: created + day, EndsAt: created + 2*day}, created + day},
		"idle, sooner":                  {sessionRecord{IdleTimeout: 60, LastUsed: (created + 10) * 1000}, created + 70},
		"idle, later":                   {sessionRecord{IdleTimeout: 2 * day, LastUsed: created * 1000}, created + day/2},
		"used, without an idle limit":   {sessionRecord{LastUsed: (created - day) * 1000}, created + day/2},
		"idle, sooner than the login's": {sessionRecord{IdleTimeout: 60, LastUsed: created * 1000, EndsAt: created + 100}, created + 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.record.Created = created
			require.Equal(t, test.expiry, test.record.expiry().Unix())
		})
	}
}

// The refresh token of an ended session is revoked, unless a refresh is using it.
func TestUnusedRefreshToken(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		refreshing int64
		want       string
	}{
		"idle":        {0, "the token"},
		"in use":      {now.UnixMilli(), ""},
		"nearly lost": {now.Add(-refreshTimeout).UnixMilli(), ""},
		"lost":        {now.Add(-refreshTimeout).UnixMilli() - 1, "the token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, (&sessionRecord{RefreshToken: "the token", Refreshing: test.refreshing}).unused(now))
		})
	}
}

// What a login leaves in its session: how many APIs its token is for, and its limits.
func TestNewSessionRecord(t *testing.T) {
	t.Parallel()
	user := &identity.IDToken{User: identity.User{AuthenticatedAt: time.Now().Add(-time.Hour)}}
	for audiences, several := range map[int]bool{0: false, 1: false, 2: true} {
		tokens := &userTokens{token: &Token{audiences: audiences, audience: "an-api"}}
		record := newSessionRecord(newLoginState(&loginStateWire{}), tokens, user)
		require.Equal(t, several, record.Several, audiences)
		require.Zero(t, record.EndsAt)
		require.Zero(t, record.LastUsed)
		require.Zero(t, record.AttestUntil)
		require.False(t, record.Offline)
		require.Greater(t, record.IndexedUntil, record.keptUntil().Unix())
	}
	tokens := &userTokens{token: &Token{}, refreshToken: "a token"}
	record := newSessionRecord(newLoginState(&loginStateWire{MaxSessionAge: 7200, IdleTimeout: 60}), tokens, user)
	require.True(t, record.Offline)
	require.Equal(t, user.User.AuthenticatedAt.Unix()+7200, record.EndsAt)
	require.InDelta(t, time.Now().UnixMilli(), record.LastUsed, 60_000)
}

// Without a refresh token, a session has the token of its login only.
func TestRequestOfTheLoginsToken(t *testing.T) {
	t.Parallel()
	named, only := sessionRecord{Resources: []string{"a"}, Audience: "b"}, sessionRecord{Audience: "b", Scopes: []string{"y", "openid", "x"}}
	for name, test := range map[string]struct {
		record  sessionRecord
		request preparedRequest
		is      bool
	}{
		"the API that was asked for":     {named, preparedRequest{resource: "a"}, true},
		"another":                        {named, preparedRequest{resource: "b"}, false},
		"none, though one was asked for": {named, preparedRequest{}, false},
		"none":                           {only, preparedRequest{}, true},
		"the only one":                   {only, preparedRequest{resource: "b"}, true},
		"one that is not the only one":   {only, preparedRequest{resource: "a"}, false},
		"its scopes":                     {only, preparedRequest{scopes: []string{"x", "y"}}, true},
		"fewer scopes":                   {only, preparedRequest{scopes: []string{"x"}}, false},
		"other scopes":                   {only, preparedRequest{scopes: []string{"x", "z"}}, false},
		"with details":                   {only, preparedRequest{details: make([]clientassertion.Detail, 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.is, test.record.isLogins(&test.request))
		})
	}
}
