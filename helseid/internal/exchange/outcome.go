package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrOutcomeUnknown marks the failure of a request that may have used up the
// credential in it.
var ErrOutcomeUnknown = redact.Words("it is not known whether HelseID has processed the request")

// attemptError says whether a new attempt can help.
type attemptError struct {
	err   error
	retry bool
	cause error // what broke, if there was no answer
}

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// outcomeOf is what a round trip says about HelseID. One that its caller has not
// waited for says nothing.
func (e *Exchange) outcomeOf(ctx context.Context, result Answer, err error) bulkhead.Outcome {
	var failure *attemptError
	switch {
	case err == nil && !TemporaryStatus(result.Status), errors.Is(err, httpx.ErrTooLarge):
		return bulkhead.Outcome{Verdict: bulkhead.Answered}
	case err == nil:
		verdict := bulkhead.Unavailable
		if result.Status == http.StatusTooManyRequests {
			verdict = bulkhead.Throttled
		}
		return bulkhead.Outcome{Verdict: verdict, Wait: result.pause(), Told: e.shared(result)}
	case ctx.Err() != nil || !errors.As(err, &failure):
		return bulkhead.Outcome{}
	}
	told := fmt.Errorf("%s: %w: another request has just failed: %w", result.Endpoint, metadata.ErrUnavailable, &othersError{redact.Foreign(failure.cause)})
	return bulkhead.Outcome{Verdict: bulkhead.Unavailable, Told: func(time.Duration) error { return told }}
}

// othersError is what another request has failed with. It is not unwrapped: nobody
// must take its timeout for their own.
type othersError struct{ cause error }

func (e *othersError) Error() string { return e.cause.Error() }

// LogValue gives what kind of error it is.
func (e *othersError) LogValue() slog.Value { return slog.StringValue(redact.Kinds(e.cause)) }

// shared makes the errors of those who share a refusal: each has one of its own,
// with the time that is left.
func (e *Exchange) shared(result Answer) func(wait time.Duration) error {
	refusal, err := result.refusal()
	if err != nil {
		return func(time.Duration) error { return err }
	}
	return func(wait time.Duration) error {
		own := refusal
		if own.RetryAfter > 0 {
			own.RetryAfter = wait
		}
		return e.Refused(own)
	}
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

// unprocessed reports that an answer with this status means that the credential
// in the request has not been used up: a redirect, a refusal, or "not now" (503,
// which a server or a proxy before it says of requests that it does not take).
// Other failures can come after the credential was spent.
func unprocessed(status int) bool {
	return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError || status == http.StatusServiceUnavailable
}
