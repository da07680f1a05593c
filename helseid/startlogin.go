package helseid

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/jose"
)

// Login is a login that has been started.
type Login struct {
	// URL is where to send the user's browser. It holds the client id and a
	// reference to the request, nothing else.
	URL string

	// State must be kept for FinishLogin.
	State *LoginState
}

// maxRequestURI bounds the reference to a pushed request, in bytes.
const maxRequestURI = 2048

// StartLogin pushes a login request to HelseID (RFC 9126) with PKCE, a state and
// a nonce of its own, and tells where to send the browser. HelseID sends it back
// to the redirect URI: see FinishLogin.
//
// Anybody can open a login page, so login starts have a budget of their own, and
// what HelseID makes of them does not touch sessions and systems: 16 are on their
// way at once and 64 wait, each for five seconds at most to be let through and as
// long for a slot. What comes beyond that fails at once (ErrBusy).
//
// The error is a *TokenError if HelseID refuses, and wraps ErrConfig,
// ErrUnavailable, ErrKey, ErrInvalidResponse, ErrIssuerMismatch or ErrClosed otherwise.
func (c *Client) StartLogin(ctx context.Context, request LoginRequest) (*Login, error) {
	prepared, err := c.prepareLogin(request)
	if err != nil {
		return nil, err
	}
	ctx, done, err := c.work.Foreground(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	state := c.newLoginState(request, prepared)
	parameters := maps.Clone(prepared.parameters)
	parameters.Set("state", state.wire().State)
	parameters.Set("nonce", state.wire().Nonce)
	parameters.Set("code_challenge", oauth2.S256ChallengeFromVerifier(state.wire().Verifier))
	authorize, result, err := c.push(ctx, exchange.Request{
		Endpoint:   exchange.PAREndpoint,
		Parameters: parameters,
		Session:    prepared.details,
		Prove:      request.BindCode,
	})
	if err != nil {
		return nil, fmt.Errorf("start a login: %w", err)
	}
	requestURI, err := requestURIOf(result)
	if err != nil {
		return nil, fmt.Errorf("start a login: %w", err)
	}
	target := *authorize
	target.RawQuery = url.Values{"client_id": {c.config.ClientID}, "request_uri": {requestURI}}.Encode()
	return &Login{URL: target.String(), State: state}, nil
}

// push sends a request that anybody who opens a login page can cause: in turn, and
// not at all while HelseID says that it does not know the client. It returns where
// the browser goes, too.
func (c *Client) push(ctx context.Context, request exchange.Request) (authorize *url.URL, result exchange.Answer, err error) {
	start := time.Now()
	if err := c.standing.refusal(start, false); err != nil {
		return nil, exchange.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenRequestTimeout)
	defer cancel()
	err = c.exchange.InTurn(ctx, c.exchange.Budgets.Logins, func(turn *bulkhead.Turn) error {
		if authorize, err = c.exchange.Endpoint(ctx, exchange.AuthorizeEndpoint); err != nil {
			return err
		}
		result, err = c.exchange.Do(ctx, turn, request)
		return err
	})
	switch {
	case err == nil:
		c.standing.accepted(start, time.Now(), false)
	case isInvalidClient(err):
		c.standing.Observe(start, time.Now(), err)
	}
	return authorize, result, err
}

// ValidateLogin reports the mistakes in a login request, without a network call,
// and returns the redirect URI that it ends at. The error wraps ErrConfig.
func (c *Client) ValidateLogin(request LoginRequest) (redirectURI string, err error) {
	prepared, err := c.prepareLogin(request)
	if err != nil {
		return "", err
	}
	return prepared.redirectURI, nil
}

func (c *Client) newLoginState(request LoginRequest, prepared *preparedLogin) *LoginState {
	return newLoginState(&loginStateWire{
		Version:       loginStateVersion,
		Issuer:        c.config.Issuer,
		ClientID:      c.config.ClientID,
		JKT:           c.exchange.Prover.Thumbprint(),
		State:         jose.NewID(),
		Nonce:         jose.NewID(),
		Verifier:      oauth2.GenerateVerifier(),
		Application:   request.Application,
		RedirectURI:   prepared.redirectURI,
		Scopes:        prepared.scopes,
		Resources:     prepared.resources,
		SecurityLevel: int(request.SecurityLevel),

		AssuranceLevel: int(request.AssuranceLevel),

		MaxAge:    int64(request.MaxAge / time.Second),
		NewLogin:  request.Prompt == PromptLogin,
		Details:   len(prepared.details) > 0,
		Organized: namesOrganization(prepared.details),
		Attested:  prepared.attested,

		CodeDetails: encodeDetails(prepared.codeDetails),

		MaxSessionAge: int64(request.MaxSessionAge / time.Second),
		IdleTimeout:   int64(request.IdleTimeout / time.Second),

		Started: time.Now().Unix(),
	})
}

// requestURIOf reads the answer to a pushed authorization request.
func requestURIOf(a exchange.Answer) (string, error) {
	object, err := a.Object("request_uri", "expires_in")
	if err != nil {
		return "", err
	}
	uri, ok := object.Get("request_uri").Text()
	if !ok || uri == "" || len(uri) > maxRequestURI || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", a.Unusable(fmt.Errorf("request_uri is missing or not a URI"))
	}
	return uri, nil
}
