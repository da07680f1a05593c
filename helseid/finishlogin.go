package helseid

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/redact"
)

// LoginCheck checks the person who has logged in before a session is made. An
// application with users of its own must make sure that both are the same person:
// return an error if they are not.
type LoginCheck func(ctx context.Context, user identity.User) error

// maxCode bounds an authorization code, in bytes.
const maxCode = 4096

// FinishLogin takes what HelseID sent back with the browser (the query of the
// redirect URI), exchanges the code, validates the ID token and starts a session.
//
// The answer must belong to the login of this state and come from this issuer;
// nothing is sent before both have been checked. The ID token must belong to this
// login and have the level and age that were asked for. Then the checks run, if any.
// HelseID may have granted fewer scopes than were asked for: see [Session.Scopes].
//
// Code exchanges have a budget of their own, like login starts (see
// [Client.StartLogin]).
//
// Once the code has been sent, FinishLogin completes even if the context is
// cancelled. A state can be finished once: a second FinishLogin with it sends nothing
// and returns [ErrLoginFinished]. If HelseID has issued nothing for the code, because
// it was down, the queue was full ([ErrBusy]) or a key did not sign, the state can be
// tried again.
//
// Every error except [ErrClosed] wraps [ErrLogin]: start a new login. It is an
// [*AuthorizationError] if HelseID refused the login, for instance because the user
// cancelled. It also wraps [ErrUnavailable], [ErrKey] or [ErrStore] if HelseID, a key
// or the store failed.
func (c *Client) FinishLogin(ctx context.Context, state *LoginState, answer url.Values, checks ...LoginCheck) (*Session, error) {
	return c.logins.finish(ctx, state, answer, checks)
}

func (l *logins) finish(ctx context.Context, state *LoginState, answer url.Values, checks []LoginCheck) (*Session, error) {
	if err := state.check(l.identity, time.Now()); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(checks, func(check LoginCheck) bool { return check == nil }) {
		return nil, fmt.Errorf("%w: %w: a LoginCheck is nil", ErrLogin, ErrConfig)
	}
	code, err := checkCallback(l.identity.issuer, state, answer)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	waiting, done, err := l.work.Foreground(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	detached, cancel := context.WithTimeout(lifecycle.Detach(waiting), loginTimeout)
	defer cancel()
	var tokens *userTokens
	err = l.inTurn(waiting, func(ask askUserTokens) (err error) {
		// From here on a cancelled context would waste the code.
		if err := l.claim(detached, state); err != nil {
			return err
		}
		tokens, err = l.redeem(detached, ask, state, code)
		if err != nil && !errors.Is(err, exchange.ErrOutcomeUnknown) {
			l.release(detached, state)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	admitted := false
	defer func() { // deferred because a check may panic
		if !admitted {
			l.revoker.revokeQuietly(detached, tokens.refreshToken)
		}
	}()
	session, err := l.admit(detached, ctx, state, tokens, checks)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	admitted = true
	return session, nil
}

// loginTimeout limits the work for one FinishLogin, and so how long Close waits for
// it.
const loginTimeout = tokenRequestTimeout

// claim reserves a login's state for one FinishLogin, across all processes. Without
// it, a page that is loaded twice would send the code twice, and HelseID would revoke
// the tokens that were issued first. The reservation is kept for longer than any
// clock accepts the state.
func (l *logins) claim(ctx context.Context, state *LoginState) error {
	claimed, err := l.store.Save(ctx, l.key(state), StoredRow{Data: []byte(`{"version":1}`), Expiry: state.Expiry().Add(clockTolerance)})
	switch {
	case err != nil:
		return storeError(err)
	case !claimed:
		return ErrLoginFinished
	}
	return nil
}

// release takes the claim back when HelseID has issued nothing for the code. So
// invented codes leave nothing in the store, and a login whose code was not sent can
// be finished later.
func (l *logins) release(ctx context.Context, state *LoginState) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_ = l.store.Delete(ctx, l.key(state)) // or it expires
}

func (l *logins) key(state *LoginState) string {
	return l.identity.storeKey("login", state.wire().State)
}

// admit makes a session of tokens if the ID token and the checks allow it. The checks
// run in the caller's context.
func (l *logins) admit(ctx, caller context.Context, state *LoginState, tokens *userTokens, checks []LoginCheck) (*Session, error) {
	if tokens.tokenErr != nil {
		return nil, tokens.tokenErr
	}
	if tokens.idToken == "" {
		return nil, fmt.Errorf("%w: the token answer has no id_token", ErrInvalidResponse)
	}
	identity, err := l.idTokens.Validate(ctx, tokens.idToken, state.expectation(tokens.token.Access.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("the ID token: %w", err)
	}
	for _, check := range checks {
		if err := check(caller, identity.User); err != nil {
			return nil, fmt.Errorf("the user is not accepted: %w", redact.Foreign(err))
		}
	}
	return l.newSession(ctx, state, tokens, identity)
}

// checkCallback returns the code of an answer that belongs to this login.
func checkCallback(issuer string, state *LoginState, answer url.Values) (string, error) {
	for _, name := range []string{"state", "iss", "code", "error", "error_description"} {
		if len(answer[name]) > 1 {
			return "", fmt.Errorf("%w: the answer has the parameter %s twice: start a new login", ErrLogin, name)
		}
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(state.wire().State)) != 1 {
		return "", fmt.Errorf("%w: the answer is to another login (state): start a new login", ErrLogin)
	}
	if answer.Get("iss") != issuer {
		return "", fmt.Errorf("%w: %w: the answer is not from the configured issuer (iss, RFC 9207)", ErrLogin, ErrIssuerMismatch)
	}
	if answer.Has("error") {
		return "", authorizationError(answer)
	}
	code := answer.Get("code")
	if code == "" || len(code) > maxCode {
		return "", fmt.Errorf("%w: the answer has no code: start a new login", ErrLogin)
	}
	return code, nil
}

func authorizationError(answer url.Values) error {
	code := answer.Get("error")
	if !exchange.ValidErrorCode(code) {
		code = "unknown_error"
	}
	description := redact.Text(answer.Get("error_description"))
	return &AuthorizationError{Code: code, Description: description, HID: exchange.HIDNumber(description)}
}

// redeem exchanges the code for tokens. If the login names several APIs, the first
// token is for the first of them only.
func (l *logins) redeem(ctx context.Context, ask askUserTokens, state *LoginState, code string) (*userTokens, error) {
	parameters := url.Values{
		"grant_type":    {grantCode},
		"code":          {code},
		"redirect_uri":  {state.wire().RedirectURI},
		"code_verifier": {state.wire().Verifier},
	}
	if len(state.wire().Resources) > 0 {
		parameters.Set("resource", state.wire().Resources[0])
	}
	details, err := state.codeDetails()
	if err != nil {
		return nil, err
	}
	ctx, end := l.report.beginTokenRequest(ctx, ctx, false)
	tokens, err := ask(ctx, tokenGrant{parameters: parameters, details: details, scopes: state.wire().Scopes, tokenType: tokenTypeDPoP, once: true})
	end(err)
	if err != nil {
		return nil, fmt.Errorf("redeem the code: %w", err)
	}
	return tokens, nil
}
