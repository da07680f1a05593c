package helseid

import (
	"context"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
)

// Tracer makes spans of what a client does: [Config.OnEvent] tells what has happened, a
// Tracer also where work begins and in which context. Package otelhelseid has one for
// OpenTelemetry. Its methods are called from many goroutines and must return quickly.
type Tracer interface {
	// Begin is called when work begins: a token request ([EventTokenRequest]) with all
	// its round trips, or a round trip ([EventRoundTrip]). It returns ctx with what the
	// tracer adds to it, and a function that is called once with the event that the
	// work ends with.
	//
	// The work is done in the context that Begin returns. Its caller is the context of
	// the call that caused it: ctx itself, unless the event is Shared. Shared work must
	// not keep the caller's values, which may be of a request that ends earlier: take
	// from them only what says where the trace goes on.
	Begin(ctx, caller context.Context, event Event) (work context.Context, end func(Event))

	// Waited is called after a call, with context ctx, has waited for a token that
	// another call had caused to be fetched. The other context is the one that Begin
	// returned for that. The event is an [EventCacheMiss] with the time that the call
	// has waited, and with an error if it got no token.
	Waited(ctx, work context.Context, event Event)
}

// begin reports that work begins. It returns the work's context, and what reports its
// end.
func (r *reporter) begin(ctx, caller context.Context, event Event) (work context.Context, end func(Event)) {
	if r.tracer == nil {
		return ctx, func(event Event) { r.emit(ctx, event) }
	}
	work, done := r.tracer.Begin(ctx, caller, r.complete(ctx, event))
	return work, func(event Event) {
		done(r.complete(work, event))
		r.emit(work, event)
	}
}

// waited reports that a call has waited for the work of another one's flight, if there
// was any.
func (r *reporter) waited(ctx, work context.Context, since time.Time, err error) {
	if r.tracer != nil && work != nil {
		r.tracer.Waited(ctx, work, r.complete(ctx, Event{Kind: EventCacheMiss, Duration: time.Since(since), Err: err}))
	}
}

// beginTokenRequest does the same for a token request. The function that it returns
// reports the end.
func (r *reporter) beginTokenRequest(ctx, caller context.Context, renewal bool) (work context.Context, end func(error)) {
	event := Event{Kind: EventTokenRequest, Endpoint: exchange.TokenEndpoint, Renewal: renewal}
	start := time.Now()
	work, done := r.begin(ctx, caller, event)
	return work, func(err error) {
		event.Duration, event.Err = time.Since(start), err
		done(event)
	}
}

// RoundTrip implements [exchange.Observer].
func (r *reporter) RoundTrip(ctx context.Context, trip exchange.Trip) (sending context.Context, end func(exchange.Outcome)) {
	event := Event{Kind: EventRoundTrip, Endpoint: trip.Endpoint, URL: trip.URL, KeyID: trip.KeyID}
	sending, done := r.begin(ctx, ctx, event)
	return sending, func(outcome exchange.Outcome) {
		r.tellKey(ctx, trip.KeyID)
		event.Status, event.Duration, event.Err = outcome.Status, outcome.Took, outcome.Err
		done(event)
	}
}
