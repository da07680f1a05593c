package helseid

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	retryWait    = 250 * time.Millisecond
	maxRetryWait = 4 * time.Second
)

// backChannelRequest is the part of a request to HelseID that stays the same
// over all its attempts. Everything else is made anew for each.
type backChannelRequest struct {
	endpoint   string // the metadata member that names it
	parameters url.Values
	details    []clientassertion.Detail

	// session are details that hold for a whole session: they go into a signed
	// request object.
	session []clientassertion.Detail

	// prove sends a DPoP proof along.
	prove bool

	// once says that the request carries a code or a refresh token: it is made
	// anew only after failures in which HelseID cannot have processed it.
	once bool
}

// answer is a complete HTTP answer of HelseID's.
type answer struct {
	sent     time.Time // when the request was started
	at       time.Time // when the answer had come
	endpoint string    // the metadata member that names it

	status int
	header http.Header
	body   []byte
}

func (a answer) ok() bool { return a.status == http.StatusOK || a.status == http.StatusCreated }

// attemptError says whether a new attempt can help.
type attemptError struct {
	err        error
	retry      bool
	retryAfter time.Duration
}

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// exchange sends a request, with new attempts after failures that they can
// cure. An answer that is not a success is an error.
func (c *Client) exchange(ctx context.Context, request backChannelRequest) (answer, error) {
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		result, err := c.roundTrips(ctx, request)
		if err == nil {
			return result, nil
		}
		var failure *attemptError
		if !errors.As(err, &failure) || !failure.retry || try >= c.config.TokenRetries || c.lifetime.Err() != nil {
			return answer{}, err
		}
		wait := backoff(try, failure.retryAfter)
		c.logRetry(ctx, err, wait)
		if !sleep(ctx, wait) || c.lifetime.Err() != nil {
			return answer{}, err
		}
		c.emit(Event{Kind: EventRetry})
	}
}

// roundTrips makes one attempt, or two if HelseID answers the first with the
// nonce it wants to see. The first does not use up a code or a refresh token.
func (c *Client) roundTrips(ctx context.Context, request backChannelRequest) (answer, error) {
	endpoint, err := c.endpoint(ctx, request.endpoint)
	if err != nil {
		return answer{}, err
	}
	nonce := c.nonces.Get(endpoint)
	for challenged := false; ; challenged = true {
		result, err := c.attempt(ctx, endpoint, nonce, request)
		if err != nil || result.ok() {
			return result, err
		}
		failure := result.tokenError()
		var refusal *TokenError
		if !errors.As(failure, &refusal) || refusal.Code != "use_dpop_nonce" {
			if request.once && !unprocessed(result.status) {
				failure = fmt.Errorf("%w: %w", errOutcomeUnknown, failure)
			}
			return answer{}, &attemptError{
				err:        failure,
				retry:      temporaryStatus(result.status) && (!request.once || result.status == http.StatusTooManyRequests),
				retryAfter: retryAfter(result.header),
			}
		}
		c.emit(Event{Kind: EventNonceChallenge})
		fresh := c.nonces.Observe(endpoint, result.header)
		switch {
		case challenged:
			return answer{}, failure
		case fresh == "":
			return answer{}, fmt.Errorf("%w: %w: HelseID demands a DPoP nonce without giving a usable one", ErrInvalidResponse, failure)
		case fresh == nonce:
			return answer{}, fmt.Errorf("%w: HelseID demands a DPoP nonce and gave the one that was just used", failure)
		}
		nonce = fresh
	}
}

// endpoint looks an endpoint up in the metadata. A fetch that is needed for that
// belongs to nobody, and is waited for as long as the context allows.
func (c *Client) endpoint(ctx context.Context, name string) (*url.URL, error) {
	if document := c.metadata.Current(); document != nil {
		return document.Endpoint(name)
	}
	if err := c.begin(); err != nil {
		return nil, err
	}
	type outcome struct {
		document *metadata.Document
		err      error
	}
	fetched := make(chan outcome, 1)
	go func() {
		defer c.running.Done()
		document, err := c.metadata.Get(c.lifetime)
		fetched <- outcome{document, err}
	}()
	select {
	case result := <-fetched:
		if result.err != nil {
			return nil, result.err
		}
		return result.document.Endpoint(name)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for the metadata: %w", ErrUnavailable, ctx.Err())
	}
}

// attempt builds and sends one request: new assertion, new proof, new body.
// Nothing of it is ever sent twice.
func (c *Client) attempt(ctx context.Context, endpoint *url.URL, nonce string, request backChannelRequest) (answer, error) {
	var progress sendProgress
	httpRequest, err := c.httpRequest(progress.watch(ctx), endpoint, nonce, request)
	if err != nil {
		return answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return answer{}, fmt.Errorf("%s: %w: %w", request.endpoint, ErrUnavailable, err)
	}
	start := time.Now()
	result, err := c.send(httpRequest)
	result.endpoint = request.endpoint
	c.emit(Event{Kind: EventRoundTrip, Status: result.status, Duration: time.Since(start), Err: err})
	if err != nil {
		tooLarge := errors.Is(err, httpx.ErrTooLarge)
		category := ErrUnavailable
		if tooLarge {
			category = ErrInvalidResponse
		}
		err = fmt.Errorf("%s: %w: %w", request.endpoint, category, err)
		unsent := progress.unsent()
		if request.once && !unsent {
			err = fmt.Errorf("%w: %w", errOutcomeUnknown, err)
		}
		return answer{}, &attemptError{err: err, retry: ctx.Err() == nil && !tooLarge && (!request.once || unsent)}
	}
	c.nonces.Observe(endpoint, result.header)
	result.sent = start
	return result, nil
}

// sendProgress finds out how far a request has come that failed.
type sendProgress struct {
	traced  atomic.Bool // the transport tells
	written atomic.Bool
}

func (p *sendProgress) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { p.traced.Store(true) },
		WroteHeaders: func() { p.written.Store(true) },
	})
}

// unsent reports that nothing of the request has left. Of a transport that does
// not tell, nothing is known.
func (p *sendProgress) unsent() bool { return p.traced.Load() && !p.written.Load() }

// errOutcomeUnknown marks the failure of a request that may have used up the
// credential in it.
var errOutcomeUnknown = errors.New("it is not known whether HelseID has processed the request")

// unprocessed reports that an answer with this status means that the credential
// in the request has not been used up: a redirect, a refusal, or "not now" (503,
// which a server or a proxy before it says of requests that it does not take).
// Other failures can come after the credential was spent.
func unprocessed(status int) bool {
	return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError || status == http.StatusServiceUnavailable
}

func (c *Client) httpRequest(ctx context.Context, endpoint *url.URL, nonce string, request backChannelRequest) (*http.Request, error) {
	assertion, err := c.assertions.Sign(ctx, request.details...)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"client_id":             {c.config.ClientID},
		"client_assertion_type": {clientassertion.Type},
		"client_assertion":      {assertion},
	}
	for name, values := range request.parameters {
		form[name] = values
	}
	if len(request.session) > 0 {
		object, err := c.assertions.SignRequestObject(ctx, request.session...)
		if err != nil {
			return nil, err
		}
		form.Set("request", object)
	}
	httpRequest, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request.endpoint, err)
	}
	httpRequest.GetBody = nil // so that net/http cannot send it twice
	httpRequest.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	httpRequest.Header.Set("Accept", "application/json")
	if request.prove {
		proof, err := c.prover.Proof(ctx, dpop.Target{Method: http.MethodPost, URL: endpoint, Nonce: nonce})
		if err != nil {
			return nil, err
		}
		httpRequest.Header.Set(dpop.HeaderName, proof)
	}
	return httpRequest, nil
}

func (c *Client) send(request *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(request.Context(), c.config.RequestTimeout)
	defer cancel()
	resp, err := c.backChannel.Do(request.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	body, err := httpx.ReadBody(resp)
	if err != nil {
		return answer{status: resp.StatusCode}, fmt.Errorf("the answer broke off: %w", err)
	}
	return answer{at: time.Now(), status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// backoff grows from 250 ms, is random by half, and obeys the server's wish up
// to the same limit.
func backoff(try int, wish time.Duration) time.Duration {
	wait := min(retryWait<<min(try, 8), maxRetryWait)
	wait = wait/2 + rand.N(wait/2)
	return min(max(wait, wish), maxRetryWait)
}

// retryAfter reads the header's seconds; its other form, a date, is ignored
// since the clocks may differ.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(maxRetryWait/time.Second))) * time.Second
}

// sleep reports whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
