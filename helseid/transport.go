package helseid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
)

// maxSends bounds how often one request goes to an API: once, once more for a
// nonce, and once more for a new token or a broken connection.
const maxSends = 3

// HTTPClient returns a client whose requests carry a token for the request and
// a fresh proof each. Use it like any other; it needs no Close of its own.
//
// A request's context may choose the organisation (ForOrganization) or replace
// the whole token request (WithTokenRequest). Only https is spoken, except to
// loopback hosts (ErrInsecureURL). A redirect within the origin is followed with a new proof, one
// to another origin is an error (ErrOriginRefused) unless
// TokenRequest.AllowedOrigins names both. A 401 with a DPoP nonce is answered
// once, provided that the body can be sent again (http.Request.GetBody). So is a
// 401 with invalid_token, with a new token, if the old one has been in use for 30
// seconds; a younger one is not replaced, and the 401 is the answer.
func (c *Client) HTTPClient(request TokenRequest) *http.Client {
	return &http.Client{Transport: c.Transport(request), Timeout: c.config.HTTPClient.Timeout}
}

// Transport returns the http.RoundTripper in HTTPClient, for those who build
// their own http.Client around it. Whatever retries must stand outside of it:
// each RoundTrip makes proofs of its own.
func (c *Client) Transport(request TokenRequest) http.RoundTripper {
	return &transport{client: c, source: c.TokenSource(request), base: httpx.Transport(c.config.HTTPClient)}
}

type transport struct {
	client *Client
	source *TokenSource
	base   http.RoundTripper
	fixed  bool // the request's context chooses nothing
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(request)
	if err != nil && request.Body != nil {
		_ = request.Body.Close() // RoundTripper's duty, also before sending
	}
	return resp, err
}

func (t *transport) roundTrip(request *http.Request) (*http.Response, error) {
	source := t.source
	if !t.fixed {
		source = t.client.sourceFor(request.Context(), source)
	}
	if err := source.checkDestination(request); err != nil {
		return nil, err
	}
	call := &apiCall{transport: t, source: source, request: request}
	get := source.token
	if !call.canRepeat() {
		get = source.freshToken
	}
	token, err := get(request.Context())
	if err != nil {
		return nil, err
	}
	return call.run(token)
}

// apiCall is one request to an API with its repetitions.
type apiCall struct {
	*transport
	source  *TokenSource
	request *http.Request
	sends   int
	begun   bool // the request's own body has been given away
	nonced  bool // a nonce challenge has been answered
	dropped bool // the token has been replaced
}

func (a *apiCall) run(token *Token) (*http.Response, error) {
	nonce := a.client.nonces.Get(a.request.URL)
	for {
		resp, err := a.send(token, nonce)
		if err != nil {
			if errors.Is(err, errStaleConnection) && a.again() {
				a.client.emit(Event{Kind: EventRetry, API: true})
				continue
			}
			return nil, err
		}
		fresh := a.client.nonces.Observe(a.request.URL, resp.Header)
		if resp.StatusCode != http.StatusUnauthorized {
			return resp, nil
		}
		switch code := dpopError(resp.Header); {
		case code == "use_dpop_nonce" && !a.nonced:
			a.client.emit(Event{Kind: EventNonceChallenge, API: true})
			if fresh == "" || fresh == nonce || !a.again() {
				return resp, nil
			}
			// This one, and not what a late answer may have put in its place.
			a.nonced, nonce = true, fresh
		case code == "invalid_token" && !a.dropped && a.canRepeat() && a.source.replaceable(token):
			renewed, err := a.source.token(a.request.Context())
			if err != nil || !a.again() {
				return resp, nil // the API's refusal says more than the renewal's
			}
			token, a.dropped = renewed, true
			if fresh != "" {
				nonce = fresh
			}
		default:
			return resp, nil
		}
		httpx.Discard(resp.Body)
	}
}

// canRepeat reports whether the body, if any, can be sent again.
func (a *apiCall) canRepeat() bool {
	body := a.request.Body
	return a.sends < maxSends && (body == nil || body == http.NoBody || a.request.GetBody != nil)
}

func (a *apiCall) again() bool { return a.canRepeat() && a.request.Context().Err() == nil }

// errStaleConnection marks the failure of a connection that had been used
// before: the server closed it while the request was on its way. net/http would
// repeat such a request by itself, with the same proof.
var errStaleConnection = errors.New("the server closed an idle connection")

// send makes a proof and sends the request once.
func (a *apiCall) send(token *Token, nonce string) (*http.Response, error) {
	resp, err := a.sendGuarded(token, nonce)
	if errors.Is(err, errUnshielded) {
		// It is known now that the origin speaks HTTP/1.
		resp, err = a.sendGuarded(token, nonce)
	}
	return resp, err
}

// errUnshielded ends an attempt whose proof net/http could have sent twice.
var errUnshielded = errors.New("the request is not fit for a connection that was kept open")

func (a *apiCall) sendGuarded(token *Token, nonce string) (*http.Response, error) {
	guard := a.guard()
	ctx := guard.ctx
	outgoing := a.request.Clone(ctx)
	if a.begun && outgoing.Body != nil && outgoing.Body != http.NoBody {
		body, err := a.request.GetBody()
		if err != nil {
			return nil, fmt.Errorf("rewind the request body: %w", err)
		}
		outgoing.Body = body
	}
	if err := a.client.authorize(ctx, outgoing, token, nonce); err != nil {
		if a.begun && outgoing.Body != nil {
			_ = outgoing.Body.Close()
		}
		return nil, err
	}
	if guard.shielded {
		shield(outgoing)
	}
	a.begun = true
	resp, err := a.base.RoundTrip(outgoing)
	if err != nil {
		if errors.Is(context.Cause(ctx), errUnshielded) && a.canRepeat() {
			return nil, errUnshielded
		}
		a.sends++
		if guard.reused && a.request.Context().Err() == nil && !isTimeout(err) {
			return nil, fmt.Errorf("%w: %w", errStaleConnection, err)
		}
		return nil, err
	}
	a.sends++
	a.client.protocols.observe(a.request.URL, resp.ProtoMajor)
	resp.Request = a.request // the caller's, which holds no token
	return resp, nil
}

// authorize puts the token on a request, and a proof unless it is a bearer
// token.
func (c *Client) authorize(ctx context.Context, request *http.Request, token *Token, nonce string) error {
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	request.Header.Set("Authorization", token.Type+" "+token.Access.Reveal())
	request.Header.Del(dpop.HeaderName)
	if token.Type == tokenTypeBearer {
		return nil
	}
	start := time.Now()
	proof, err := c.prover.Proof(ctx, dpop.Target{
		Method:      request.Method,
		URL:         request.URL,
		Host:        request.Host,
		AccessToken: token.Access.Reveal(),
		Nonce:       nonce,
	})
	if err != nil {
		return err
	}
	c.emit(Event{Kind: EventProof, API: true, Duration: time.Since(start)})
	request.Header.Set(dpop.HeaderName, proof)
	return nil
}

// Authorize sets the headers Authorization and DPoP on a request that will be
// sent with something else than HTTPClient. Call it for each attempt, just
// before sending, and hand the response to ObserveResponse. The token request
// and the organisation are those of ctx (WithTokenRequest, ForOrganization), not
// of the request's own context; without one it is the zero token request, which
// asks for every scope that the client has.
//
// It is the system's token, also where a user is being served: for that user's,
// there is Session.Authorize. The error is one of TokenSource.Token's, or
// ErrInsecureURL or ErrOriginRefused for the request's URL.
func (c *Client) Authorize(ctx context.Context, request *http.Request) error {
	return c.authorizeFrom(ctx, c.sourceOf(ctx, TokenRequest{}), request)
}

func (c *Client) authorizeFrom(ctx context.Context, source *TokenSource, request *http.Request) error {
	if err := source.checkDestination(request); err != nil {
		return err
	}
	token, err := source.token(ctx)
	if err != nil {
		return err
	}
	return c.authorize(ctx, request, token, c.nonces.Get(request.URL))
}

// ObserveResponse keeps the DPoP nonce of an API's response for the next
// Authorize. It reports whether the response is a demand for that nonce, so
// that the request should be authorized and sent once more.
func (c *Client) ObserveResponse(response *http.Response) (retry bool) {
	if response.Request == nil {
		return false
	}
	nonce := c.nonces.Observe(response.Request.URL, response.Header)
	return nonce != "" && response.StatusCode == http.StatusUnauthorized && dpopError(response.Header) == "use_dpop_nonce"
}

// checkDestination refuses to let a token go where it does not belong.
func (s *TokenSource) checkDestination(request *http.Request) error {
	if s.err != nil {
		return s.err
	}
	if request.URL == nil {
		return errors.New("helseid: the request has no URL")
	}
	if request.Method == http.MethodTrace {
		return errors.New("helseid: a TRACE request must not carry credentials (RFC 9110 section 9.3.8)")
	}
	if err := httpx.CheckSecure(request.URL); err != nil {
		return fmt.Errorf("helseid: the request gets no token: %w", err)
	}
	origin := httpx.Origin(request.URL)
	if allowed := s.request.allowedOrigins; len(allowed) > 0 {
		if slices.Contains(allowed, origin) {
			return nil
		}
		return fmt.Errorf("helseid: %w: %s is not one of TokenRequest.AllowedOrigins", ErrOriginRefused, origin)
	}
	if first := firstURL(request); httpx.Origin(first) != origin {
		return fmt.Errorf("helseid: %w: %s redirects to %s; name both in TokenRequest.AllowedOrigins if the token is meant for both",
			ErrOriginRefused, httpx.Origin(first), origin)
	}
	return nil
}

// firstURL follows a chain of redirects back to the URL that was called.
// net/http links each request to the response that caused it.
func firstURL(request *http.Request) *url.URL {
	const maxHops = 100
	for range maxHops {
		if request.Response == nil || request.Response.Request == nil {
			break
		}
		request = request.Response.Request
	}
	return request.URL
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
