package lifecycle

import (
	"context"
	"sync/atomic"
)

// Flight is work that several callers share, or that runs in the background. It has a
// context of its own.
type Flight struct {
	signing atomic.Int32 // signatures under way
	work    atomic.Pointer[context.Context]
	boarded atomic.Bool
}

// Board notes that the flight has begun.
func (f *Flight) Board() { f.boarded.Store(true) }

// Boarded reports whether the flight has begun: it has not if its maker joined another
// one.
func (f *Flight) Boarded() bool { return f.boarded.Load() }

// Work notes the context in which the flight does its work.
func (f *Flight) Work(ctx context.Context) { f.work.Store(&ctx) }

// Context returns that context while the work goes on, otherwise nil, also for a nil
// flight.
func (f *Flight) Context() context.Context {
	if f == nil {
		return nil
	}
	if work := f.work.Load(); work != nil {
		return *work
	}
	return nil
}

// Land notes that the work is done, and returns its context or nil. A flight that is
// kept keeps no context.
func (f *Flight) Land() context.Context {
	work := f.Context()
	f.work.Store(nil)
	return work
}

type flightKey struct{}

// WithFlight returns a context that belongs to a flight.
func WithFlight(ctx context.Context, f *Flight) context.Context {
	return context.WithValue(ctx, flightKey{}, f)
}

// Unattended returns a context for work that nobody waits for.
func Unattended() context.Context { return WithFlight(context.Background(), &Flight{}) }

// FlightOf returns the flight that a context belongs to, or nil.
func FlightOf(ctx context.Context) *Flight {
	f, _ := ctx.Value(flightKey{}).(*Flight)
	return f
}

// IsSigning reports whether a flight waits for a signature. It is false for nil.
func (f *Flight) IsSigning() bool { return f != nil && f.signing.Load() > 0 }

// Sign notes that the flight waits for a signature until done is called. For nil it
// does nothing.
func (f *Flight) Sign() (done func()) {
	if f == nil {
		return func() {}
	}
	f.signing.Add(1)
	return func() { f.signing.Add(-1) }
}
