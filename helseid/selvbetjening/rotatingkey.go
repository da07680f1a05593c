package selvbetjening

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/helseid-go/sdk/clientassertion"
)

// rotatingKey is the key of a client, which a rotation replaces.
type rotatingKey struct {
	key    atomic.Pointer[clientassertion.Key]
	reload func(ctx context.Context) // looks into the store

	mu      sync.Mutex
	trial   *trial // of a key that may be registered already, or nil
	looking sync.Mutex
}

// trial is the time from a key's registration until it has been seen to work.
type trial struct {
	hurry func()        // says that the old key does not work any more
	done  chan struct{} // closed at the end
}

// Key implements [clientassertion.KeySource].
func (k *rotatingKey) Key(context.Context) (*clientassertion.Key, error) { return k.key.Load(), nil }

// KeyRefused implements [clientassertion.RefusedKeySource]: it waits for the key that is
// on its way, or looks whether another instance has left one.
func (k *rotatingKey) KeyRefused(ctx context.Context, refused *clientassertion.Key) {
	if k.key.Load().Thumbprint() != refused.Thumbprint() {
		return
	}
	k.mu.Lock()
	trial := k.trial
	k.mu.Unlock()
	if trial == nil {
		if k.looking.TryLock() {
			defer k.looking.Unlock()
			k.reload(ctx)
		}
		return
	}
	trial.hurry()
	select {
	case <-trial.done:
	case <-ctx.Done():
	}
}

// begin starts a trial. The context ends when the old key has been refused.
func (k *rotatingKey) begin(ctx context.Context) (untilRefused context.Context, end func()) {
	untilRefused, hurry := context.WithCancel(ctx)
	current := &trial{hurry: hurry, done: make(chan struct{})}
	k.mu.Lock()
	k.trial = current
	k.mu.Unlock()
	return untilRefused, sync.OnceFunc(func() {
		k.mu.Lock()
		k.trial = nil
		k.mu.Unlock()
		close(current.done)
		hurry()
	})
}
