package helseid

import (
	"context"
	"sync/atomic"
)

// flight is work that is done for all who want it, or for nobody who waits. It has
// a context of its own.
type flight struct {
	signing atomic.Int32 // how many signatures it waits for
}

type flightKey struct{}

// withFlight makes a context that of a flight.
func withFlight(ctx context.Context, f *flight) context.Context {
	return context.WithValue(ctx, flightKey{}, f)
}

// unattended is the context of work that nobody waits for.
func unattended() context.Context { return withFlight(context.Background(), &flight{}) }

// flightOf is the flight that a context is of, or nil.
func flightOf(ctx context.Context) *flight {
	f, _ := ctx.Value(flightKey{}).(*flight)
	return f
}

// isSigning reports whether a flight waits for a signature. A nil one does not.
func (f *flight) isSigning() bool { return f != nil && f.signing.Load() > 0 }
