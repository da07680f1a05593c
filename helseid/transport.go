package helseid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
// TokenRequest.AllowedOrigins names both. A demand for a DPoP nonce (401 or 400
// with use_dpop_nonce) is answered once, provided that the body can be sent again
// (http.Request.GetBody). So is a 401 with invalid_token under any scheme, with a
// new token, if the old one has been in use for 30 seconds; a younger one is not
// replaced, and the 401 is the answer. An API that is silent for
// Config.APIHeaderTimeout is an error that is os.ErrDeadlineExceeded. One that wraps
// ErrNoToken means that nothing of the request has reached the API.
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

// Format prints what it is, for every verb: package fmt would read what goroutines are
// writing.
func (t *transport) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "HelseID transport")
}

// Unwrap returns the transport inside.
func (t *transport) Unwrap() http.RoundTripper { return t.base }

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
	call := &apiCall{transport: t, source: source, request: request}
	token, err := call.token()
	if err != nil {
		return nil, call.uncalled(err)
	}
	return call.run(token)
}

// token gets the token for the first sending.
func (a *apiCall) token() (*Token, error) {
	if err := a.source.checkDestination(a.request); err != nil {
		return nil, err
	}
	if !isRepeatable(a.request) {
		return a.source.freshToken(a.request.Context())
	}
	return a.source.token(a.request.Context())
}

// uncalled is the error of a call of which nothing has been sent. One that an API
// has redirected has reached that API.
func (a *apiCall) uncalled(err error) error {
	if a.sends > 0 || a.request.Response != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoToken, err)
}

// apiCall is one request to an API with its repetitions.
type apiCall struct {
	*transport
	source  *TokenSource
	request *http.Request
	sends   int
	begun   bool // the request's own body has been given away
	nonced  bool // a nonce challenge has been answered
	refused bool // a refusal of the token has been dealt with
}

func (a *apiCall) run(token *Token) (*http.Response, error) {
	nonce := a.client.exchange.Nonces.Get(a.request.URL)
	for {
		resp, repeat, err := a.send(token, nonce)
		if repeat && a.again() {
			a.client.report.emit(a.request.Context(), Event{Kind: EventRetry, API: true, Endpoint: a.host()})
			continue
		}
		if repeat && a.request.Context().Err() != nil {
			return nil, a.request.Context().Err() // who has left has not lost the connection
		}
		if err != nil {
			return nil, err
		}
		fresh := a.client.exchange.Nonces.Observe(a.request.URL, resp.Header)
		bound := token.Type != tokenTypeBearer
		code := refusalCode(resp, bound)
		if bound && !a.nonced && fresh != "" && fresh != nonce && code != useDPoPNonce && a.again() && a.bodyDemandsNonce(resp) {
			code = useDPoPNonce
		}
		if code == invalidToken || code == invalidDPoPProof {
			a.client.report.logAPIRefusal(a.request.Context(), a.host(), code)
		}
		switch {
		case code == useDPoPNonce && !a.nonced:
			a.client.report.emit(a.request.Context(), Event{Kind: EventNonceChallenge, API: true, Endpoint: a.host()})
			if fresh == "" || fresh == nonce || !a.again() {
				return resp, nil
			}
			// This one, and not what a late answer may have put in its place.
			a.nonced, nonce = true, fresh
		case code == invalidToken && !a.refused:
			a.refused = true
			if !a.source.replaceable(a.request.Context(), a.host(), token) || !a.again() {
				return resp, nil // a request that cannot be repeated leaves a new token to the next one
			}
			renewed, err := a.source.token(a.request.Context())
			if err != nil || !a.again() {
				return resp, nil // the API's refusal says more than the renewal's
			}
			token = renewed
			if fresh != "" {
				nonce = fresh
			}
		default:
			return resp, nil
		}
		httpx.Discard(resp.Body)
	}
}

// host is the API's, for events and log lines.
func (a *apiCall) host() string { return hostOf(a.request.URL) }

func hostOf(url *url.URL) string { return strings.ToLower(url.Hostname()) }

// again reports whether the request can and should be sent once more.
func (a *apiCall) again() bool {
	return a.sends < maxSends && isRepeatable(a.request) && a.request.Context().Err() == nil
}

// send makes a proof and sends the request once. Repeat says that net/http would
// have sent it again.
func (a *apiCall) send(token *Token, nonce string) (response *http.Response, repeat bool, err error) {
	current := newAttempt(a.request, a.client.config.APIHeaderTimeout)
	defer func() {
		if err != nil {
			current.release()
		}
	}()
	outgoing := a.request.Clone(current.ctx)
	outgoing.Trailer = a.request.Trailer // not a copy: reading the body fills it
	if a.begun && outgoing.Body != nil && outgoing.Body != http.NoBody {
		body, err := a.request.GetBody()
		if err != nil {
			return nil, false, fmt.Errorf("rewind the request body: %w", err)
		}
		outgoing.Body = body
	}
	if err := a.client.authorize(current.ctx, outgoing, token, nonce); err != nil {
		if a.begun && outgoing.Body != nil {
			_ = outgoing.Body.Close()
		}
		return nil, false, a.uncalled(err)
	}
	httpx.SetUserAgent(outgoing.Header)
	a.begun = true
	a.sends++
	response, repeat, err = current.roundTrip(a.base, outgoing)
	if err != nil {
		return nil, repeat, err
	}
	response.Request = a.request // the caller's, which holds no token
	return response, false, nil
}

// bodyDemandsNonce looks for a demand in the answer's body, for no longer than an
// API may be silent.
func (a *apiCall) bodyDemandsNonce(response *http.Response) bool {
	if body, ok := response.Body.(*answerBody); ok && a.client.config.APIHeaderTimeout > 0 {
		defer time.AfterFunc(a.client.config.APIHeaderTimeout, body.attempt.release).Stop()
	}
	return bodyDemandsNonce(response)
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
	event := Event{Kind: EventProof, API: true, Endpoint: hostOf(request.URL)}
	start := time.Now()
	var proof string
	err := c.exchange.Signing.Sign(ctx, func() { c.report.emit(ctx, Event{Kind: EventRetry, API: true, Endpoint: event.Endpoint}) }, func(ctx context.Context) (err error) {
		proof, err = c.exchange.Prover.Proof(ctx, dpop.Target{
			Method:      request.Method,
			URL:         request.URL,
			Host:        request.Host,
			AccessToken: token.Access.Reveal(),
			Nonce:       nonce,
		})
		return err
	})
	if err != nil {
		return err
	}
	event.Duration = time.Since(start)
	c.report.emit(ctx, event)
	request.Header.Set(dpop.HeaderName, proof)
	return nil
}

// ObserveResponse keeps the DPoP nonce of an API's response for the next
// TokenSource.Authorize. It reports whether the response is a demand for that nonce, so
// that the request should be authorized and sent once more: status 401 or 400,
// with the error use_dpop_nonce in a challenge or in a small JSON body. The
// response's body can be read as before.
func (c *Client) ObserveResponse(response *http.Response) (retry bool) {
	if response.Request == nil {
		return false
	}
	nonce := c.exchange.Nonces.Observe(response.Request.URL, response.Header)
	if nonce == "" || isBearer(response.Request) {
		return false
	}
	return refusalCode(response, true) == useDPoPNonce || bodyDemandsNonce(response)
}

// isBearer reports whether a request carries a bearer token, which needs no nonce.
func isBearer(request *http.Request) bool {
	scheme, _, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	return scheme == tokenTypeBearer
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
	if s.client.unverified && !httpx.IsLoopback(request.URL.Hostname()) {
		return fmt.Errorf("helseid: %w: the request gets no token: Config.HTTPClient: %w", ErrInsecureURL, httpx.ErrUnverified)
	}
	origin := httpx.Origin(request.URL)
	if allowed := s.client.config.AllowedOrigins; len(allowed) > 0 && !s.issuer && !slices.Contains(allowed, origin) {
		return fmt.Errorf("helseid: %w: %s is not one of Config.AllowedOrigins", ErrOriginRefused, origin)
	}
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
