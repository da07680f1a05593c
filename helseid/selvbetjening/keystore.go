package selvbetjening

import (
	"context"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrKeysChanged is wrapped by the error of a [KeyStore] that holds other keys by now
// than those that were loaded, and has saved nothing.
var ErrKeysChanged = errKeysChanged

var errKeysChanged = redact.Words("selvbetjening: the stored keys are others by now")

// KeyStore keeps a client's keys where they outlive the process: [FileStore], or the
// application's own vault. A rotation is safe by what Save promises alone, also between
// several instances, and also if one of them pauses for longer than its lock lasts.
type KeyStore interface {
	// Load returns what was saved last, with its version. A Current of nil means that
	// nothing was, and Config.Key is the client's.
	Load(ctx context.Context) (StoredKeys, error)

	// Save replaces all of what was there, or nothing, and returns the new version. The
	// keys are durable when it returns without an error. It fails with [ErrKeysChanged] if
	// what is stored no longer has the version in keys, which is that of a Load or of the
	// Save before: in the same step as it writes, as Vault's check-and-set, an HTTP PUT
	// with If-Match, or an UPDATE with the version in its WHERE does.
	Save(ctx context.Context, keys StoredKeys) (version string, err error)
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

	// Replaced are the kids ([clientassertion.Key.ID]) of earlier keys, which HelseID
	// lists until they expire.
	Replaced []string

	// Version is the store's own name for this content. Empty means that nothing is
	// stored yet.
	Version string
}
