package selvbetjening

import (
	"context"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrKeysChanged is wrapped by the error of a [KeyStore] whose keys have changed since
// they were loaded. Nothing has been saved.
var ErrKeysChanged = errKeysChanged

var errKeysChanged = redact.Words("selvbetjening: the stored keys have changed since they were loaded")

// KeyStore keeps a client's keys where they outlive the process: [FileStore], or the
// application's own vault. That a [Rotation] is safe depends on Save alone and not on a
// lock, also with several instances, and if one of them pauses for longer than its lock
// lasts.
type KeyStore interface {
	// Load returns what was saved last, with its version. A Current of nil means that
	// nothing has been saved; then the key of RotationConfig.Client is used.
	Load(ctx context.Context) (StoredKeys, error)

	// Save replaces the stored keys as a whole and returns the new version. The keys are
	// durable when it returns without an error. It compares and replaces in one step: if
	// the stored version is not keys.Version, which comes from Load or an earlier Save, it
	// changes nothing and fails with [ErrKeysChanged]. Vault's check-and-set, an HTTP PUT
	// with If-Match, and an SQL UPDATE with the version in its WHERE clause can do this.
	Save(ctx context.Context, keys StoredKeys) (version string, err error)
}

// StoredKeys are the keys of a client in a [KeyStore]. Printed, logged or marshalled they
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

	// Version identifies the stored content; its form is the store's own. Empty means
	// that nothing has been stored yet.
	Version string
}
