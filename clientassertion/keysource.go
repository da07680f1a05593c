package clientassertion

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// KeySource gives the key that signs. Implement it for a key that is replaced while
// the program runs: it is asked before each assertion, and a new key is used from the
// next one on.
//
// Key is called from many goroutines and should answer from memory. It gives the key
// that is in use until it has a better one: an error fails the request that needs the
// signature.
type KeySource interface {
	Key(ctx context.Context) (*Key, error)
}

// RefusedKeySource is a [KeySource] that wants to know when HelseID refuses an
// assertion (invalid_client).
//
// KeyRefused returns when the source has another key to try than the refused one, or
// knows that it has none. The request is then made again if [KeySource.Key] gives another
// key, with up to three other keys in turn. KeyRefused may wait until ctx ends for a
// replacement that is under way.
type RefusedKeySource interface {
	KeySource
	KeyRefused(ctx context.Context, refused *Key)
}

// ExpiringKeySource is a [KeySource] that knows when HelseID stops accepting its key.
//
// KeyExpiry returns when the key with that [Key.ID] expires, or zero if that is not known.
// It answers from memory.
type ExpiringKeySource interface {
	KeySource
	KeyExpiry(keyID string) time.Time
}

var errNoKey = errors.New("the key source gave no key")

// nextKey asks a source for the key.
func nextKey(ctx context.Context, source KeySource) (*Key, error) {
	key, err := source.Key(ctx)
	if err == nil && (key == nil || key.key == nil) {
		err = errNoKey
	}
	if err != nil && !errors.Is(err, ErrKey) {
		err = fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, err
}
