package lifecycle

import (
	"context"
	"sync/atomic"
)

// Flight is work that is done for all who want it, or for nobody who waits. It has
// a context of its own.
type Flight struct {
	signing atomic.Int32 // how many signatures it waits for
}

type flightKey struct{}

// WithFlight makes a context that of a flight.
func WithFlight(ctx context.Context, f *Flight) context.Context {
	return context.WithValue(ctx, flightKey{}, f)
}

// Unattended is the context of work that nobody waits for.
func Unattended() context.Context { return WithFlight(context.Background(), &Flight{}) }

// FlightOf is the flight that a context is of, or nil.
func FlightOf(ctx context.Context) *Flight {
	f, _ := ctx.Value(flightKey{}).(*Flight)
	return f
}

// IsSigning reports whether a flight waits for a signature. A nil one does not.
func (f *Flight) IsSigning() bool { return f != nil && f.signing.Load() > 0 }

// Sign notes that the flight waits for a signature, until done is called. A nil one notes
// nothing.
func (f *Flight) Sign() (done func()) {
	if f == nil {
		return func() {}
	}
	f.signing.Add(1)
	return func() { f.signing.Add(-1) }
}
