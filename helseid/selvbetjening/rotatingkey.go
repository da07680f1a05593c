package selvbetjening

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
)

// rotatingKey is the key of a client, which a rotation replaces.
type rotatingKey struct {
	used atomic.Pointer[usedKey]

	// start starts a search in the background, which ends with searched.
	start func(search *search)

	mu        sync.Mutex
	trial     *trial  // of a key that may be registered already, or nil
	searching *search // under way, or nil
}

// search is one for another key than a refused one.
type search struct {
	refused *clientassertion.Key
	done    chan struct{} // closed when it has found one, or gives up
}

// usedKey is the key in use, and what is known of it.
type usedKey struct {
	*clientassertion.Key
	since  time.Time // when it was made, or zero
	expiry time.Time // or zero
	jitter float64   // how early it is replaced, from 0 to 1
}

// trial is the time from a key's registration until it has been seen to work.
type trial struct {
	hurry     func()        // says that the old key does not work any more
	verifying atomic.Bool   // the key is being tried: nobody else needs to
	done      chan struct{} // closed at the end
}

// current is the key in use.
func (k *rotatingKey) current() *clientassertion.Key { return k.used.Load().Key }

// Key implements [clientassertion.KeySource].
func (k *rotatingKey) Key(context.Context) (*clientassertion.Key, error) { return k.current(), nil }

// KeyRefused implements [clientassertion.RefusedKeySource]: it waits for the key that is
// on its way, here or in another instance.
func (k *rotatingKey) KeyRefused(ctx context.Context, refused *clientassertion.Key) {
	if trial := k.underTrial(); trial != nil {
		trial.hurry()
	}
	for same(k.current(), refused) && ctx.Err() == nil {
		search := k.join(refused)
		select {
		case <-search.done:
		case <-ctx.Done():
		}
		if same(search.refused, refused) { // and not for a key before it
			return
		}
	}
}

// join starts a search, or joins the one that is under way.
func (k *rotatingKey) join(refused *clientassertion.Key) *search {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.searching == nil {
		k.searching = &search{refused, make(chan struct{})}
		k.start(k.searching)
	}
	return k.searching
}

// searched ends the search that is under way.
func (k *rotatingKey) searched() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.searching.done)
	k.searching = nil
}

func (k *rotatingKey) underTrial() *trial {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trial
}

// begin starts a trial. The context ends when the old key has been refused.
func (k *rotatingKey) begin(ctx context.Context) (untilRefused context.Context, current *trial, end func()) {
	untilRefused, hurry := context.WithCancel(ctx)
	current = &trial{hurry: hurry, done: make(chan struct{})}
	k.mu.Lock()
	k.trial = current
	k.mu.Unlock()
	return untilRefused, current, sync.OnceFunc(func() {
		k.mu.Lock()
		k.trial = nil
		k.mu.Unlock()
		close(current.done)
		hurry()
	})
}

// swap puts a key in the place of another, and returns that. It returns nil if the key is
// in use already.
func (k *rotatingKey) swap(next *usedKey) (before *usedKey) {
	for {
		before = k.used.Load()
		if same(before.Key, next.Key) {
			return nil
		}
		if k.used.CompareAndSwap(before, next) {
			return before
		}
	}
}

// expires notes when a key expires, if it is the one in use.
func (k *rotatingKey) expires(key *clientassertion.Key, expiry time.Time) {
	for {
		used := k.used.Load()
		if !same(used.Key, key) {
			return
		}
		noted := *used
		noted.expiry = expiry
		if k.used.CompareAndSwap(used, &noted) {
			return
		}
	}
}

func same(a, b *clientassertion.Key) bool {
	return a != nil && b != nil && a.Thumbprint() == b.Thumbprint()
}
