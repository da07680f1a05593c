package helseid

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/apicall"
)

// TokenSource gives tokens for one token request. It is prepared once: asking
// it for a token that is in memory takes no lock and no allocation. It is safe
// for concurrent use.
type TokenSource struct {
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
	// use says that the session is being used, if it may be.
	use(ctx context.Context, now time.Time) error

	// origin says which of the session's tokens fit a request.
	origin(request TokenRequest) (tokenOrigin, error)

	// withResource names the login's API, if there is one alone.
	withResource(request TokenRequest) TokenRequest

	// refresh gets a token with the session's refresh token.
	refresh(ctx context.Context, request *preparedRequest) (*Token, error)
}

// Format prints what it is, for every verb.
func (s *TokenSource) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "token source") }

// TokenSource prepares a token source. A mistake in the request is reported by
// [TokenSource.Token], and wraps [ErrConfig].
func (c *Client) TokenSource(request TokenRequest) *TokenSource {
	return (&TokenSource{tokens: c.tokens, calls: c.calls}).with(request.clone())
}

// with is a source for another request, from the same origin. The caller must not change
// the request any more.
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

// origin says where the source's tokens come from.
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

// entry is the place of the source's token, which moves when the cache has
// forgotten the old one.
func (s *TokenSource) entry() *cacheEntry {
	entry := s.place.Load()
	if entry.evicted.Load() {
		entry = s.tokens.memory.entry(s.request)
		s.place.Store(entry)
	}
	return entry
}

// Token returns a token that is valid for some time yet.
//
// A fresh token comes from memory. One near its end (the last 10 % of its life,
// 30 seconds at most) comes from memory too, and is renewed in the background.
// Without one, all callers share a single request to HelseID; each waits for it
// as long as its own context allows, and a caller who gives up does not disturb
// the others.
//
// The organisation of [ForOrganization] and the request of [WithTokenRequest] replace
// those of the source.
//
// The error is a [*TokenError] if HelseID refuses, and wraps [ErrUnavailable], [ErrKey],
// [ErrInvalidResponse], [ErrIssuerMismatch], [ErrScopeNotGranted], [ErrClosed],
// [ErrConfig] or the context's error otherwise. That of a session's source can also wrap
// [ErrLoginRequired], [ErrNoRefreshToken], [ErrSeveralAudiences] and [ErrStore].
func (s *TokenSource) Token(ctx context.Context) (*Token, error) {
	return s.inContext(ctx).token(ctx)
}

// Authorize sets the headers Authorization and DPoP on a request that will be sent
// with something else than [Client.HTTPClient]. Call it for each attempt, just before
// sending, and hand the response to [TokenSource.ObserveResponse]. As with
// [TokenSource.Token], the organisation and the token request of ctx count, and not those
// of the request's own context.
//
// The error is one of Token's, or [ErrInsecureURL] or [ErrOriginRefused] for the
// request's URL.
func (s *TokenSource) Authorize(ctx context.Context, request *http.Request) error {
	held := &credentials{source: s.inContext(ctx)}
	if err := held.Obtain(ctx, request, true); err != nil {
		return err
	}
	return held.Authorize(ctx, request, s.calls.Nonces.Get(request.URL))
}

// ObserveResponse keeps the DPoP nonce of an API's response for the next
// [TokenSource.Authorize]. It reports whether the response is a demand for that nonce, so that the request should be
// authorized and sent once more: status 401 or 400, with the error use_dpop_nonce in a
// challenge or in a small JSON body. The response's body can be read as before.
func (s *TokenSource) ObserveResponse(response *http.Response) (retry bool) {
	if response.Request == nil {
		return false
	}
	nonce := s.calls.Nonces.Observe(response.Request.URL, response.Header)
	if nonce == "" || isBearer(response.Request) {
		return false
	}
	return apicall.DemandsNonce(response)
}

// Forget drops the source's token from memory and from Config.TokenCache, so that the
// next call fetches a new one. A user who changes to another patient must not use a token
// with the attest for the one before. The context counts as it does for
// [TokenSource.Token]: give it the organisation that the token was fetched with
// ([ForOrganization]).
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
		s.renew()
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

// drop forgets a token that an API refused, and reports whether it did: only
// the token that was sent, only if it is not brand new, and only so often. An
// API that refuses everything must not turn into a load on HelseID.
func (s *TokenSource) drop(ctx context.Context, host string, sent *Token) bool {
	if !s.entry().drop(sent, time.Now()) {
		return false
	}
	s.tokens.shared.remove(s.tokens.work.Context(), s.request.key)
	s.tokens.report.emit(ctx, Event{Kind: EventTokenDropped, API: true, Endpoint: host})
	return true
}
