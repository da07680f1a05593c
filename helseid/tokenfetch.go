package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
)

// tokenSupply is where the token sources of a client get their tokens from: from memory,
// from the shared cache or from HelseID.
type tokenSupply struct {
	rules    requestRules
	memory   memoryCache
	shared   sharedCache
	standing *standing
	fetch    func(ctx context.Context, grant tokenGrant) (*Token, error) // from HelseID
	work     *lifecycle.Lifecycle
	report   *reporter
}

// forget empties the place of a token.
func (t *tokenSupply) forget(ctx context.Context, key cacheKey) {
	t.memory.forget(key)
	t.shared.remove(ctx, key)
}

// forgetOwner empties the places of the tokens of a session.
func (t *tokenSupply) forgetOwner(ctx context.Context, owner string) {
	for _, key := range t.memory.forgetOwner(owner) {
		t.shared.remove(ctx, key)
	}
}

// wait joins the flight that fetches the token, or starts it.
func (s *TokenSource) wait(ctx context.Context) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case result := <-s.tokens.memory.flights.DoChan(string(s.request.key[:]), s.fly):
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*Token), nil
	case <-ctx.Done():
		return nil, s.gaveUp(ctx)
	}
}

// gaveUp is the error of a caller who does not wait for a token any longer. If it is for
// the caller's deadline, HelseID has not answered in time, or the client's key has not
// signed.
func (s *TokenSource) gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if s.entry().flight.Load().IsSigning() {
			return fmt.Errorf("%w: no signature before the caller's deadline: %w", ErrKey, ctx.Err())
		}
		return fmt.Errorf("%w: no token before the caller's deadline: %w", ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("wait for a token: %w", ctx.Err())
}

// fly fetches the token on behalf of everybody who waits. It runs on the
// client's lifetime: no caller's context ends it or lends it values.
func (s *TokenSource) fly() (any, error) {
	if err := s.tokens.work.Begin(); err != nil {
		return nil, err
	}
	defer s.tokens.work.Done()
	// A caller who found no token just before the last flight ended finds it here.
	entry := s.entry()
	forgets := entry.forgets()
	old := entry.token.Load()
	state := old.state(time.Now())
	if state == tokenFresh {
		return old, nil
	}
	work := &lifecycle.Flight{}
	entry.flight.Store(work)
	ctx, cancel := context.WithTimeout(lifecycle.WithFlight(s.tokens.work.Context(), work), tokenRequestTimeout)
	defer cancel()
	token, err := s.obtain(ctx, entry, forgets)
	switch {
	case err == nil:
		return token, nil
	case s.tokens.work.Closed():
		return nil, ErrClosed
	case state == tokenStale: // nobody may be waiting who would see the error
		s.tokens.report.logRenewal(ctx, err)
	}
	return nil, err
}

// obtain gets a token from the shared cache or from HelseID, unless that has
// refused it just now, and keeps it.
func (s *TokenSource) obtain(ctx context.Context, entry *cacheEntry, forgets uint64) (*Token, error) {
	if err := errors.Join(s.tokens.standing.refusal(time.Now(), s.isSystem()), entry.refused.Check(time.Now())); err != nil {
		return nil, err
	}
	if token := s.tokens.shared.get(ctx, s.request); token != nil {
		entry.keep(token, forgets)
		return token, nil
	}
	start := time.Now()
	token, err := s.fetch(ctx)
	s.tokens.report.emit(ctx, Event{Kind: EventTokenRequest, Endpoint: exchange.TokenEndpoint, Duration: time.Since(start), Err: err})
	s.observe(entry, start, err)
	if err != nil {
		return nil, err
	}
	s.keep(ctx, entry, token, forgets)
	s.tokens.report.logToken(ctx, token, time.Since(start))
	return token, nil
}

// fetch gets a token from where the source's tokens come from.
func (s *TokenSource) fetch(ctx context.Context) (*Token, error) {
	if s.session != nil {
		return s.session.refresh(ctx, s.request)
	}
	token, err := s.tokens.fetch(ctx, s.grant())
	var refusal *TokenError
	if s.subject != nil && errors.As(err, &refusal) {
		refusal.exchange = true // which changes the advice
	}
	return token, err
}

// keep puts a token in memory and in the shared cache.
func (s *TokenSource) keep(ctx context.Context, entry *cacheEntry, token *Token, forgets uint64) {
	if s.request.attested {
		token.limit(clientassertion.AttestLifetime)
	}
	token.checked = token.RequireScopes(s.request.scopes...) == nil
	if !token.Expiry.IsZero() && entry.keep(token, forgets) {
		s.tokens.shared.put(ctx, s.request.key, token)
		if entry.forgets() != forgets {
			s.tokens.shared.remove(ctx, s.request.key) // Forget came in between
		}
	}
}

// isSystem reports that the source's tokens are the client's own.
func (s *TokenSource) isSystem() bool { return s.session == nil && s.subject == nil }

// observe notes the outcome of a request: after refusals of this token, or of the client
// as a whole, further requests are held off.
func (s *TokenSource) observe(entry *cacheEntry, started time.Time, err error) {
	now := time.Now()
	refusal, whole := isRefusal(err)
	switch {
	case err == nil:
		s.tokens.standing.accepted(started, now, s.isSystem())
		entry.refused.Observe(started, now, nil)
	case whole && s.isSystem(), isInvalidClient(err):
		s.tokens.standing.Observe(started, now, err)
	case refusal:
		entry.refused.Observe(started, now, err)
	}
}

// grant is the request as the token endpoint wants it.
func (s *TokenSource) grant() tokenGrant {
	grant := s.request.tokenGrant()
	if s.subject != nil {
		grant.parameters.Set("subject_token", s.subject.reveal())
		grant.parameters.Set("subject_token_type", accessTokenType)
	}
	return grant
}

// tokenGrant is the part that all grants have.
func (r *preparedRequest) tokenGrant() tokenGrant {
	parameters := url.Values{"grant_type": {r.grant}}
	if len(r.scopes) > 0 {
		parameters.Set("scope", r.scope)
	}
	if r.resource != "" {
		parameters.Set("resource", r.resource)
	}
	return tokenGrant{parameters: parameters, details: r.details, scopes: r.scopes, tokenType: r.tokenType}
}
