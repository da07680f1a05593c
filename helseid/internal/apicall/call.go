package apicall

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
)

// maxSends bounds how often one request is sent to an API: once, once more for a
// nonce, and once more for a new token or a broken connection.
const maxSends = 3

// Caller sends requests to APIs. It is safe for concurrent use.
type Caller struct {
	// HeaderTimeout is how long an API may be silent. Zero sets no limit.
	HeaderTimeout time.Duration

	// Nonces are the DPoP nonces of APIs.
	Nonces *dpop.Nonces

	// Report is called for what happens.
	Report Reporter
}

// Reporter is called for what happens to a request.
type Reporter interface {
	// Retry reports that a request is sent once more because the connection was lost.
	Retry(request *http.Request)

	// NonceChallenge reports that an API has required a nonce.
	NonceChallenge(request *http.Request)

	// Refusal reports that an API has refused a token or a proof, with the error
	// code.
	Refusal(request *http.Request, code string)
}

// Credentials are the token of one request and its proofs.
type Credentials interface {
	// Obtain gets a token for the request, and replaces an earlier one. It fails if
	// the token must not go where the request goes. A request that is not repeatable
	// cannot be sent again with another token.
	Obtain(ctx context.Context, request *http.Request, repeatable bool) error

	// Bound reports whether the token is bound to a key, so that a proof must be sent
	// with it.
	Bound() bool

	// Authorize puts the token on a request that is about to be sent, with a proof
	// for this nonce if the token is bound.
	Authorize(ctx context.Context, request *http.Request, nonce string) error

	// Replaceable reports whether the token, which the API has refused, should be
	// replaced. If so, the token has been dropped.
	Replaceable(request *http.Request) bool
}

// call is one request to an API with its repetitions.
type call struct {
	*Caller
	base        http.RoundTripper
	request     *http.Request
	credentials Credentials
	sends       int
	begun       bool // the request's own body has been used
	nonced      bool // a nonce challenge has been answered
	refused     bool // a refusal of the token has been handled
}

// Do sends a request through base, with the contract of [http.RoundTripper]. With an
// error, it reports whether any part of the request may have reached an API: it has
// if an API has redirected it.
func (c *Caller) Do(base http.RoundTripper, request *http.Request, credentials Credentials) (response *http.Response, reached bool, err error) {
	a := &call{Caller: c, base: base, request: request, credentials: credentials}
	defer func() {
		if err != nil && request.Body != nil {
			_ = request.Body.Close() // RoundTripper's duty, also before sending
		}
		reached = a.sends > 0 || request.Response != nil
	}()
	if err := credentials.Obtain(request.Context(), request, isRepeatable(request)); err != nil {
		return nil, false, err
	}
	response, err = a.run()
	return response, false, err
}

func (a *call) run() (*http.Response, error) {
	nonce := a.Nonces.Get(a.request.URL)
	for {
		resp, repeat, err := a.send(nonce)
		if repeat && a.again() {
			a.Report.Retry(a.request)
			continue
		}
		if repeat && a.request.Context().Err() != nil {
			return nil, a.request.Context().Err() // the caller gave up: the connection is not to blame
		}
		if err != nil {
			return nil, err
		}
		fresh := a.Nonces.Observe(a.request.URL, resp.Header)
		bound := a.credentials.Bound()
		code := refusalCode(resp, bound)
		if bound && !a.nonced && fresh != "" && fresh != nonce && code != useDPoPNonce && a.again() && a.bodyDemandsNonce(resp) {
			code = useDPoPNonce
		}
		if code == invalidToken || code == invalidDPoPProof {
			a.Report.Refusal(a.request, code)
		}
		switch {
		case code == useDPoPNonce && !a.nonced:
			a.Report.NonceChallenge(a.request)
			if fresh == "" || fresh == nonce || !a.again() {
				return resp, nil
			}
			// Use this nonce, even if a late answer has stored another one meanwhile.
			a.nonced, nonce = true, fresh
		case code == invalidToken && !a.refused:
			a.refused = true
			if !a.credentials.Replaceable(a.request) || !a.again() {
				return resp, nil // not repeatable: the next request gets the new token
			}
			if err := a.credentials.Obtain(a.request.Context(), a.request, true); err != nil || !a.again() {
				return resp, nil // the API's refusal says more than the renewal's error
			}
			if fresh != "" {
				nonce = fresh
			}
		default:
			return resp, nil
		}
		httpx.Discard(resp.Body)
	}
}

// again reports whether the request can and should be sent once more.
func (a *call) again() bool {
	return a.sends < maxSends && isRepeatable(a.request) && a.request.Context().Err() == nil
}

// send makes a proof and sends the request once. repeat says that net/http would have
// sent it again.
func (a *call) send(nonce string) (response *http.Response, repeat bool, err error) {
	current := newAttempt(a.request, a.HeaderTimeout)
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
	if err := a.credentials.Authorize(current.ctx, outgoing, nonce); err != nil {
		if a.begun && outgoing.Body != nil {
			_ = outgoing.Body.Close()
		}
		return nil, false, err
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
