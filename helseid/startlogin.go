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
	// URL is where to send the user's browser. It contains only the client id and a
	// reference to the request.
	URL string

	// State must be kept for [Client.FinishLogin].
	State *LoginState
}

// maxRequestURI bounds the reference to a pushed request, in bytes.
const maxRequestURI = 2048

// StartLogin pushes a login request to HelseID (RFC 9126) with its own PKCE verifier,
// state and nonce, and returns where to send the browser. HelseID sends the browser
// back to the redirect URI: see [Client.FinishLogin].
//
// Anyone can open a login page, so login starts have a budget of their own and cannot
// slow down sessions and systems: 16 are under way at once and 64 more wait, each up
// to five seconds for its turn and as long again for a slot. Further logins fail at
// once ([ErrBusy]).
//
// The error is a [*TokenError] if HelseID refuses. Otherwise it wraps [ErrConfig],
// [ErrUnavailable], [ErrKey], [ErrInvalidResponse], [ErrIssuerMismatch] or
// [ErrClosed].
func (c *Client) StartLogin(ctx context.Context, request LoginRequest) (*Login, error) {
	return c.logins.start(ctx, request)
}

// ValidateLogin reports the mistakes in a login request without a network call, and
// returns the redirect URI that it uses. The error wraps [ErrConfig].
func (c *Client) ValidateLogin(request LoginRequest) (redirectURI string, err error) {
	prepared, err := c.logins.rules.prepare(request)
	if err != nil {
		return "", err
	}
	return prepared.redirectURI, nil
}

func (l *logins) start(ctx context.Context, request LoginRequest) (*Login, error) {
	prepared, err := l.rules.prepare(request)
	if err != nil {
		return nil, err
	}
	ctx, done, err := l.work.Foreground(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	state := newLogin(l.identity, request, prepared)
	parameters := maps.Clone(prepared.parameters)
	parameters.Set("state", state.wire().State)
	parameters.Set("nonce", state.wire().Nonce)
	parameters.Set("code_challenge", oauth2.S256ChallengeFromVerifier(state.wire().Verifier))
	authorize, result, err := l.pushes.push(ctx, exchange.Request{
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
	target.RawQuery = url.Values{"client_id": {l.identity.clientID}, "request_uri": {requestURI}}.Encode()
	return &Login{URL: target.String(), State: state}, nil
}

// pushedRequests pushes authorization requests to HelseID.
type pushedRequests struct {
	requests *exchange.Exchange
	standing *standing
}

// push sends a request that anyone who opens a login page can cause. It waits for its
// turn, and sends nothing while HelseID refuses the client. It also returns the
// authorization endpoint.
func (p *pushedRequests) push(ctx context.Context, request exchange.Request) (authorize *url.URL, result exchange.Answer, err error) {
	start := time.Now()
	if err := p.standing.refusal(ctx, start, false); err != nil {
		return nil, exchange.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenRequestTimeout)
	defer cancel()
	err = p.requests.InTurn(ctx, p.requests.Budgets.Logins, func(turn *bulkhead.Turn) error {
		if authorize, err = p.requests.Endpoint(ctx, exchange.AuthorizeEndpoint); err != nil {
			return err
		}
		result, err = p.requests.Do(ctx, turn, request)
		return err
	})
	switch {
	case err == nil:
		p.standing.accepted(start, time.Now(), false)
	case isInvalidClient(err):
		p.standing.Observe(start, time.Now(), err)
	}
	return authorize, result, err
}

func newLogin(identity clientIdentity, request LoginRequest, prepared *preparedLogin) *LoginState {
	return newLoginState(&loginStateWire{
		Version:       loginStateVersion,
		Issuer:        identity.issuer,
		ClientID:      identity.clientID,
		JKT:           identity.thumbprint,
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
