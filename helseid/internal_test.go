package helseid

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
)

func TestCacheKeyPartsDoNotMeet(t *testing.T) {
	t.Parallel()
	build := func(change func(*Config)) *Client {
		key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
		require.NoError(t, err)
		config := Config{Issuer: "https://a.example.no", ClientID: "b", Key: key}
		change(&config)
		client, err := New(config)
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	client := build(func(*Config) {})
	key := func(client *Client, request TokenRequest) cacheKey {
		prepared, err := client.tokens.rules.prepare(request, systemOrigin)
		require.NoError(t, err)
		return prepared.key
	}
	detail := func(text string) clientassertion.Detail {
		detail, err := clientassertion.ParseDetail([]byte(text))
		require.NoError(t, err)
		return detail
	}
	seen := make(map[cacheKey]int)
	add := func(key cacheKey) {
		seen[key]++
		require.Equal(t, 1, seen[key], "two different requests have one key")
	}
	base := TokenRequest{Scopes: []string{"a", "b"}}
	add(key(client, base))
	for _, request := range []TokenRequest{
		{}, {Scopes: []string{"a"}}, {Scopes: []string{"ab"}}, {Scopes: []string{"a", "b", "c"}},
		{Scopes: []string{"b"}, Resource: "a"}, {Resource: "ab"}, {Resource: "a"}, {Scopes: []string{"a", "b"}, Resource: "a"},
		{Details: []clientassertion.Detail{detail(`{"type":"a"}`)}},
		{Details: []clientassertion.Detail{detail(`{"type":"b"}`)}},
		{Details: []clientassertion.Detail{detail(`{"type":"a"}`), detail(`{"type":"b"}`)}},
		{Details: []clientassertion.Detail{detail(`{"type":"b"}`), detail(`{"type":"a"}`)}},
		{Organization: clientassertion.Organization{Child: "999977775"}},
		{Organization: clientassertion.Organization{Parent: "999977775"}},
		{Organization: clientassertion.Organization{Parent: "999977775", Child: "999977776"}},
		{Organization: clientassertion.Organization{Parent: "999977776", Child: "999977775"}},
	} {
		add(key(client, request))
	}
	for _, origin := range []tokenOrigin{
		{grant: "another grant"}, {grant: grantRefreshToken, owner: "a"}, {grant: grantRefreshToken, owner: "b"},
		{grant: grantRefreshToken, owner: "a", forIssuer: true}, {grant: grantTokenExchange, owner: "a"},
	} {
		prepared, err := client.tokens.rules.prepare(base, origin)
		require.NoError(t, err)
		add(prepared.key)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Issuer = "https://b.example.no" },
		func(c *Config) { c.ClientID = "c" },
		func(c *Config) { c.Issuer, c.ClientID = "https://a.example.nob", "x" },
		func(c *Config) { c.DPoPKey = mustDPoPKey() }, // T076: a token of another DPoP key is of no use
	} {
		add(key(build(change), base))
	}
	// No part can be moved into its neighbour.
	of := func(grant, owner, scope, resource string) cacheKey {
		return client.tokens.rules.cacheKey(&preparedRequest{tokenOrigin: tokenOrigin{grant: grant, owner: owner}, scope: scope, resource: resource})
	}
	require.NotEqual(t, of("a", "", "b", "c"), of("a", "", "bc", ""))
	require.NotEqual(t, of("a", "", "b", "c"), of("a", "", "", "bc"))
	require.NotEqual(t, of("ab", "", "", ""), of("a", "b", "", ""))
	require.NotEqual(t, of("a", "b", "", ""), of("a", "", "b", ""))

	// What a token does not depend on is not in its key.
	require.Equal(t, key(client, base), key(client, TokenRequest{
		Scopes: []string{"b", "a", "b"}, AcceptMissingScopes: true, AllowedOrigins: []string{"https://x.example.no"},
	}))
}

func TestT076NewClientKeySameDPoPKey(t *testing.T) {
	t.Parallel()
	shared := mustDPoPKey()
	keys := make(map[cacheKey]bool)
	for range 2 {
		key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
		require.NoError(t, err)
		client, err := New(Config{Issuer: "https://a.example.no", ClientID: "b", Key: key, DPoPKey: shared})
		require.NoError(t, err)
		t.Cleanup(client.Close)
		keys[client.tokens.rules.cacheKey(&preparedRequest{})] = true
	}
	require.Len(t, keys, 1, "a token outlives the client's key, and not the DPoP key")
}

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

// An event handler may use the client, so no lock is held while it is told. (In
// a synctest bubble the deadlock would hang for good: a mutex is no wait there.)
func TestNoLockIsHeldDuringAnEvent(t *testing.T) {
	t.Parallel()
	key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
	require.NoError(t, err)
	var source *TokenSource
	free := false
	client, err := New(Config{Issuer: "https://a.example.no", ClientID: "b", Key: key, OnEvent: func(_ context.Context, event Event) {
		if event.Kind == EventTokenDropped {
			if free = source.entry().mu.TryLock(); free {
				source.entry().mu.Unlock()
			}
		}
	}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	source = client.TokenSource(TokenRequest{})
	token := &Token{}
	token.setLifetime(time.Now().Add(-time.Minute), 10*time.Minute)
	source.entry().token.Store(token)
	require.True(t, source.drop(t.Context(), "api.example.no", token))
	require.True(t, free, "the entry is locked while the handler runs")
}

func TestIsRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err            error
		refusal, whole bool
	}{
		{nil, false, false},
		{errors.New("x"), false, false},
		{ErrUnavailable, false, false},
		{&TokenError{Code: "invalid_client", StatusCode: 400}, true, true},
		{&TokenError{Code: "invalid_client", StatusCode: 401}, true, true},
		{&TokenError{Code: "unauthorized_client", StatusCode: 400}, true, true},
		{&TokenError{Code: "invalid_client", StatusCode: 503, Temporary: true}, false, false},
		{&TokenError{Code: "invalid_scope", StatusCode: 400}, true, false},
		{&TokenError{Code: "slow_down", StatusCode: 429, Temporary: true}, false, false},
		{&TokenError{Code: "use_dpop_nonce", StatusCode: 400}, false, false},
		{fmt.Errorf("x: %w", &TokenError{Code: "invalid_scope", StatusCode: 400}), true, false},
	} {
		refusal, whole := isRefusal(test.err)
		require.Equal(t, test.refusal, refusal, "%v", test.err)
		require.Equal(t, test.whole, whole, "%v", test.err)
	}
}

func TestTokenErrorIs(t *testing.T) {
	t.Parallel()
	for status, unavailable := range map[int]bool{400: false, 401: false, 403: false, 429: true, 500: true, 503: true} {
		err := (&exchange.Exchange{Refused: newTokenError}).Failure(exchange.Answer{Status: status, Body: []byte(`{"error":"x"}`)})
		require.Equal(t, unavailable, errors.Is(err, ErrUnavailable), status)
		require.NotErrorIs(t, err, ErrInvalidResponse)
	}
}

func TestValidToken68(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{
		"a": true, "a==": true, "aA0-._~+/": true, "a====": true,
		"": false, "=": false, "a=b": false, "a b": false, "a\n": false, "a\r": false, "\ta": false, "a,b": false, "å": false, "a\x00": false, `a"`: false, "a:b": false,
	} {
		require.Equal(t, want, validToken68(token), "%q", token)
	}
}
