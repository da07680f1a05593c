package exchange

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

// Timeout limits one request with all its attempts.
const Timeout = 45 * time.Second

// Exchange sends the requests to HelseID in which the client authenticates. Each
// attempt has its own assertion, proof and body. It is safe for concurrent use.
type Exchange struct {
	ClientID   string
	Assertions *clientassertion.Signer
	Prover     *dpop.Prover
	Nonces     *dpop.Nonces
	Metadata   *metadata.Source
	HTTP       *http.Client  // follows no redirect
	Timeout    time.Duration // of one attempt
	Budgets    Budgets
	Signing    *Signing
	Work       *lifecycle.Lifecycle
	Observer   Observer

	// Refused makes the error that callers see for a refusal.
	Refused func(Refusal) error

	fetches singleflight.Group // of the metadata
}

// Observer is called for what happens, in the context of the request.
type Observer interface {
	// RoundTrip is called when a request is about to be sent. It returns the context to
	// send it in, and a function that is called with the outcome.
	RoundTrip(ctx context.Context, trip Trip) (sending context.Context, end func(Outcome))

	// NonceChallenge reports that HelseID required a DPoP nonce.
	NonceChallenge(ctx context.Context, endpoint string)

	// Retry reports that a request is retried after a wait.
	Retry(ctx context.Context, endpoint string, err error, wait time.Duration)

	// KeyRetry reports that a signature for a request is retried.
	KeyRetry(ctx context.Context, endpoint string)

	// Failed reports the error that a request ended with.
	Failed(ctx context.Context, endpoint string, err error)
}

// Trip is a request on its way, with an assertion by the key with that kid.
type Trip struct {
	Endpoint string // the metadata member that names it
	URL      string // without a query
	KeyID    string
}

// Outcome is how a trip has ended.
type Outcome struct {
	Status int // zero: no answer
	Took   time.Duration
	Err    error
}

// Request is the part of a request to HelseID that all its attempts share. Everything
// else is made for each attempt.
type Request struct {
	Endpoint   string // the metadata member that names it
	Parameters url.Values
	Details    []clientassertion.Detail

	// Session are details that apply to a whole session: they go into a signed
	// request object.
	Session []clientassertion.Detail

	// Prove adds a DPoP proof.
	Prove bool

	// Once says that the request carries a code or a refresh token: it is retried
	// only after failures in which HelseID cannot have processed it.
	Once bool
}

// Do sends a request, and retries it after failures that a retry can cure. An answer
// that is not a success is an error.
func (e *Exchange) Do(ctx context.Context, turn *bulkhead.Turn, request Request) (Answer, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Answer{}, fmt.Errorf("%w: %w", metadata.ErrUnavailable, err)
		}
		result, err := e.roundTrips(ctx, turn, request)
		if err == nil {
			return result, nil
		}
		failed := time.Now()
		var failure *attemptError
		if !errors.As(err, &failure) || !failure.retry || e.Work.Closed() || turn.Await(ctx) != nil || e.Work.Closed() {
			e.Observer.Failed(ctx, request.Endpoint, err)
			return Answer{}, err
		}
		e.Observer.Retry(ctx, request.Endpoint, err, time.Since(failed))
	}
}

// maxKeys is how many keys a request tries: one that has been replaced meanwhile may have
// been replaced again by the time that its assertion arrives.
const maxKeys = 4

// roundTrips makes one attempt, another if HelseID answers with the nonce that it
// requires, and more if it refuses a key that has been replaced meanwhile. Those before
// the last do not use up a code or a refresh token.
func (e *Exchange) roundTrips(ctx context.Context, turn *bulkhead.Turn, request Request) (Answer, error) {
	endpoint, err := e.Endpoint(ctx, request.Endpoint)
	if err != nil {
		return Answer{}, err
	}
	nonce := e.Nonces.Get(endpoint)
	challenged, keys := false, 1
	for {
		result, err := e.attempt(ctx, turn, endpoint, nonce, request)
		if err != nil || result.ok() {
			return result, err
		}
		var failure error = &KeyError{result.keyID(), e.Failure(result)}
		refusal, err := result.refusal()
		if err == nil && keys < maxKeys && refusal.Code == "invalid_client" && !refusal.Temporary && result.signer.Refused(ctx) {
			keys, nonce = keys+1, e.Nonces.Get(endpoint)
			continue
		}
		if err != nil || refusal.Code != "use_dpop_nonce" {
			if request.Once && !unprocessed(result.Status) {
				failure = fmt.Errorf("%w: %w", ErrOutcomeUnknown, failure)
			}
			return Answer{}, &attemptError{
				err:   failure,
				retry: TemporaryStatus(result.Status) && (!request.Once || result.Status == http.StatusTooManyRequests),
			}
		}
		e.Observer.NonceChallenge(ctx, request.Endpoint)
		fresh := e.Nonces.Observe(endpoint, result.Header)
		switch {
		case challenged:
			return Answer{}, failure
		case fresh == "":
			return Answer{}, fmt.Errorf("%w: %w: HelseID demands a DPoP nonce without giving a usable one", metadata.ErrInvalid, failure)
		case fresh == nonce:
			return Answer{}, fmt.Errorf("%w: HelseID demands a DPoP nonce and gave the one that was just used", failure)
		}
		challenged, nonce = true, fresh
	}
}

// attempt makes one round trip as soon as there is a free slot.
func (e *Exchange) attempt(ctx context.Context, turn *bulkhead.Turn, endpoint *url.URL, nonce string, request Request) (result Answer, err error) {
	unsent := turn.Send(ctx, func() bulkhead.Outcome {
		result, err = e.roundTrip(ctx, endpoint, nonce, request)
		return e.outcomeOf(ctx, result, err)
	})
	if unsent != nil {
		return Answer{}, unsent
	}
	return result, err
}

// roundTrip builds and sends one request with a new assertion, a new proof and a new
// body. None of them is ever sent twice.
func (e *Exchange) roundTrip(ctx context.Context, endpoint *url.URL, nonce string, request Request) (Answer, error) {
	var progress sendProgress
	var httpRequest *http.Request
	var signer *clientassertion.Signer
	err := e.Signing.Sign(ctx, func() { e.Observer.KeyRetry(ctx, request.Endpoint) }, func(signing context.Context) (err error) {
		if signer, err = e.Assertions.Current(signing); err == nil {
			httpRequest, err = e.httpRequest(signing, signer, endpoint, nonce, request)
		}
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, fmt.Errorf("%s: %w: %w", request.Endpoint, metadata.ErrUnavailable, err)
	}
	sending, arrived := e.Observer.RoundTrip(ctx, Trip{request.Endpoint, address(endpoint), signer.KeyID()})
	httpRequest = httpRequest.WithContext(progress.watch(sending))
	lifecycle.Commit(ctx)
	start := time.Now()
	result, err := e.send(httpRequest)
	result.Endpoint, result.signer = request.Endpoint, signer
	arrived(Outcome{result.Status, time.Since(start), err})
	if err != nil {
		tooLarge := errors.Is(err, httpx.ErrTooLarge)
		category := metadata.ErrUnavailable
		if tooLarge {
			category = metadata.ErrInvalid
		}
		cause := err
		err = fmt.Errorf("%s: %w: %w", request.Endpoint, category, err)
		unsent := progress.unsent()
		if request.Once && !unsent {
			err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
		return result, &attemptError{err: err, cause: cause, retry: ctx.Err() == nil && !tooLarge && (!request.Once || unsent)}
	}
	e.Nonces.Observe(endpoint, result.Header)
	result.Sent = start
	return result, nil
}

// address is an endpoint's URL without what may follow its path.
func address(endpoint *url.URL) string {
	return (&url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: endpoint.Path}).String()
}

// httpRequest makes a request. Its context is the one that the signatures in it are
// made in.
func (e *Exchange) httpRequest(ctx context.Context, signer *clientassertion.Signer, endpoint *url.URL, nonce string, request Request) (*http.Request, error) {
	assertion, err := signer.Sign(ctx, request.Details...)
	if err != nil {
		return nil, &KeyError{signer.KeyID(), err}
	}
	form := url.Values{
		"client_id":             {e.ClientID},
		"client_assertion_type": {clientassertion.Type},
		"client_assertion":      {assertion},
	}
	maps.Copy(form, request.Parameters)
	if len(request.Session) > 0 {
		object, err := signer.SignRequestObject(ctx, request.Session...)
		if err != nil {
			return nil, &KeyError{signer.KeyID(), err}
		}
		form.Set("request", object)
	}
	httpRequest, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request.Endpoint, err)
	}
	httpRequest.GetBody = nil // so that net/http cannot send it twice
	httpRequest.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	httpRequest.Header.Set("Accept", "application/json")
	httpx.SetUserAgent(httpRequest.Header)
	if request.Prove {
		proof, err := e.Prover.Proof(ctx, dpop.Target{Method: http.MethodPost, URL: endpoint, Nonce: nonce})
		if err != nil {
			return nil, err
		}
		httpRequest.Header.Set(dpop.HeaderName, proof)
	}
	return httpRequest, nil
}

func (e *Exchange) send(request *http.Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(request.Context(), e.Timeout)
	defer cancel()
	resp, err := e.HTTP.Do(request.WithContext(ctx)) //nolint:bodyclose // ReadBody does
	if err != nil {
		return Answer{}, err
	}
	body, err := httpx.ReadBody(resp)
	if err != nil {
		return Answer{Status: resp.StatusCode}, fmt.Errorf("the answer broke off: %w", err)
	}
	return Answer{At: time.Now(), Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}
