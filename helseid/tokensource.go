package helseid

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/apicall"
)

// TokenSource provides tokens for one token request, which it has checked in advance.
// Asking it for a token that is in memory takes no lock and allocates nothing. It is
// safe for concurrent use.
type TokenSource struct {
	unprintable

	tokens   *tokenSupply
	calls    *apiCaller
	original TokenRequest
	subject  *subjectToken // what is exchanged for the token, or nil
	session  sessionTokens // whose token it is, or nil
	request  *preparedRequest
	place    atomic.Pointer[cacheEntry]
	err      error // of the token request
}

// sessionTokens is the session that a source's tokens belong to.
type sessionTokens interface {
	// use records a use of the session, or returns why it cannot be used.
	use(ctx context.Context, now time.Time) error

	// origin returns the origin of the session's tokens for a request.
	origin(request TokenRequest) (tokenOrigin, error)

	// withResource sets the login's API if it named exactly one and the request names
	// none.
	withResource(request TokenRequest) TokenRequest

	// refresh gets a token with the session's refresh token.
	refresh(ctx context.Context, request *preparedRequest) (*Token, error)
}

// TokenSource prepares a token source. A mistake in the request is reported by
// [TokenSource.Token], and wraps [ErrConfig].
func (c *Client) TokenSource(request TokenRequest) *TokenSource {
	return (&TokenSource{tokens: c.tokens, calls: c.calls}).with(request.clone())
}

// with returns a source for another request, with the same origin. The caller must
// not change the request any more.
func (s *TokenSource) with(request TokenRequest) *TokenSource {
	source := &TokenSource{tokens: s.tokens, calls: s.calls, subject: s.subject, session: s.session, original: request}
	origin, err := source.origin()
	if err == nil {
		source.request, err = s.tokens.rules.prepare(source.original, origin)
	}
	if source.err = err; err == nil {
		source.place.Store(s.tokens.memory.entry(source.request))
	}
	return source
}

// origin returns where the source's tokens come from.
func (s *TokenSource) origin() (tokenOrigin, error) {
	switch {
	case s.session != nil && s.subject != nil:
		return tokenOrigin{}, fmt.Errorf("%w: a session's tokens are not exchanged: use Client.HTTPClient with WithSubjectToken", ErrConfig)
	case s.session != nil:
		return s.session.origin(s.original)
	case s.subject != nil:
		return s.subject.origin()
	}
	return systemOrigin, nil
}

// entry returns the source's cache entry, or a new one if that has been evicted.
func (s *TokenSource) entry() *cacheEntry {
	entry := s.place.Load()
	if entry.evicted.Load() {
		entry = s.tokens.memory.entry(s.request)
		s.place.Store(entry)
	}
	return entry
}

// Token returns a token that is still valid for some time.
//
// A fresh token comes from memory. One near its end (the last 10 % of its life, 30
// seconds at most) comes from memory too, and is renewed in the background. Without a
// token in memory, all callers share one request to HelseID; each waits for it as
// long as its own context allows, and a caller that gives up does not affect the
// others.
//
// The organisation of [ForOrganization] and the request of [WithTokenRequest] replace
// those of the source.
//
// The error is a [*TokenError] if HelseID refuses. Otherwise it wraps
// [ErrUnavailable], [ErrKey], [ErrInvalidResponse], [ErrIssuerMismatch],
// [ErrScopeNotGranted], [ErrClosed], [ErrConfig] or the context's error. The error of
// a session's source can also wrap [ErrLoginRequired], [ErrNoRefreshToken],
// [ErrSeveralAudiences] and [ErrStore].
func (s *TokenSource) Token(ctx context.Context) (*Token, error) {
	return s.inContext(ctx).token(ctx)
}

// Authorize sets the headers Authorization and DPoP on a request that will be sent by
// other means than [Client.HTTPClient]. Call it for each attempt, just before
// sending, and pass the response to [TokenSource.ObserveResponse]. As for
// [TokenSource.Token], the organisation and the token request of ctx apply, not those
// of the request's own context.
//
// The error is one of [TokenSource.Token], or [ErrInsecureURL] or [ErrOriginRefused]
// for the request's URL.
func (s *TokenSource) Authorize(ctx context.Context, request *http.Request) error {
	held := &credentials{source: s.inContext(ctx)}
	if err := held.Obtain(ctx, request, true); err != nil {
		return err
	}
	return held.Authorize(ctx, request, s.calls.Nonces.Get(request.URL))
}

// ObserveResponse keeps the DPoP nonce of an API's response for the next
// [TokenSource.Authorize]. It reports whether the request should be authorized and
// sent once more. That is so if the response demands that nonce: status 401 or 400,
// with the error use_dpop_nonce in a challenge or in a small JSON body. The response's
// body can still be read in full.
//
// It is also so if the API refused the token (401 with invalid_token) and the token
// has been dropped for that, by the rules of [Client.HTTPClient]. For this, the
// response's request must carry the headers that Authorize has set, and its context
// must name the organisation and the token request that Authorize was given.
func (s *TokenSource) ObserveResponse(response *http.Response) (retry bool) {
	request := response.Request
	if request == nil {
		return false
	}
	nonce, bearer := s.calls.Nonces.Observe(request.URL, response.Header), isBearer(request)
	if nonce != "" && !bearer && apicall.DemandsNonce(response) {
		return true
	}
	return apicall.RefusesToken(response, !bearer) && s.inContext(request.Context()).dropSent(request)
}

// dropSent drops the token that a request carries, and reports whether it has been
// dropped, now or by another caller before. A token that is not this source's stays.
func (s *TokenSource) dropSent(request *http.Request) bool {
	authorization := request.Header.Get("Authorization")
	if s.err != nil || authorization == "" {
		return false
	}
	entry := s.entry()
	if sent := entry.token.Load(); sent.isIn(authorization) && s.drop(request.Context(), hostOf(request.URL), sent) {
		return true
	}
	return !entry.token.Load().isIn(authorization) && entry.lastDropped().isIn(authorization)
}

// Forget drops the source's token from memory and from [Config.TokenCache], so that
// the next call fetches a new one. Call it when a user changes to another patient:
// the token with the attest for the previous one must not be used any more. The
// context applies as for [TokenSource.Token]: give it the organisation that the token
// was fetched with ([ForOrganization]).
func (s *TokenSource) Forget(ctx context.Context) {
	if source := s.inContext(ctx); source.err == nil {
		s.tokens.forget(ctx, source.request.key)
	}
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
		s.tokens.report.emit(ctx, Event{Kind: EventCacheHit})
	case tokenStale:
		s.tokens.report.emit(ctx, Event{Kind: EventCacheStale})
		s.renew(ctx)
	case tokenDead:
		s.tokens.report.emit(ctx, Event{Kind: EventCacheMiss})
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

// drop forgets a token that an API refused, and reports whether it did. It only drops
// the token that was sent, and only if that is not new, and not too often: an API
// that refuses everything must not cause load on HelseID.
func (s *TokenSource) drop(ctx context.Context, host string, sent *Token) bool {
	if !s.entry().drop(sent, time.Now()) {
		return false
	}
	s.tokens.shared.remove(s.tokens.work.Context(), s.request.key)
	s.tokens.report.emit(ctx, Event{Kind: EventTokenDropped, API: true, Endpoint: host})
	return true
}
