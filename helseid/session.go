package helseid

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrLoginRequired is wrapped by every error that only a new login can cure: a
// session that has ended or is not known, or a refresh token that has expired or was
// refused or lost.
var ErrLoginRequired = words("the user must log in again")

var errSessionEnded = fmt.Errorf("%w: the session has ended or is not known", ErrLoginRequired)

// ErrNoRefreshToken means that a token for another API, organisation or set of scopes
// than the login's was asked for, and that the session has no refresh token to get it
// with. A new login helps only if it asks for [ScopeOfflineAccess] and the client's
// registration permits that.
var ErrNoRefreshToken = words("the login did not ask for ScopeOfflineAccess, or HelseID did not grant it: without a refresh token " +
	"there is no token for another API, organisation or set of scopes than the login's")

// ErrSeveralAudiences means that a token for a user is for several APIs. Each of them
// could use it at the others, so it has been discarded.
var ErrSeveralAudiences = words("the token is for several APIs and has been discarded: name one in TokenRequest.Resource")

// Session is a user who has logged in, with the tokens for the APIs. Get it from
// [Client.FinishLogin], and look it up for each later request with [Sessions.Get]: a
// Session that is kept learns only when its tokens must be renewed that it has been
// ended by another process. It is safe for concurrent use, and so are several
// Sessions with the same ID, in one process or in many.
type Session struct {
	unprintable

	sessions *Sessions
	id       identity.Secret
	hidden   redact.Hidden[*heldSession]
}

// heldSession is a session that this process has started or looked up.
type heldSession struct {
	place    *sessionPlace
	identity identity.IDToken
	record   sessionRecord // as it was stored then
}

func (s *Session) held() *heldSession { return s.hidden.Reveal() }

func (s *Session) place() *sessionPlace { return s.held().place }

func (s *Session) identity() *identity.IDToken { return &s.held().identity }

func (s *Session) record() *sessionRecord { return &s.held().record }

// ID returns what the session is found by. Put its value into a cookie that is
// Secure, HttpOnly and SameSite=Lax, with a name that starts with __Host-. Whoever
// has the ID can act as the user, so it prints "[redacted]". It is new for each
// login; end the session that the browser had before, if any.
func (s *Session) ID() identity.Secret { return s.id }

// User returns the person who has logged in, as stated by the ID token. Fields whose
// scope was not granted are empty.
func (s *Session) User() identity.User { return s.identity().User }

// Identity returns what the login's ID token says.
func (s *Session) Identity() identity.IDToken { return *s.identity() }

// Scopes returns the scopes that were granted at the login, which may be fewer than
// were asked for.
func (s *Session) Scopes() []string { return slices.Clone(s.record().Scopes) }

// Resources returns the APIs that the login named.
func (s *Session) Resources() []string { return slices.Clone(s.record().Resources) }

// Application returns the [LoginRequest.Application] of the login, or "" if it had
// none. [Sessions.Get] finds the sessions of all the client's applications: if there
// are several, each must refuse those of the others, as package weblogin does. A
// logout at HelseID ends the sessions of all of them.
func (s *Session) Application() string { return s.record().Application }

// Expiry returns when the session ends unless it is used before: the last
// rt_expires_in that HelseID has stated, or twelve hours after the login if it has
// stated none, but no later than the attest, [LoginRequest.MaxSessionAge] and
// [LoginRequest.IdleTimeout] allow.
func (s *Session) Expiry() time.Time {
	record := *s.record()
	record.usedAt(s.place().used.Load())
	return record.expiry()
}

// HTTPClient returns a client whose requests carry the user's token for the request
// and a new proof each. It works like [Client.HTTPClient]: the context may choose the
// organisation ([ForOrganization]) or replace the whole request ([WithTokenRequest]),
// without a new login. Making a client is cheap; nothing is fetched before the first
// call.
//
// Name the API in [TokenRequest.Resource] if the login named several. When the tokens
// cannot be renewed any more, the error wraps [ErrLoginRequired].
func (s *Session) HTTPClient(request TokenRequest) *http.Client {
	return s.sessions.calls.httpClient(s.Transport(request))
}

// Transport returns the [http.RoundTripper] of [Session.HTTPClient].
func (s *Session) Transport(request TokenRequest) http.RoundTripper {
	return s.sessions.calls.transport(s.TokenSource(request))
}

// TokenSource prepares a source of the user's tokens for the request. If the login
// named exactly one API, that is the request's Resource unless it names another. A
// mistake in the request is reported by [TokenSource.Token], and wraps [ErrConfig].
func (s *Session) TokenSource(request TokenRequest) *TokenSource {
	return (&TokenSource{tokens: s.sessions.tokens, calls: s.sessions.calls, session: s}).with(s.withResource(request.clone()))
}

// withResource sets the login's API if it named exactly one and the request names
// none.
func (s *Session) withResource(request TokenRequest) TokenRequest {
	if resources := s.record().Resources; request.Resource == "" && len(resources) == 1 {
		request.Resource = resources[0]
	}
	return request
}

// Token returns one of the user's tokens for the request, from memory or from
// HelseID. The errors are those of [TokenSource.Token].
func (s *Session) Token(ctx context.Context, request TokenRequest) (*Token, error) {
	return s.TokenSource(request).Token(ctx)
}

// use records a use of the session, or returns why it cannot be used.
func (s *Session) use(ctx context.Context, now time.Time) error {
	return s.sessions.uses.use(ctx, s.held(), now)
}

// refresh gets a token for a request with the session's refresh token.
func (s *Session) refresh(ctx context.Context, request *preparedRequest) (*Token, error) {
	return s.sessions.refresher.refresh(ctx, s.held(), request)
}

// origin returns the origin of the session's tokens for a request.
func (s *Session) origin(request TokenRequest) (tokenOrigin, error) {
	if s.record().Details && (!request.Organization.IsZero() || request.JournalID != "" || request.Attest != nil || len(request.Details) > 0) {
		return tokenOrigin{}, fmt.Errorf("%w: token request: the login has named details for the whole session, and HelseID takes none beside them: log in without", ErrConfig)
	}
	return tokenOrigin{grant: grantRefreshToken, owner: s.place().key, organized: s.record().Organized}, nil
}

// undatedLifetime is how long a login's access token is used if HelseID does not
// state its lifetime.
const undatedLifetime = 30 * time.Second

// keepFirst puts the login's access token into memory for the requests that it fits:
// those for its API, with the details of the code exchange, and with no scopes named
// or all of them. A token for several APIs is discarded.
func (s *Session) keepFirst(ctx context.Context, token *Token, state *LoginState) {
	if token.Expiry.IsZero() {
		token.setLifetime(time.Now(), undatedLifetime)
	}
	sources := []*TokenSource{s.userInfoSource()}
	if details, err := state.codeDetails(); err == nil && token.audiences <= 1 {
		resources := []string{s.firstResource()}
		if resources[0] == "" && token.audience != "" {
			resources = append(resources, token.audience)
		}
		for _, resource := range resources {
			request := TokenRequest{Resource: resource, Details: details}
			sources = append(sources, s.TokenSource(request))
			request.Scopes = slices.DeleteFunc(slices.Clone(token.Scopes), isIdentityScope)
			sources = append(sources, s.TokenSource(request))
		}
	}
	for _, source := range sources {
		if source.err != nil {
			continue
		}
		kept := *token // each cache entry limits and checks its own copy
		s.record().limit(&kept)
		entry := source.entry()
		source.keep(ctx, entry, &kept, entry.forgets())
	}
}

// firstResource returns the API that the login's access token is for, or "".
func (s *Session) firstResource() string { return s.record().firstResource() }

func isIdentityScope(scope string) bool {
	switch scope {
	case ScopeOpenID, ScopeProfile, ScopeOfflineAccess:
		return true
	}
	const identity, register = "helseid://scopes/identity/", "helseid://scopes/hpr/"
	return len(scope) > len(identity) && scope[:len(identity)] == identity || len(scope) > len(register) && scope[:len(register)] == register
}
