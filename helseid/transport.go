package helseid

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/internal/apicall"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/httpx"
)

// defaultAPIHeaderTimeout is Config.APIHeaderTimeout's default.
const defaultAPIHeaderTimeout = 60 * time.Second

// HTTPClient returns a client whose requests carry a token for the request and a new
// proof each. Use it like any other; it need not be closed.
//
// A request's context may choose the organisation ([ForOrganization]) or replace the
// whole token request ([WithTokenRequest]). Only https is used, except to loopback
// hosts ([ErrInsecureURL]). A redirect within the origin is followed with a new
// proof. A redirect to another origin is an error ([ErrOriginRefused]) unless
// [TokenRequest.AllowedOrigins] names both.
//
// A DPoP nonce challenge (401 or 400 with use_dpop_nonce) is answered once,
// provided that the body can be sent again ([http.Request.GetBody]). The same applies
// to a 401 with invalid_token under any scheme, which is answered with a new token if
// the old one has been in use for 30 seconds; a younger token is not replaced, and
// the caller gets the 401. If an API is silent for [Config.APIHeaderTimeout], the
// error wraps [os.ErrDeadlineExceeded]. An error that wraps [ErrNoToken] means that
// no part of the request has reached the API.
func (c *Client) HTTPClient(request TokenRequest) *http.Client {
	return c.calls.httpClient(c.Transport(request))
}

// Transport returns the [http.RoundTripper] of [Client.HTTPClient], for callers that
// build their own [http.Client] around it. Put retries outside it: each RoundTrip
// makes its own proofs.
func (c *Client) Transport(request TokenRequest) http.RoundTripper {
	return c.calls.transport(c.TokenSource(request))
}

// apiCaller is what all calls of APIs by a client have in common.
type apiCaller struct {
	apicall.Caller
	http           *http.Client // of the configuration
	allowedOrigins []string
	unverified     bool // its transport accepts any certificate, so only loopback hosts are called
	prover         *dpop.Prover
	signing        *exchange.Signing
	report         *reporter
}

func (c *apiCaller) httpClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, Timeout: c.http.Timeout}
}

func (c *apiCaller) transport(source *TokenSource) http.RoundTripper {
	return &transport{source: source, base: httpx.Transport(c.http)}
}

type transport struct {
	source *TokenSource
	base   http.RoundTripper
	fixed  bool // the request's context is ignored
}

// Format prints "HelseID transport" for every verb. Without it, package fmt would
// read fields that goroutines are writing.
func (t *transport) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "HelseID transport")
}

// Unwrap returns the transport inside.
func (t *transport) Unwrap() http.RoundTripper { return t.base }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	source := t.source
	if !t.fixed {
		source = source.inContext(request.Context())
	}
	response, reached, err := source.calls.Do(t.base, request, &credentials{source: source})
	if err != nil && !reached {
		return nil, fmt.Errorf("%w: %w", ErrNoToken, err)
	}
	return response, err
}

// credentials are the token and the proofs for one call of an API.
type credentials struct {
	source *TokenSource
	token  *Token
}

// Obtain gets the token if it may go where the request goes. For a request that
// cannot be repeated, it prefers a token that does not expire soon.
func (c *credentials) Obtain(ctx context.Context, request *http.Request, repeatable bool) (err error) {
	source := c.source
	if source.err != nil {
		return source.err
	}
	allowed := apicall.Destinations{RequestOrigins: source.request.allowedOrigins, LoopbackOnly: source.calls.unverified}
	if !source.request.forIssuer {
		allowed.ClientOrigins = source.calls.allowedOrigins
	}
	if err := allowed.Check(request); err != nil {
		return err
	}
	if repeatable {
		c.token, err = source.token(ctx)
	} else {
		c.token, err = source.freshToken(ctx)
	}
	return err
}

// Bound reports whether the token needs proofs.
func (c *credentials) Bound() bool { return c.token.Type != tokenTypeBearer }

// Authorize puts the token on a request, and a proof unless it is a bearer token.
func (c *credentials) Authorize(ctx context.Context, request *http.Request, nonce string) error {
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	request.Header.Set("Authorization", c.token.header())
	request.Header.Del(dpop.HeaderName)
	if !c.Bound() {
		return nil
	}
	calls := c.source.calls
	event := Event{Kind: EventProof, API: true, Endpoint: hostOf(request.URL)}
	start := time.Now()
	var proof string
	retrying := func() { calls.report.emit(ctx, Event{Kind: EventRetry, API: true, Endpoint: event.Endpoint}) }
	err := calls.signing.Sign(ctx, retrying, func(ctx context.Context) (err error) {
		proof, err = calls.prover.Proof(ctx, dpop.Target{
			Method:      request.Method,
			URL:         request.URL,
			Host:        request.Host,
			AccessToken: c.token.Access.Reveal(),
			Nonce:       nonce,
		})
		return err
	})
	if err != nil {
		return err
	}
	event.Duration = time.Since(start)
	calls.report.emit(ctx, event)
	request.Header.Set(dpop.HeaderName, proof)
	return nil
}

// Replaceable reports whether the token that an API refused should be replaced:
// another caller has already done so, or it may be dropped now.
func (c *credentials) Replaceable(request *http.Request) bool {
	if current := c.source.entry().token.Load(); current != c.token && current.state(time.Now()) != tokenDead {
		return true
	}
	return c.source.drop(request.Context(), hostOf(request.URL), c.token)
}

// apiReporter reports what happens to calls of APIs.
type apiReporter struct{ report *reporter }

// Retry implements apicall.Reporter.
func (r apiReporter) Retry(request *http.Request) {
	r.report.emit(request.Context(), Event{Kind: EventRetry, API: true, Endpoint: hostOf(request.URL)})
}

// NonceChallenge implements apicall.Reporter.
func (r apiReporter) NonceChallenge(request *http.Request) {
	r.report.emit(request.Context(), Event{Kind: EventNonceChallenge, API: true, Endpoint: hostOf(request.URL)})
}

// Refusal implements apicall.Reporter.
func (r apiReporter) Refusal(request *http.Request, code string) {
	r.report.logAPIRefusal(request.Context(), hostOf(request.URL), code)
}

// hostOf returns an API's host, for events and log lines.
func hostOf(url *url.URL) string { return strings.ToLower(url.Hostname()) }

// isBearer reports whether a request carries a bearer token, which needs no nonce.
func isBearer(request *http.Request) bool {
	scheme, _, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	return scheme == tokenTypeBearer
}
