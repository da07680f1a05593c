package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/claims"
)

// tokenSupply provides the tokens for a client's token sources: from memory, from the
// shared cache or from HelseID.
type tokenSupply struct {
	rules    requestRules
	memory   memoryCache
	shared   sharedCache
	standing *standing
	fetch    func(ctx context.Context, grant tokenGrant) (*Token, error) // from HelseID
	work     *lifecycle.Lifecycle
	report   *reporter
}

// forget removes a token from memory and from the shared cache.
func (t *tokenSupply) forget(ctx context.Context, key cacheKey) {
	t.memory.forget(key)
	t.shared.remove(ctx, key)
}

// forgetOwner does the same for the tokens of a session.
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
	since, own := time.Now(), &lifecycle.Flight{}
	select {
	case result := <-s.depart(ctx, own):
		landed := result.Val.(landing)
		if !own.Boarded() {
			s.tokens.report.waited(ctx, landed.work, since, result.Err)
		}
		return landed.token, result.Err
	case <-ctx.Done():
		err := s.gaveUp(ctx)
		if current := s.entry().flight.Load(); current != own {
			s.tokens.report.waited(ctx, current.Context(), since, err)
		}
		return nil, err
	}
}

// landing is what a flight ends with.
type landing struct {
	token *Token
	work  context.Context // or nil
}

// depart joins the flight that fetches the token, or lets this one start.
func (s *TokenSource) depart(caller context.Context, flight *lifecycle.Flight) <-chan singleflight.Result {
	return s.tokens.memory.flights.DoChan(string(s.request.key[:]), func() (any, error) {
		token, err := s.fly(caller, flight)
		return landing{token, flight.Land()}, err
	})
}

// gaveUp returns the error for a caller that stops waiting for a token. If the
// caller's deadline has passed, either HelseID has not answered in time, or a key has
// not signed.
func (s *TokenSource) gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if s.entry().flight.Load().IsSigning() {
			return fmt.Errorf("%w: no signature before the caller's deadline: %w", ErrKey, ctx.Err())
		}
		return fmt.Errorf("%w: no token before the caller's deadline: %w", ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("wait for a token: %w", ctx.Err())
}

// fly fetches the token for all callers that wait. It runs in the client's lifetime:
// no caller's context cancels it or passes values to it. The caller's is only for the
// tracer.
func (s *TokenSource) fly(caller context.Context, flight *lifecycle.Flight) (*Token, error) {
	flight.Board()
	if err := s.tokens.work.Begin(); err != nil {
		return nil, err
	}
	defer s.tokens.work.Done()
	// The last flight may have ended between the caller's look and this one.
	entry := s.entry()
	forgets := entry.forgets()
	old := entry.token.Load()
	state := old.state(time.Now())
	if state == tokenFresh {
		return old, nil
	}
	entry.flight.Store(flight)
	ctx, cancel := context.WithTimeout(lifecycle.WithFlight(s.tokens.work.Context(), flight), tokenRequestTimeout)
	defer cancel()
	token, err := s.obtain(ctx, caller, entry, forgets, state == tokenStale)
	switch {
	case err == nil:
		return token, nil
	case s.tokens.work.Closed():
		return nil, ErrClosed
	case state == tokenStale: // there may be no caller to return the error to
		s.tokens.report.logRenewal(ctx, err)
	}
	return nil, err
}

// obtain gets a token from the shared cache or from HelseID and caches it, unless a
// refusal is in force.
func (s *TokenSource) obtain(ctx, caller context.Context, entry *cacheEntry, forgets uint64, renewal bool) (*Token, error) {
	if err := errors.Join(s.tokens.standing.refusal(ctx, time.Now(), s.isSystem()), entry.refused.Check(time.Now())); err != nil {
		return nil, err
	}
	if token := s.tokens.shared.get(ctx, s.request); token != nil {
		entry.keep(token, forgets)
		return token, nil
	}
	ctx, end := s.tokens.report.beginTokenRequest(ctx, caller, renewal)
	lifecycle.FlightOf(ctx).Work(ctx)
	start := time.Now()
	token, err := s.fetch(ctx)
	end(err)
	s.observe(entry, start, err)
	if err != nil {
		return nil, err
	}
	s.keep(ctx, entry, token, forgets)
	s.tokens.report.logToken(ctx, token, time.Since(start))
	return token, nil
}

// fetch gets a token from the source's origin.
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

// keep puts a token into memory and into the shared cache.
func (s *TokenSource) keep(ctx context.Context, entry *cacheEntry, token *Token, forgets uint64) {
	if s.request.attested {
		token.limit(claims.AttestLifetime)
	}
	token.checked = token.RequireScopes(s.request.scopes...) == nil
	if !token.Expiry.IsZero() && entry.keep(token, forgets) {
		s.tokens.shared.put(ctx, s.request.key, token)
		if entry.forgets() != forgets {
			s.tokens.shared.remove(ctx, s.request.key) // Forget was called meanwhile
		}
	}
}

// isSystem reports that the source's tokens are the client's own.
func (s *TokenSource) isSystem() bool { return s.session == nil && s.subject == nil }

// observe records the outcome of a request: after refusals of this token, or of the
// client as a whole, further requests are held back.
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

// grant returns the request in the form of the token endpoint.
func (s *TokenSource) grant() tokenGrant {
	grant := s.request.tokenGrant()
	if s.subject != nil {
		grant.parameters.Set("subject_token", s.subject.reveal())
		grant.parameters.Set("subject_token_type", accessTokenType)
	}
	return grant
}

// tokenGrant returns the part that all grants have in common.
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
