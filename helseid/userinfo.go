package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/wwwauth"
)

// UserInfo asks HelseID's UserInfo endpoint about the user. Beyond what
// [Session.User] contains, it returns the details of the register of health personnel
// ([ScopeHPRNumber]). It sends an access token that was issued with [ScopeOpenID],
// with a proof, or without one if [Config.BearerUserInfo] is set.
//
// The error is of the same kinds as that of [TokenSource.Token].
func (s *Session) UserInfo(ctx context.Context) (*identity.UserInfo, error) {
	return s.sessions.userInfo.read(ctx, s.User().Subject, s.userInfoSource())
}

// userInfoSource returns a source of tokens that were issued with [ScopeOpenID].
func (s *Session) userInfoSource() *TokenSource {
	return (&TokenSource{tokens: s.sessions.tokens, calls: s.sessions.calls, session: issuerTokens{s}}).with(TokenRequest{Resource: s.firstResource()})
}

// issuerTokens are the tokens of a session that are only sent to HelseID.
type issuerTokens struct{ *Session }

func (t issuerTokens) origin(request TokenRequest) (tokenOrigin, error) {
	origin, err := t.Session.origin(request)
	origin.forIssuer = true
	return origin, err
}

// userInfoReader asks the UserInfo endpoint.
type userInfoReader struct {
	requests tokenRequester
	timeout  time.Duration
	bearer   bool // Config.BearerUserInfo
}

// read asks about a user with one of the source's tokens.
func (u *userInfoReader) read(ctx context.Context, subject string, source *TokenSource) (*identity.UserInfo, error) {
	endpoint, err := u.requests.Endpoint(ctx, exchange.UserInfoEndpoint)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("UserInfo: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	httpx.SetUserAgent(request.Header)
	response, err := u.send(ctx, request, source) //nolint:bodyclose // ReadBody does
	if err != nil {
		return nil, fmt.Errorf("UserInfo: %w", err)
	}
	body, err := httpx.ReadBody(response)
	switch {
	case errors.Is(err, httpx.ErrTooLarge):
		return nil, fmt.Errorf("UserInfo: %w: %w", ErrInvalidResponse, err)
	case err != nil:
		return nil, fmt.Errorf("UserInfo: %w: the answer broke off: %w", ErrUnavailable, err)
	}
	result := exchange.Answer{Endpoint: exchange.UserInfoEndpoint, Status: response.StatusCode, Header: response.Header, Body: body}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("UserInfo: %w", u.requests.challengeError(result))
	}
	if _, err := result.Object("sub"); err != nil {
		return nil, err
	}
	info, err := claims.ParseUserInfo(body)
	if err != nil {
		return nil, result.Unusable(err)
	}
	if info.User.Subject != subject {
		return nil, result.Unusable(errors.New("it is about another person (sub)"))
	}
	return info, nil
}

func (u *userInfoReader) send(ctx context.Context, request *http.Request, source *TokenSource) (*http.Response, error) {
	token, err := source.token(ctx)
	if err != nil {
		return nil, err
	}
	client := u.requests.HTTP
	if u.bearer {
		request.Header.Set("Authorization", tokenTypeBearer+" "+token.Access.Reveal())
	} else {
		client = httpx.NoRedirect(&http.Client{Transport: &transport{source: source, base: client.Transport, fixed: true}})
	}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, ErrNoToken):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return response, nil
}

// challengeError reads a refusal from the challenge in the header, which is where an
// endpoint that accepts access tokens puts it (RFC 6750 section 3).
func (e tokenRequester) challengeError(a exchange.Answer) error {
	for _, challenge := range wwwauth.Parse(a.Header.Values("WWW-Authenticate")) {
		if code := challenge.Parameters["error"]; exchange.ValidErrorCode(code) {
			return &TokenError{Code: code, Description: redact.Text(challenge.Parameters["error_description"]), StatusCode: a.Status}
		}
	}
	return e.Failure(a)
}
