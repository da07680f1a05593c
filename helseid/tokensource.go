package helseid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
)

// TokenSource gives tokens for one token request. It is prepared once: asking
// it for a token that is in memory takes no lock and no allocation. It is safe
// for concurrent use.
type TokenSource struct {
	client   *Client
	original TokenRequest
	subject  *subjectToken // what is exchanged for the token, or nil
	session  *Session      // whose token it is, or nil
	issuer   bool          // the token goes to HelseID alone
	request  *preparedRequest
	place    atomic.Pointer[cacheEntry]
	err      error // of the token request
}

// Format prints what it is, for every verb.
func (s *TokenSource) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "token source") }

// TokenSource prepares a token source. A mistake in the request is reported by
// its Token method, and wraps ErrConfig.
func (c *Client) TokenSource(request TokenRequest) *TokenSource {
	return (&TokenSource{client: c}).with(request.clone())
}

// with is a source for another request, from the same origin. The request is not
// the caller's to change any more.
func (s *TokenSource) with(request TokenRequest) *TokenSource {
	source := &TokenSource{client: s.client, subject: s.subject, session: s.session, issuer: s.issuer, original: request}
	origin, err := source.origin()
	if err == nil {
		source.request, err = s.client.prepare(source.original, origin)
	}
	if source.err = err; err == nil {
		source.place.Store(s.client.tokens.entry(source.request))
	}
	return source
}

// origin says where the source's tokens come from.
func (s *TokenSource) origin() (tokenOrigin, error) {
	switch {
	case s.session != nil && s.subject != nil:
		return tokenOrigin{}, fmt.Errorf("%w: a session's tokens are not exchanged: use Client.HTTPClient with WithSubjectToken", ErrConfig)
	case s.session != nil:
		return s.session.origin(s.original, s.issuer)
	case s.subject != nil:
		return s.subject.origin()
	}
	return systemOrigin, nil
}

// entry is the place of the source's token, which moves when the cache has
// forgotten the old one.
func (s *TokenSource) entry() *cacheEntry {
	entry := s.place.Load()
	if entry.evicted.Load() {
		entry = s.client.tokens.entry(s.request)
		s.place.Store(entry)
	}
	return entry
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
// ErrKey, ErrInvalidResponse, ErrIssuerMismatch, ErrScopeNotGranted, ErrClosed,
// ErrConfig or the context's error otherwise. That of a session's source can also wrap
// ErrLoginRequired, ErrNoRefreshToken, ErrSeveralAudiences and ErrStore.
func (s *TokenSource) Token(ctx context.Context) (*Token, error) {
	return s.client.sourceFor(ctx, s).token(ctx)
}

// Authorize sets the headers Authorization and DPoP on a request that will be sent
// with something else than HTTPClient. Call it for each attempt, just before sending,
// and hand the response to Client.ObserveResponse. As with Token, the organisation
// and the token request of ctx count, and not those of the request's own context.
//
// The error is one of Token's, or ErrInsecureURL or ErrOriginRefused for the
// request's URL.
func (s *TokenSource) Authorize(ctx context.Context, request *http.Request) error {
	source := s.client.sourceFor(ctx, s)
	if err := source.checkDestination(request); err != nil {
		return err
	}
	token, err := source.token(ctx)
	if err != nil {
		return err
	}
	return s.client.authorize(ctx, request, token, s.client.exchange.Nonces.Get(request.URL))
}

func (s *TokenSource) token(ctx context.Context) (*Token, error) {
	if s.err != nil {
		return nil, s.err
	}
	now, entry := time.Now(), s.entry()
	if s.session != nil {
		if err := s.session.use(ctx, now); err != nil {
			return nil, err
		}
	}
	entry.touch(now)
	token := entry.token.Load()
	switch token.state(now) {
	case tokenFresh:
		s.client.report.emit(ctx, Event{Kind: EventCacheHit})
	case tokenStale:
		s.client.report.emit(ctx, Event{Kind: EventCacheStale})
		s.renew()
	case tokenDead:
		s.client.report.emit(ctx, Event{Kind: EventCacheMiss})
		var err error
		if token, err = s.wait(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.checkScopes(token); err != nil {
		return nil, err
	}
	return token, nil
}

// maxFreshWait is how long a request that cannot be sent twice waits for a newer
// token when it has one that is still good.
const maxFreshWait = 2 * time.Second

// freshToken returns a token that is not near its end, for a request that
// cannot be sent twice. A stale one is better than none, and HelseID is asked no
// more often than for other requests.
func (s *TokenSource) freshToken(ctx context.Context) (*Token, error) {
	if s.err != nil {
		return nil, s.err
	}
	if entry := s.entry(); entry.token.Load().state(time.Now()) == tokenStale {
		if flight := s.renew(); flight != nil {
			timer := time.NewTimer(maxFreshWait)
			defer timer.Stop()
			select {
			case <-flight:
			case <-timer.C:
			case <-ctx.Done():
				return nil, s.gaveUp(ctx)
			}
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
		return nil, s.gaveUp(ctx)
	}
}

// gaveUp is the error of a caller who waits for a token no longer. One whose
// deadline has passed has found that HelseID does not answer in time, or that the
// client's key does not.
func (s *TokenSource) gaveUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if s.entry().flight.Load().IsSigning() {
			return fmt.Errorf("%w: no signature before the caller's deadline: %w", ErrKey, ctx.Err())
		}
		return fmt.Errorf("%w: no token before the caller's deadline: %w", ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("wait for a token: %w", ctx.Err())
}

// renew starts a flight without waiting for it, and returns it. A failure leaves
// the old token in place and the next attempt for later.
func (s *TokenSource) renew() <-chan singleflight.Result {
	entry := s.entry()
	entry.mu.Lock()
	defer entry.mu.Unlock()
	now := time.Now()
	token := entry.token.Load()
	if now.Before(entry.renewAt) || token.state(now) != tokenStale {
		return nil
	}
	entry.renewAt = now.Add(token.renewalRetry())
	return s.client.tokens.flights.DoChan(string(s.request.key[:]), s.fly)
}

// fly fetches the token on behalf of everybody who waits. It runs on the
// client's lifetime: no caller's context ends it or lends it values.
func (s *TokenSource) fly() (any, error) {
	if err := s.client.work.Begin(); err != nil {
		return nil, err
	}
	defer s.client.work.Done()
	// Whoever missed just before the last flight landed finds its token here.
	entry := s.entry()
	forgets := entry.forgets()
	old := entry.token.Load()
	state := old.state(time.Now())
	if state == tokenFresh {
		return old, nil
	}
	work := &lifecycle.Flight{}
	entry.flight.Store(work)
	ctx, cancel := context.WithTimeout(lifecycle.WithFlight(s.client.work.Context(), work), tokenRequestTimeout)
	defer cancel()
	token, err := s.obtain(ctx, entry, forgets)
	switch {
	case err == nil:
		return token, nil
	case s.client.work.Closed():
		return nil, ErrClosed
	case state == tokenStale: // nobody may be waiting who would see the error
		s.client.report.logRenewal(ctx, err)
	}
	return nil, err
}

// obtain gets a token from the shared cache or from HelseID, unless that has
// refused it just now, and keeps it.
func (s *TokenSource) obtain(ctx context.Context, entry *cacheEntry, forgets uint64) (*Token, error) {
	if err := errors.Join(s.client.standing.refusal(time.Now(), s.isSystem()), entry.refused.Check(time.Now())); err != nil {
		return nil, err
	}
	if token := s.client.shared.get(ctx, s.request); token != nil {
		entry.keep(token, forgets)
		return token, nil
	}
	start := time.Now()
	token, err := s.fetch(ctx)
	s.client.report.emit(ctx, Event{Kind: EventTokenRequest, Endpoint: exchange.TokenEndpoint, Duration: time.Since(start), Err: err})
	s.observe(entry, start, err)
	if err != nil {
		return nil, err
	}
	s.keep(ctx, entry, token, forgets)
	s.client.report.logToken(ctx, token, time.Since(start))
	return token, nil
}

// fetch gets a token from where the source's tokens come from.
func (s *TokenSource) fetch(ctx context.Context) (*Token, error) {
	if s.session != nil {
		return s.session.refresh(ctx, s.request)
	}
	token, err := s.client.exchange.fetchToken(ctx, s.grant())
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
		s.client.shared.put(ctx, s.request.key, token)
		if entry.forgets() != forgets {
			s.client.shared.remove(ctx, s.request.key) // Forget came in between
		}
	}
}

// isSystem reports that the source's tokens are the client's own.
func (s *TokenSource) isSystem() bool { return s.session == nil && s.subject == nil }

// observe holds further requests off after a refusal, of this token or of all.
func (s *TokenSource) observe(entry *cacheEntry, started time.Time, err error) {
	now := time.Now()
	refusal, whole := isRefusal(err)
	switch {
	case err == nil:
		s.client.standing.accepted(started, now, s.isSystem())
		entry.refused.Observe(started, now, nil)
	case whole && s.isSystem(), isInvalidClient(err):
		s.client.standing.Observe(started, now, err)
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

// replaceable reports whether a token that an API refused should be replaced by
// another: somebody else has done so already, or it may be dropped now.
func (s *TokenSource) replaceable(ctx context.Context, host string, sent *Token) bool {
	if current := s.entry().token.Load(); current != sent && current.state(time.Now()) != tokenDead {
		return true
	}
	return s.drop(ctx, host, sent)
}

// drop forgets a token that an API refused, and reports whether it did: only
// the token that was sent, only if it is not brand new, and only so often. An
// API that refuses everything must not turn into a load on HelseID.
func (s *TokenSource) drop(ctx context.Context, host string, sent *Token) bool {
	if !s.entry().drop(sent, time.Now()) {
		return false
	}
	s.client.shared.remove(s.client.work.Context(), s.request.key)
	s.client.report.emit(ctx, Event{Kind: EventTokenDropped, API: true, Endpoint: host})
	return true
}
