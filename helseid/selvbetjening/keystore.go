package selvbetjening

import (
	"context"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
)

// KeyStore keeps a client's keys where they outlive the process: [FileStore], or the
// application's own vault. Save must have made the keys durable when it returns without
// an error, and replace all of what was there or nothing: a rotation is safe by that
// alone.
type KeyStore interface {
	// Load returns what was saved last. A Current of nil means that nothing was, and
	// Config.Key is the client's.
	Load(ctx context.Context) (StoredKeys, error)

	// Save replaces the keys.
	Save(ctx context.Context, keys StoredKeys) error
}

// StoredKeys are the keys of a client that are kept. Printed, logged or marshalled they
// read "[redacted]".
type StoredKeys struct {
	unprintable

	// Current is the key that works.
	Current *clientassertion.Key

	// CurrentSince is when Current was made, or zero if it is not known.
	CurrentSince time.Time

	// Pending is a key that may have been registered and has not been seen to work yet,
	// or nil.
	Pending *clientassertion.Key

	// PendingSince is when Pending was made.
	PendingSince time.Time
}
