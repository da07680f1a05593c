package helseid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/endcause"
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
	refreshToken, err := s.client.endSession(storing, s.key)
	errs := []error{err}
	for _, indexKey := range s.client.indexKeys(s.identity()) {
		errs = append(errs, s.client.unindexSession(storing, indexRows(indexKey)[0], s.key))
	}
	if refreshToken == "" && err != nil && s.record().Refreshing == 0 {
		refreshToken = s.record().RefreshToken // as far as is known
	}
	errs = append(errs, s.client.revokeEnded(ctx, s.record().keptUntil(), refreshToken))
	target, err := s.client.logoutURL(ctx, request, s.record().IDToken)
	return target, errors.Join(append(errs, err)...)
}

// EndSession ends the session with this id, for an application that has the id
// and cannot look the session up, or need not wait for HelseID: the refresh token
// is revoked in the background. An id that leads to no session has ended.
//
// The error wraps ErrStore if the store does not answer. This process goes
// on trying for a day then.
func (c *Client) EndSession(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	return c.endByKey(ctx, c.storeKey("session", id))
}

// endByKey ends a session, and revokes its refresh token in the background.
func (c *Client) endByKey(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	refreshToken, err := c.endSession(ctx, key)
	if refreshToken != "" && c.work.Begin() == nil {
		go func() {
			defer c.work.Done()
			c.revokeEndedQuietly(ctx, refreshToken)
		}()
	}
	return err
}

// logoutTimeout bounds a logout: somebody waits at a browser.
const logoutTimeout = 10 * time.Second

// LogoutURL is where to send a browser whose session is not known here any more,
// but whose user may still be logged in at HelseID. HelseID asks the user, and does
// not send the browser back. The error is of the same kinds as that of StartLogin.
func (c *Client) LogoutURL(ctx context.Context) (string, error) {
	endpoint, err := c.exchange.Endpoint(ctx, exchange.EndSessionEndpoint)
	if err != nil {
		return "", fmt.Errorf("logout: %w", err)
	}
	target := *endpoint
	target.RawQuery = url.Values{"client_id": {c.config.ClientID}}.Encode()
	return target.String(), nil
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
	endpoint, err := c.exchange.Endpoint(ctx, exchange.EndSessionEndpoint)
	if err != nil {
		return "", fmt.Errorf("logout: %w", err)
	}
	target := *endpoint
	target.RawQuery = parameters.Encode()
	return target.String(), nil
}

// endSession ends a session everywhere, and returns its refresh token, if it has
// one that is to be revoked, also with an error. What is not there any more has
// ended. If the store does not take it, this process goes on trying.
func (c *Client) endSession(ctx context.Context, key string) (refreshToken string, err error) {
	if c.work.Begin() != nil {
		return c.tryEndSession(ctx, key)
	}
	defer c.work.Done() // a Close that comes now waits
	refreshToken, err = c.tryEndSession(ctx, key)
	if stranger := c.sessions.find(key) == nil; err != nil && (!stranger || c.strangers.Load() < maxStrangers) {
		if _, going := c.entombing.LoadOrStore(key, nil); !going {
			_ = c.work.Begin()
			if stranger {
				c.strangers.Add(1)
			}
			go c.entombLater(key, refreshToken, endcause.Of(ctx), stranger)
		}
	}
	return refreshToken, err
}

const (
	// maxStrangers bounds how many sessions that this process does not know it tries to
	// end: anybody can make up an id. What HelseID and the application ask for does not
	// count.
	maxStrangers = 1000

	// maxRevoking bounds how many tokens of logins and sessions that have ended wait in
	// this process's memory for the store.
	maxRevoking = 10_000
)

func (c *Client) tryEndSession(ctx context.Context, key string) (refreshToken string, err error) {
	var unsettled *refreshOutcome
	place := c.sessions.find(key)
	if place != nil {
		place.ended.Store(true)
		if unlock, ok := place.tryLock(); ok {
			defer unlock()
			unsettled = place.unsettled
		}
	}
	for _, tokenKey := range c.tokens.forgetOwner(key) {
		c.shared.remove(ctx, tokenKey)
	}
	refreshToken, settled, err := c.entomb(ctx, key, unsettled)
	if err == nil && place != nil { // nobody finds the session any more
		place.expiry.Store(time.Now().Add(placeMargin).Unix())
	}
	if err == nil && settled {
		place.unsettled = nil
	}
	return refreshToken, err
}

// revokeLater revokes a refresh token that is being used. Whoever uses it revokes
// what comes of that, unless that process has ended: then this token is the newest.
func (c *Client) revokeLater(refreshToken string) {
	if c.work.Begin() != nil {
		return
	}
	go func() {
		defer c.work.Done()
		clock.Sleep(c.work.Context(), refreshTimeout)
		c.revokeQuietly(lifecycle.Unattended(), refreshToken)
	}()
}

// entomb writes over a session that it has ended, which a refresh that is under
// way cannot miss, and then deletes it. It returns the refresh token that is to be
// revoked now, if there is one, also with an error; before that it puts it into the
// outbox. An outcome of this process's that the store has not taken yet, if it is the
// newest, holds the token, and is settled with that.
func (c *Client) entomb(ctx context.Context, key string, unsettled *refreshOutcome) (refreshToken string, settled bool, err error) {
	posted := ""
	for {
		row, err := c.store.Load(ctx, key)
		unreadable := errors.Is(err, ErrUnreadableRow)
		if err != nil && !unreadable {
			return refreshToken, settled, storeError(err)
		}
		// What this process cannot understand, such as a record of another version of
		// this library's, may be a session elsewhere: the key is this client's.
		record, _ := c.decodeAnyKey(row.Data)
		settled = unsettled != nil && (row.Version == 0 || unsettled.isOver(row.Version, &record))
		used := record.RefreshToken != "" && record.unused(time.Now()) == ""
		refreshToken = record.unused(time.Now())
		if settled {
			record, refreshToken, used = unsettled.record, unsettled.record.RefreshToken, false
		}
		if row.Version == 0 || record.Ended {
			return refreshToken, settled, nil
		}
		if record.RefreshToken != "" && record.RefreshToken != posted {
			if posted != "" {
				c.unpost(ctx, outboxEntry{RefreshToken: posted})
			}
			posted = c.postToken(ctx, &record, used)
		}
		tomb := sessionRecord{Version: sessionVersion, Issuer: c.config.Issuer, ClientID: c.config.ClientID, Ended: true}
		data, err := tomb.encode()
		if err != nil {
			return refreshToken, settled, err
		}
		saved, err := c.store.Save(ctx, key, StoredRow{Version: row.Version, Data: data, Expiry: time.Now().Add(2 * refreshTimeout)})
		if saved && err == nil {
			c.tellEnd(ctx, &record)
			_ = c.store.Delete(ctx, key) // or it expires
		}
		if (saved || err != nil) && used {
			if posted == "" {
				c.revokeLater(record.RefreshToken)
			} else {
				c.deliverLater()
			}
		}
		switch {
		case err != nil:
			return refreshToken, settled, storeError(err)
		case saved:
			return refreshToken, settled, nil
		case !clock.Sleep(ctx, firstIdleWait):
			return refreshToken, settled, storeError(ctx.Err())
		}
	}
}

// postToken puts the refresh token of a session that is about to end into the outbox,
// and returns it if the store has taken it. This process revokes it itself, at once, or
// when whoever uses it must have done so.
func (c *Client) postToken(ctx context.Context, record *sessionRecord, used bool) string {
	next := time.Now().Add(outboxLease)
	if used {
		next = time.Now().Add(refreshTimeout)
	}
	if c.post(ctx, revocation(record.RefreshToken, next, record.keptUntil())) != nil {
		return ""
	}
	return record.RefreshToken
}

// entombLater ends a session that the store has not let end, and revokes its
// refresh token unless that has been done.
func (c *Client) entombLater(key, revoked, cause string, stranger bool) {
	defer c.work.Done()
	if stranger {
		defer c.strangers.Add(-1)
	}
	defer c.entombing.Delete(key)
	c.keepTrying(func(ctx context.Context) bool {
		refreshToken, _, err := c.entomb(endcause.With(ctx, cause), key, nil)
		switch {
		case err != nil:
			return false
		case refreshToken != revoked:
			c.revokeEndedQuietly(ctx, refreshToken)
		case revoked != "":
			c.unpost(ctx, outboxEntry{RefreshToken: revoked})
		}
		return true
	})
}

const (
	maxTrying    = 24 * time.Hour
	firstTryWait = 100 * time.Millisecond
	maxTryWait   = 30 * time.Second
	tryTimeout   = 2 * time.Second
)

// keepTrying tries in growing intervals until it is done, for a day, and once more
// when the client is closed.
func (c *Client) keepTrying(try func(context.Context) (done bool)) {
	until := time.Now().Add(maxTrying)
	for wait := firstTryWait; time.Now().Before(until); wait = min(2*wait, maxTryWait) {
		closing := !clock.Sleep(c.work.Context(), wait/2+rand.N(wait/2))
		ctx, cancel := context.WithTimeout(lifecycle.Unattended(), tryTimeout)
		done := try(ctx)
		cancel()
		if done || closing {
			return
		}
	}
}

// revoke tells HelseID that a refresh token will not be used any more.
func (c *Client) revoke(ctx context.Context, refreshToken string) error {
	err := c.exchange.InTurn(ctx, c.exchange.Budgets.Revocations, func(turn *bulkhead.Turn) error {
		_, err := c.exchange.Do(ctx, turn, exchange.Request{
			Endpoint:   exchange.RevocationEndpoint,
			Parameters: url.Values{"token": {refreshToken}, "token_type_hint": {grantRefreshToken}},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke the refresh token: %w", err)
	}
	return nil
}

// revokeEnded revokes the refresh token of a session that has ended, which lies in the
// outbox if the store has taken it. If HelseID does not do it now it is asked later.
func (c *Client) revokeEnded(ctx context.Context, until time.Time, refreshToken string) error {
	if refreshToken == "" {
		return nil
	}
	err := c.revoke(ctx, refreshToken)
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	if err == nil {
		c.unpost(storing, outboxEntry{RefreshToken: refreshToken})
		return nil
	}
	c.keepRevocation(storing, refreshToken, until)
	return err
}

// keepRevocation sees to it that a token is revoked later.
func (c *Client) keepRevocation(ctx context.Context, refreshToken string, until time.Time) {
	entry := revocation(refreshToken, time.Now().Add(outboxWait(1)), until)
	if c.post(ctx, entry) == nil {
		c.deliverLater()
		return
	}
	if c.revoking.Load() >= maxRevoking || c.work.Begin() != nil {
		return
	}
	c.revoking.Add(1)
	go func() {
		defer c.work.Done()
		defer c.revoking.Add(-1)
		c.keepTrying(func(ctx context.Context) bool {
			if c.post(ctx, entry) != nil {
				return c.revoke(ctx, refreshToken) == nil
			}
			c.deliverLater()
			return true
		})
	}()
}

const quietTimeout = 5 * time.Second

// revokeEndedQuietly is revokeEnded for several tokens, of which empty ones are left
// out, in a short time.
func (c *Client) revokeEndedQuietly(ctx context.Context, refreshTokens ...string) {
	c.quietly(ctx, refreshTokens, func(ctx context.Context, refreshToken string) error {
		return c.revokeEnded(ctx, time.Now().Add(sessionLifetime), refreshToken)
	})
}

// revokeQuietly revokes tokens that nobody has use for and that are not in the
// outbox. Empty ones are left out.
func (c *Client) revokeQuietly(ctx context.Context, refreshTokens ...string) {
	c.quietly(ctx, refreshTokens, func(ctx context.Context, refreshToken string) error {
		err := c.revoke(ctx, refreshToken)
		if err != nil && !isHopeless(err) {
			storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
			defer cancel()
			c.keepRevocation(storing, refreshToken, time.Now().Add(sessionLifetime))
		}
		return err
	})
}

func (c *Client) quietly(ctx context.Context, refreshTokens []string, revoke func(context.Context, string) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quietTimeout)
	defer cancel()
	failed := 0
	for _, refreshToken := range refreshTokens {
		if refreshToken != "" && revoke(ctx, refreshToken) != nil {
			failed++
		}
	}
	if failed > 0 {
		c.report.logger.WarnContext(ctx, "refresh tokens of sessions that have ended were not revoked yet", slog.Int("tokens", failed))
	}
}
