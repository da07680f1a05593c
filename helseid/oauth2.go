package helseid

import (
	"context"
	"time"

	"golang.org/x/oauth2"
)

// OAuth2 returns the source as an [oauth2.TokenSource], for libraries that need one.
// Its Token method uses ctx.
//
// Do not use it with [oauth2.NewClient] and [oauth2.Transport]: they send the token
// without a proof, and an API refuses it. Use [Client.HTTPClient] or
// [TokenSource.Authorize] for calls.
func (s *TokenSource) OAuth2(ctx context.Context) oauth2.TokenSource {
	return oauth2Source{ctx, s}
}

type oauth2Source struct {
	ctx    context.Context
	source *TokenSource
}

// Token implements oauth2.TokenSource.
func (s oauth2Source) Token() (*oauth2.Token, error) {
	token, err := s.source.Token(s.ctx)
	if err != nil {
		return nil, err
	}
	expiry := token.Expiry
	if expiry.IsZero() {
		expiry = time.Now() // unknown; package oauth2 takes a zero expiry for "never"
	}
	return &oauth2.Token{AccessToken: token.Access.Reveal(), TokenType: token.Type, Expiry: expiry}, nil
}
