package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
)

// dropInterval bounds how often the refusals of an API can make the client
// fetch a new token, and protects a token that is younger.
const dropInterval = 30 * time.Second

// TokenSource gives tokens for one token request. It is prepared once: asking
// it for a token that is in memory takes no lock and no allocation. It is safe
// for concurrent use.
type TokenSource struct {
	client  *Client
	request *preparedRequest
	entry   *cacheEntry
	err     error // of the token request
}

// TokenSource prepares a token source. A mistake in the request is reported by
// its Token method, and wraps ErrConfig.
func (c *Client) TokenSource(request TokenRequest) *TokenSource {
	prepared, err := c.prepare(request)
	if err != nil {
		return &TokenSource{client: c, err: err}
	}
	return &TokenSource{client: c, request: prepared, entry: c.tokens.entry(prepared.key)}
}

// Token returns a token that is valid for some time yet.
//
// A fresh one comes from memory. One near its end (the last 10 % of its life,
// 30 seconds at most) comes from memory too, and is renewed in the background.
// Without one, all callers share a single request to HelseID; each waits for it
// as long as its own context allows, and a caller who gives up does not disturb
// the others.
//
// The organisation of ForOrganization and the request of WithTokenRequest
// replace those of the source.
//
// The error is a *TokenError if HelseID refuses, and wraps ErrUnavailable,
// ErrInvalidResponse, ErrIssuerMismatch, ErrScopeNotGranted or ErrConfig
// otherwise.
func (s *TokenSource) Token(ctx context.Context) (*Token, error) {
	return s.client.sourceFor(ctx, s).token(ctx)
}

func (s *TokenSource) token(ctx context.Context) (*Token, error) {
	if s.err != nil {
		return nil, s.err
	}
	now := time.Now()
	s.entry.touch(now)
	token := s.entry.token.Load()
	switch token.state(now) {
	case tokenFresh:
		s.client.emit(Event{Kind: EventCacheHit})
	case tokenStale:
		s.client.emit(Event{Kind: EventCacheStale})
		s.renew()
	case tokenDead:
		s.client.emit(Event{Kind: EventCacheMiss})
		var err error
		if token, err = s.wait(ctx); err != nil {
			return nil, err
		}
	}
	return token, s.checkScopes(token)
}

// freshToken returns a token that is not near its end, for a request that
// cannot be sent twice. A stale one is better than none.
func (s *TokenSource) freshToken(ctx context.Context) (*Token, error) {
	if s.err != nil {
		return nil, s.err
	}
	stale := s.entry.token.Load()
	if stale.state(time.Now()) == tokenStale {
		if token, err := s.wait(ctx); err == nil {
			return token, s.checkScopes(token)
		}
	}
	return s.token(ctx)
}

func (s *TokenSource) checkScopes(token *Token) error {
	if s.request.acceptMissing || token.checked {
		return nil
	}
	return token.RequireScopes(s.request.scopes...)
}

// wait joins the flight that fetches the token, or starts it.
func (s *TokenSource) wait(ctx context.Context) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case result := <-s.client.tokens.flights.DoChan(string(s.request.key[:]), s.fly):
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*Token), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a token: %w", ctx.Err())
	}
}

// renew starts a flight without waiting for it. A failure leaves the old token
// in place and the next attempt for later.
func (s *TokenSource) renew() {
	s.entry.mu.Lock()
	defer s.entry.mu.Unlock()
	now := time.Now()
	if now.Before(s.entry.renewAt) {
		return
	}
	if token := s.entry.token.Load(); token.state(now) == tokenStale {
		s.entry.renewAt = now.Add(token.renewalRetry())
		s.client.tokens.flights.DoChan(string(s.request.key[:]), s.fly)
	}
}

// fly fetches the token on behalf of everybody who waits. It runs on the
// client's lifetime: no caller's context ends it or lends it values.
func (s *TokenSource) fly() (any, error) {
	if err := s.client.begin(); err != nil {
		return nil, err
	}
	defer s.client.running.Done()
	// Whoever missed just before the last flight landed finds its token here.
	if token := s.entry.token.Load(); token.state(time.Now()) == tokenFresh {
		return token, nil
	}
	if err := errors.Join(s.client.refused.check(time.Now()), s.entry.refused.check(time.Now())); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.client.lifetime, tokenRequestTimeout)
	defer cancel()

	start := time.Now()
	token, err := s.client.outage.run(ctx, func() (*Token, error) { return s.client.requestToken(ctx, s.request.grant()) })
	s.client.emit(Event{Kind: EventTokenRequest, Duration: time.Since(start), Err: err})
	s.observe(err)
	if err != nil {
		if s.client.lifetime.Err() != nil {
			return nil, ErrClosed
		}
		return nil, err
	}
	if s.request.attested {
		token.limit(clientassertion.AttestLifetime)
	}
	token.checked = token.RequireScopes(s.request.scopes...) == nil
	if !token.Expiry.IsZero() {
		s.entry.token.Store(token)
	}
	s.client.logToken(ctx, token, time.Since(start))
	return token, nil
}

// observe holds further requests off after a refusal, of this token or of all.
func (s *TokenSource) observe(err error) {
	now := time.Now()
	refusal, whole := isRefusal(err)
	switch {
	case err == nil:
		s.client.refused.observe(now, nil)
		s.entry.refused.observe(now, nil)
	case whole:
		s.client.refused.observe(now, err)
	case refusal:
		s.entry.refused.observe(now, err)
	}
}

// grant is the request as the token endpoint wants it.
func (r *preparedRequest) grant() tokenGrant {
	parameters := url.Values{"grant_type": {grantClientCredentials}}
	if len(r.scopes) > 0 {
		parameters.Set("scope", r.scope)
	}
	if r.resource != "" {
		parameters.Set("resource", r.resource)
	}
	return tokenGrant{parameters: parameters, details: r.details, scopes: r.scopes}
}

// drop forgets a token that an API refused, and reports whether it did: only
// the token that was sent, only if it is not brand new, and only so often. An
// API that refuses everything must not turn into a load on HelseID.
func (s *TokenSource) drop(sent *Token) bool {
	s.entry.mu.Lock()
	defer s.entry.mu.Unlock()
	now := time.Now()
	if now.Sub(sent.fetched) < dropInterval || now.Sub(s.entry.droppedAt) < dropInterval {
		return false
	}
	if !s.entry.token.CompareAndSwap(sent, nil) {
		return false
	}
	s.entry.droppedAt = now
	s.client.emit(Event{Kind: EventTokenDropped, API: true})
	return true
}
