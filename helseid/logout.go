package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/httpx"
)

// LogoutRequest says where HelseID sends the browser after a logout. The zero value
// means the registered post-logout redirect URI if there is exactly one; otherwise
// the browser stays at HelseID.
type LogoutRequest struct {
	// PostLogoutRedirectURI is where HelseID sends the browser, exactly as
	// registered.
	PostLogoutRedirectURI string

	// State is returned with the browser, if there is a redirect URI.
	State string
}

// Logout ends the session: it drops its tokens, deletes it, and has HelseID revoke
// its refresh token (RFC 7009). It returns the URL to send the browser to, which ends
// the session at HelseID too (OpenID Connect RP-Initiated Logout 1.0); otherwise the
// user stays logged in there. The URL holds the ID token: keep it out of logs.
//
// Logout completes even if the context is cancelled. The session has ended in this
// process even if there is an error, and the URL can be used unless it is empty. The
// error wraps [ErrStore] if the session may still be usable in other processes, and
// [ErrUnavailable] if HelseID did not answer (the revocation is retried later, also
// by other processes that share the session store). It wraps [ErrConfig] if the
// redirect URI cannot be used, and is a [*TokenError] if HelseID refused the
// revocation. In other processes, a Session that is kept without looking it up again
// can use its access tokens until they expire.
func (s *Session) Logout(ctx context.Context, request LogoutRequest) (string, error) {
	ctx, cancel := context.WithTimeout(because(context.WithoutCancel(ctx), EndedByUser), logoutTimeout)
	defer cancel()
	storing, stop := context.WithTimeout(ctx, settleTimeout) // shorter, to leave time for HelseID
	defer stop()
	ender := s.sessions.ender
	refreshToken, err := ender.end(storing, s.place().key)
	errs := []error{err}
	for _, indexKey := range ender.indexes.keysOf(s.identity()) {
		errs = append(errs, ender.indexes.remove(storing, indexRows(indexKey)[0], s.place().key))
	}
	if refreshToken == "" && err != nil && s.record().Refreshing == 0 {
		refreshToken = s.record().RefreshToken // the last one known here
	}
	errs = append(errs, ender.revoker.revokeEnded(ctx, s.record().keptUntil(), refreshToken))
	target, err := s.sessions.logoutURLs.of(ctx, request, s.record().IDToken)
	return target, errors.Join(append(errs, err)...)
}

// logoutTimeout limits a logout, since a user is waiting for it.
const logoutTimeout = 10 * time.Second

// LogoutURL returns where to send a browser whose session is no longer known here,
// but whose user may still be logged in at HelseID. HelseID asks the user to confirm,
// and does not send the browser back. The error is of the same kinds as that of
// [Client.StartLogin].
func (c *Client) LogoutURL(ctx context.Context) (string, error) {
	return c.sessions.logoutURLs.plain(ctx)
}

// logoutURLs are HelseID's end-session endpoint with parameters.
type logoutURLs struct {
	clientID   string
	registered []string // post-logout redirect URIs
	endpoint   func(ctx context.Context, name string) (*url.URL, error)
}

// plain is the URL for a user whose ID token is not known.
func (l *logoutURLs) plain(ctx context.Context) (string, error) {
	return l.with(ctx, url.Values{"client_id": {l.clientID}})
}

// of is the URL for the user of an ID token.
func (l *logoutURLs) of(ctx context.Context, request LogoutRequest, idToken string) (string, error) {
	redirect := request.PostLogoutRedirectURI
	if redirect == "" && len(l.registered) == 1 {
		redirect = l.registered[0]
	}
	parameters := url.Values{"id_token_hint": {idToken}, "client_id": {l.clientID}}
	if redirect != "" {
		u, err := url.Parse(redirect)
		if err == nil {
			err = httpx.CheckSecure(u)
		}
		if err != nil {
			return "", fmt.Errorf("%w: logout: field PostLogoutRedirectURI must be https, or http on a loopback host", ErrConfig)
		}
		parameters.Set("post_logout_redirect_uri", redirect)
		if request.State != "" {
			parameters.Set("state", request.State)
		}
	}
	return l.with(ctx, parameters)
}

func (l *logoutURLs) with(ctx context.Context, parameters url.Values) (string, error) {
	endpoint, err := l.endpoint(ctx, exchange.EndSessionEndpoint)
	if err != nil {
		return "", fmt.Errorf("logout: %w", err)
	}
	target := *endpoint
	target.RawQuery = parameters.Encode()
	return target.String(), nil
}
