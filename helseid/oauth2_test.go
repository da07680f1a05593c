package helseid_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

func TestOAuth2(t *testing.T) {
	t.Parallel()
	request := helseid.TokenRequest{Scopes: []string{testScope}}
	t.Run("gives the same token", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		var source = w.client.TokenSource(request).OAuth2(t.Context())
		token, err := source.Token()
		require.NoError(t, err)
		own := w.token(t)
		require.True(t, own.Access.Reveal() == token.AccessToken)
		require.Equal(t, "DPoP", token.TokenType)
		require.Equal(t, "DPoP", token.Type())
		require.Equal(t, own.Expiry, token.Expiry)
		require.Empty(t, token.RefreshToken)
		require.True(t, token.Valid())
		require.Equal(t, 1, w.tokenRequests())
	})
	t.Run("renews by itself", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			source := w.client.TokenSource(request).OAuth2(t.Context())
			first, err := source.Token()
			require.NoError(t, err)
			pause(11 * time.Minute)
			second, err := source.Token()
			require.NoError(t, err)
			require.False(t, first.AccessToken == second.AccessToken)
		})
	})
	t.Run("hands errors on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		token, err := w.client.TokenSource(helseid.TokenRequest{Scopes: []string{"a b"}}).OAuth2(t.Context()).Token()
		requireError(t, err, helseid.ErrConfig)
		require.Nil(t, token)
		_, err = w.client.TokenSource(helseid.TokenRequest{Scopes: []string{"nhn:other-api/x"}}).OAuth2(t.Context()).Token()
		requireRefusal(t, err, "invalid_scope")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = w.client.TokenSource(request).OAuth2(ctx).Token()
		requireError(t, err, context.Canceled)
	})
	// Package oauth2 takes a token without Expiry for one that lives for ever,
	// and this one is not even kept here.
	t.Run("T086 a token of unknown life is not kept for ever", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Times: -1, Body: w.tokenAnswer(t, map[string]any{"expires_in": nil})})
			source := oauth2.ReuseTokenSource(nil, w.client.TokenSource(request).OAuth2(t.Context()))
			_, err := source.Token()
			require.NoError(t, err)
			pause(48 * time.Hour)
			_, err = source.Token()
			require.NoError(t, err)
			require.Equal(t, 2, w.events.of(helseid.EventTokenRequest))
		})
	})
}
