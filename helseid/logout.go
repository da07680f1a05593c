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

// LogoutRequest says where the browser shall be after a logout at HelseID. The
// zero value sends it to the only registered post-logout redirect URI, if there
// is just one, or leaves it at HelseID.
type LogoutRequest struct {
	// PostLogoutRedirectURI is where HelseID sends the browser, exactly as
	// registered.
	PostLogoutRedirectURI string

	// State is handed back with the browser, if there is a redirect URI.
	State string
}

// Logout ends the session: its tokens are forgotten, it is deleted, and its
// refresh token is revoked at HelseID (RFC 7009). It returns the URL to send the
// browser to, where the session at HelseID ends too (OpenID Connect RP-Initiated
// Logout 1.0); without it the user stays logged in there. The URL holds the ID
// token: keep it out of logs.
//
// It goes on when the context is cancelled. The session has ended in this process
// even if there is an error, and the URL is good unless it is empty. The error
// wraps ErrStore if the session may live on in other processes, ErrUnavailable
// if HelseID did not answer (it is asked again later, also by other processes if they
// share the session store), and ErrConfig if the redirect URI cannot be used; it is a
// *TokenError if HelseID refused the revocation. Elsewhere, a Session that is held
// without being looked up again has its access tokens until they expire.
func (s *Session) Logout(ctx context.Context, request LogoutRequest) (string, error) {
	ctx, cancel := context.WithTimeout(because(context.WithoutCancel(ctx), EndedByUser), logoutTimeout)
	defer cancel()
	storing, stop := context.WithTimeout(ctx, settleTimeout) // leaves time for HelseID
	defer stop()
	ender := s.sessions.ender
	refreshToken, err := ender.end(storing, s.place().key)
	errs := []error{err}
	for _, indexKey := range ender.indexes.keysOf(s.identity()) {
		errs = append(errs, ender.indexes.remove(storing, indexRows(indexKey)[0], s.place().key))
	}
	if refreshToken == "" && err != nil && s.record().Refreshing == 0 {
		refreshToken = s.record().RefreshToken // as far as is known
	}
	errs = append(errs, ender.revoker.revokeEnded(ctx, s.record().keptUntil(), refreshToken))
	target, err := s.sessions.logoutURLs.of(ctx, request, s.record().IDToken)
	return target, errors.Join(append(errs, err)...)
}

// logoutTimeout bounds a logout: somebody waits at a browser.
const logoutTimeout = 10 * time.Second

// LogoutURL is where to send a browser whose session is not known here any more,
// but whose user may still be logged in at HelseID. HelseID asks the user, and does
// not send the browser back. The error is of the same kinds as that of StartLogin.
func (c *Client) LogoutURL(ctx context.Context) (string, error) {
	return c.sessions.logoutURLs.plain(ctx)
}

// logoutURLs are HelseID's end-session endpoint with parameters.
type logoutURLs struct {
	clientID   string
	registered []string // post-logout redirect URIs
	endpoint   func(ctx context.Context, name string) (*url.URL, error)
}

// plain is the URL for a user of whom nothing is known.
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
