package helseid

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/testkit"
)

// supplied is a token source without a client: fetch is what asks HelseID.
func supplied(fetch func(ctx context.Context, grant tokenGrant) (*Token, error)) *TokenSource {
	tokens := &tokenSupply{
		rules:    requestRules{issuer: "https://a.example.no", clientID: "b"},
		memory:   memoryCache{capacity: 10},
		standing: &standing{},
		fetch:    fetch,
		work:     lifecycle.New(),
		report:   &reporter{logger: slog.New(slog.DiscardHandler)},
	}
	return (&TokenSource{tokens: tokens}).with(TokenRequest{})
}

func tenMinutes() *Token {
	token := &Token{}
	token.setLifetime(time.Now(), 10*time.Minute)
	return token
}

// All who wait for a token share one request. Who gives up does not disturb the others.
func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		source := supplied(func(context.Context, tokenGrant) (*Token, error) {
			fetches++
			testkit.Sleep(time.Second)
			return tenMinutes(), nil
		})
		var group sync.WaitGroup
		group.Go(func() {
			impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err := source.Token(impatient)
			if !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		})
		for range 100 {
			group.Go(func() {
				if _, err := source.Token(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, 1, fetches)
	})
}

// A refusal that comes twice stands for a second, in which nothing is asked.
func TestRefusalStandsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		refusal := &TokenError{Code: "invalid_scope", StatusCode: 400}
		source := supplied(func(context.Context, tokenGrant) (*Token, error) {
			fetches++
			return nil, refusal
		})
		for range 5 {
			_, err := source.Token(t.Context())
			require.ErrorIs(t, err, refusal)
		}
		require.Equal(t, 2, fetches)
		testkit.Sleep(time.Second)
		_, err := source.Token(t.Context())
		require.ErrorIs(t, err, refusal)
		require.Equal(t, 3, fetches)
	})
}

// After the lifetime has ended a token in memory is used, and none is fetched.
func TestNoFetchAfterClose(t *testing.T) {
	t.Parallel()
	source := supplied(func(context.Context, tokenGrant) (*Token, error) { return tenMinutes(), nil })
	kept, err := source.Token(t.Context())
	require.NoError(t, err)
	source.tokens.work.Close()
	again, err := source.Token(t.Context())
	require.NoError(t, err)
	require.Same(t, kept, again)
	source.Forget(t.Context())
	_, err = source.Token(t.Context())
	require.ErrorIs(t, err, ErrClosed)
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
