package helseid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// exchanger sends the requests to HelseID in which the client authenticates. Each
// attempt has an assertion, a proof and a body of its own.
type exchanger struct {
	clientID   string
	assertions *clientassertion.Signer
	prover     *dpop.Prover
	nonces     *dpop.Nonces
	metadata   *metadata.Source
	http       *http.Client
	timeout    time.Duration // of one attempt
	budgets    budgets
	signing    *signing
	work       *lifecycle
	report     *reporter
	fetches    singleflight.Group // of the metadata
}

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
	err   error
	retry bool
	cause error // what broke, if there was no answer
}

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// do sends a request, with new attempts after failures that they can
// cure. An answer that is not a success is an error.
func (e *exchanger) do(ctx context.Context, turn *turn, request backChannelRequest) (answer, error) {
	for {
		if err := ctx.Err(); err != nil {
			return answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		result, err := e.roundTrips(ctx, turn, request)
		if err == nil {
			return result, nil
		}
		failed := time.Now()
		var failure *attemptError
		if !errors.As(err, &failure) || !failure.retry || e.work.lifetime.Err() != nil || turn.await(ctx) != nil || e.work.lifetime.Err() != nil {
			e.report.logRefusal(ctx, request.endpoint, err)
			return answer{}, err
		}
		e.report.logRetry(ctx, err, time.Since(failed))
		e.report.emit(ctx, Event{Kind: EventRetry, Endpoint: request.endpoint})
	}
}

// roundTrips makes one attempt, or two if HelseID answers the first with the
// nonce it wants to see. The first does not use up a code or a refresh token.
func (e *exchanger) roundTrips(ctx context.Context, turn *turn, request backChannelRequest) (answer, error) {
	endpoint, err := e.endpoint(ctx, request.endpoint)
	if err != nil {
		return answer{}, err
	}
	nonce := e.nonces.Get(endpoint)
	for challenged := false; ; challenged = true {
		result, err := e.attempt(ctx, turn, endpoint, nonce, request)
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
				err:   failure,
				retry: temporaryStatus(result.status) && (!request.once || result.status == http.StatusTooManyRequests),
			}
		}
		e.report.emit(ctx, Event{Kind: EventNonceChallenge, Endpoint: request.endpoint})
		fresh := e.nonces.Observe(endpoint, result.header)
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
// belongs to nobody, and is waited for as long as the context allows. All who wait
// share it, and none of them takes a goroutine for that.
func (e *exchanger) endpoint(ctx context.Context, name string) (*url.URL, error) {
	if document := e.metadata.Current(); document != nil {
		return document.Endpoint(name)
	}
	fetched := e.fetches.DoChan("", func() (any, error) {
		if err := e.work.begin(); err != nil {
			return nil, err
		}
		defer e.work.done()
		return e.metadata.Get(e.work.lifetime)
	})
	select {
	case result := <-fetched:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*metadata.Document).Endpoint(name)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for the metadata: %w", ErrUnavailable, ctx.Err())
	}
}

// attempt makes one round trip when there is a slot for it.
func (e *exchanger) attempt(ctx context.Context, turn *turn, endpoint *url.URL, nonce string, request backChannelRequest) (result answer, err error) {
	unsent := turn.send(ctx, func() outcome {
		result, err = e.roundTrip(ctx, endpoint, nonce, request)
		return outcomeOf(ctx, result, err)
	})
	if unsent != nil {
		return answer{}, unsent
	}
	return result, err
}

// outcomeOf is what a round trip says about HelseID. One that its caller has not
// waited for says nothing.
func outcomeOf(ctx context.Context, result answer, err error) outcome {
	var failure *attemptError
	switch {
	case err == nil && !temporaryStatus(result.status), errors.Is(err, httpx.ErrTooLarge):
		return outcome{verdict: verdictAnswered}
	case err == nil:
		verdict := verdictUnavailable
		if result.status == http.StatusTooManyRequests {
			verdict = verdictThrottled
		}
		return outcome{verdict: verdict, wait: result.pause(), told: shared(result.tokenError())}
	case ctx.Err() != nil || !errors.As(err, &failure):
		return outcome{}
	}
	told := fmt.Errorf("%s: %w: another request has just failed: %w", result.endpoint, ErrUnavailable, &othersError{redact.Foreign(failure.cause)})
	return outcome{verdict: verdictUnavailable, told: func(time.Duration) error { return told }}
}

// othersError is what another request has failed with. It is not unwrapped: nobody
// must take its timeout for their own.
type othersError struct{ cause error }

func (e *othersError) Error() string { return e.cause.Error() }

// LogValue gives what kind of error it is.
func (e *othersError) LogValue() slog.Value { return slog.StringValue(redact.Kinds(e.cause)) }

// shared makes the errors of those who share a refusal: each has one of its own,
// with the time that is left.
func shared(err error) func(wait time.Duration) error {
	var refusal *TokenError
	if !errors.As(err, &refusal) {
		return func(time.Duration) error { return err }
	}
	return func(wait time.Duration) error {
		own := *refusal
		if own.RetryAfter > 0 {
			own.RetryAfter = wait
		}
		return &own
	}
}

// roundTrip builds and sends one request: new assertion, new proof, new body.
// Nothing of it is ever sent twice.
func (e *exchanger) roundTrip(ctx context.Context, endpoint *url.URL, nonce string, request backChannelRequest) (answer, error) {
	var progress sendProgress
	var httpRequest *http.Request
	err := e.signing.sign(ctx, Event{Endpoint: request.endpoint}, func(signing context.Context) (err error) {
		httpRequest, err = e.httpRequest(signing, endpoint, nonce, request)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	httpRequest = httpRequest.WithContext(progress.watch(ctx))
	if err := ctx.Err(); err != nil {
		return answer{}, fmt.Errorf("%s: %w: %w", request.endpoint, ErrUnavailable, err)
	}
	start := time.Now()
	result, err := e.send(httpRequest)
	result.endpoint = request.endpoint
	e.report.emit(ctx, Event{Kind: EventRoundTrip, Endpoint: request.endpoint, Status: result.status, Duration: time.Since(start), Err: err})
	if err != nil {
		tooLarge := errors.Is(err, httpx.ErrTooLarge)
		category := ErrUnavailable
		if tooLarge {
			category = ErrInvalidResponse
		}
		cause := err
		err = fmt.Errorf("%s: %w: %w", request.endpoint, category, err)
		unsent := progress.unsent()
		if request.once && !unsent {
			err = fmt.Errorf("%w: %w", errOutcomeUnknown, err)
		}
		return result, &attemptError{err: err, cause: cause, retry: ctx.Err() == nil && !tooLarge && (!request.once || unsent)}
	}
	e.nonces.Observe(endpoint, result.header)
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
var errOutcomeUnknown = redact.Words("it is not known whether HelseID has processed the request")

// unprocessed reports that an answer with this status means that the credential
// in the request has not been used up: a redirect, a refusal, or "not now" (503,
// which a server or a proxy before it says of requests that it does not take).
// Other failures can come after the credential was spent.
func unprocessed(status int) bool {
	return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError || status == http.StatusServiceUnavailable
}

// httpRequest makes a request, whose context is that of the signatures in it.
func (e *exchanger) httpRequest(ctx context.Context, endpoint *url.URL, nonce string, request backChannelRequest) (*http.Request, error) {
	assertion, err := e.assertions.Sign(ctx, request.details...)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"client_id":             {e.clientID},
		"client_assertion_type": {clientassertion.Type},
		"client_assertion":      {assertion},
	}
	for name, values := range request.parameters {
		form[name] = values
	}
	if len(request.session) > 0 {
		object, err := e.assertions.SignRequestObject(ctx, request.session...)
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
	httpx.SetUserAgent(httpRequest.Header)
	if request.prove {
		proof, err := e.prover.Proof(ctx, dpop.Target{Method: http.MethodPost, URL: endpoint, Nonce: nonce})
		if err != nil {
			return nil, err
		}
		httpRequest.Header.Set(dpop.HeaderName, proof)
	}
	return httpRequest, nil
}

func (e *exchanger) send(request *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(request.Context(), e.timeout)
	defer cancel()
	resp, err := e.http.Do(request.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	body, err := httpx.ReadBody(resp)
	if err != nil {
		return answer{status: resp.StatusCode}, fmt.Errorf("the answer broke off: %w", err)
	}
	return answer{at: time.Now(), status: resp.StatusCode, header: resp.Header, body: body}, nil
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
