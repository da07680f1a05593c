package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

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

// Logout ends the session: it is deleted, its tokens are forgotten and its
// refresh token is revoked at HelseID (RFC 7009). It returns the URL to send the
// browser to, where the session at HelseID ends too (OpenID Connect RP-Initiated
// Logout 1.0). The URL holds the ID token: do not log it.
//
// The session has ended in this process even if there is an error, and the URL
// is good unless it is empty. The error wraps ErrSessionStore if the session may
// live on in other processes, and ErrUnavailable if HelseID did not answer.
func (s *Session) Logout(ctx context.Context, request LogoutRequest) (string, error) {
	ended := s.client.endSession(ctx, s.key)
	target, err := s.client.logoutURL(ctx, request, s.record.IDToken)
	return target, errors.Join(ended, err)
}

// logoutURL is HelseID's end-session endpoint with its parameters.
func (c *Client) logoutURL(ctx context.Context, request LogoutRequest, idToken string) (string, error) {
	redirect := request.PostLogoutRedirectURI
	if registered := c.config.Registered.PostLogoutRedirectURIs; redirect == "" && len(registered) == 1 {
		redirect = registered[0]
	}
	parameters := url.Values{"id_token_hint": {idToken}, "client_id": {c.config.ClientID}}
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
	endpoint, err := c.endpoint(ctx, endSessionEndpoint)
	if err != nil {
		return "", fmt.Errorf("logout: %w", err)
	}
	target := *endpoint
	target.RawQuery = parameters.Encode()
	return target.String(), nil
}

// endSession ends a session everywhere. What is not there any more has ended.
func (c *Client) endSession(ctx context.Context, key string) error {
	if place := c.sessions.find(key); place != nil {
		place.ended.Store(true)
	}
	for _, tokenKey := range c.tokens.forgetOwner(key) {
		c.unshareToken(ctx, tokenKey)
	}
	row, err := c.store.Load(ctx, key)
	if err != nil {
		err = storeError(err)
	}
	if deleteErr := c.store.Delete(ctx, key); deleteErr != nil {
		err = errors.Join(err, storeError(deleteErr))
	}
	// A refresh that is under way finds the session gone, and revokes what it got.
	record, decodeErr := c.decodeSession(row.Data)
	if decodeErr != nil || record.RefreshToken == "" || record.Refreshing != 0 && !record.lost(time.Now()) {
		return err
	}
	return errors.Join(err, c.revoke(ctx, record.RefreshToken))
}

// revoke tells HelseID that a refresh token will not be used any more.
func (c *Client) revoke(ctx context.Context, refreshToken string) error {
	_, err := c.exchange(ctx, backChannelRequest{
		endpoint:   revocationEndpoint,
		parameters: url.Values{"token": {refreshToken}, "token_type_hint": {grantRefreshToken}},
	})
	if err != nil {
		return fmt.Errorf("revoke the refresh token: %w", err)
	}
	return nil
}

const quietTimeout = 5 * time.Second

// revokeQuietly revokes a token that nobody has use for, as well as it can.
func (c *Client) revokeQuietly(ctx context.Context, refreshToken string) {
	if refreshToken == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quietTimeout)
	defer cancel()
	if err := c.revoke(ctx, refreshToken); err != nil {
		c.config.Logger.WarnContext(ctx, "a refresh token of a session that has ended was not revoked")
	}
}
