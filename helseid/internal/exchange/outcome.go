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

// ErrOutcomeUnknown marks the failure of a request whose credential (a code or a
// refresh token) may have been used up.
var ErrOutcomeUnknown = redact.Words("it is not known whether HelseID has processed the request")

// attemptError says whether a retry can help.
type attemptError struct {
	err   error
	retry bool
	cause error // of a missing answer
}

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// outcomeOf returns what a round trip says about HelseID: nothing, if its caller did
// not wait for the answer.
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

// othersError is the failure of another request. It cannot be unwrapped, so that no
// caller takes its timeout for their own.
type othersError struct{ cause error }

func (e *othersError) Error() string { return e.cause.Error() }

// LogValue returns the kind of the error.
func (e *othersError) LogValue() slog.Value { return slog.StringValue(redact.Kinds(e.cause)) }

// shared makes the errors for requests that share a refusal: each gets its own, with
// the remaining time.
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

// sendProgress records how far a failed request has got.
type sendProgress struct {
	traced  atomic.Bool // the transport reports its progress
	written atomic.Bool
}

func (p *sendProgress) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { p.traced.Store(true) },
		WroteHeaders: func() { p.written.Store(true) },
	})
}

// unsent reports that no part of the request has been sent. It is false if the
// transport does not report its progress.
func (p *sendProgress) unsent() bool { return p.traced.Load() && !p.written.Load() }

// unprocessed reports that an answer with this status means that the credential in
// the request has not been used up: a redirect, a refusal, or "not now" (503, with
// which a server, or a proxy in front of it, rejects requests unprocessed). Other
// failures can come after the credential was used.
func unprocessed(status int) bool {
	return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError || status == http.StatusServiceUnavailable
}
