package redisstore

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxBatch is the largest number of uses in one request: so many keep Redis busy
	// for a fraction of a millisecond.
	maxBatch = 128

	// maxRequests is how many requests of one batcher may be under way. One is enough
	// as long as Redis answers: the busier it is, the more uses share the next
	// request. The others are for when an answer is slow.
	maxRequests = 4

	// patience is how long a use waits before another request is sent in addition to
	// those under way.
	patience = 10 * time.Millisecond
)

// batcher combines uses of Redis that come at the same time into one request. A use
// that finds no request under way is sent at once, by its caller. Those that come
// meanwhile share the next request, which a goroutine sends; the goroutine ends when
// no use waits any more.
type batcher[U any] struct {
	// send asks Redis and writes each answer into its use. It ends within the time
	// limit.
	send    func(ctx context.Context, uses []U)
	timeout time.Duration // of the uses that wait

	mu       sync.Mutex
	waiting  []*waiter[U]
	requests int
	closed   bool
	sending  sync.WaitGroup // the goroutines that send
}

// waiter is a use that waits.
type waiter[U any] struct {
	use      U
	answered chan struct{}
	err      error // why it was not sent
}

func newWaiter[U any](use U) *waiter[U] {
	return &waiter[U]{use: use, answered: make(chan struct{})}
}

// do returns when the use has been answered. If the context ends before that, it
// returns the context's error, and the caller must not read the use: it may still be
// sent and answered.
func (b *batcher[U]) do(ctx context.Context, use U) error {
	w, err := b.enter(use)
	if err != nil {
		return err
	}
	if w == nil {
		runtime.Gosched() // lets other goroutines add their uses first
		if w = b.join(use); w == nil {
			defer b.finish() // also if a hook or log handler of the application panics
			b.send(ctx, []U{use})
			return nil
		}
	}
	return b.await(ctx, w)
}

// enter queues a use, unless no request is under way.
func (b *batcher[U]) enter(use U) (*waiter[U], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, redis.ErrClosed
	case b.requests == 0:
		b.requests++
		return nil, nil
	}
	w := newWaiter(use)
	b.waiting = append(b.waiting, w)
	return w, nil
}

// join queues a use that found no request under way together with those that came
// after it. If there are none, it returns nil and the caller sends the use.
func (b *batcher[U]) join(use U) *waiter[U] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	w := newWaiter(use)
	b.waiting = slices.Insert(b.waiting, 0, w)
	b.requests--
	b.sendWaiting()
	return w
}

// await returns when a queued use has been answered, or is not waited for any more.
func (b *batcher[U]) await(ctx context.Context, w *waiter[U]) error {
	timer := time.NewTimer(patience) // later reset to the rest of the time limit
	defer timer.Stop()
	for early := false; ; early = true {
		select {
		case <-w.answered:
			return w.err
		case <-ctx.Done():
			b.leave(w)
			return ctx.Err()
		case <-timer.C:
			if early {
				b.leave(w)
				return context.DeadlineExceeded
			}
			b.sendEarly(w)
			timer.Reset(b.timeout - patience)
		}
	}
}

// finish notes that a request has been answered, and sends the uses that wait.
func (b *batcher[U]) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests--
	b.sendWaiting()
}

// sendEarly sends the uses that wait if this one has waited for long.
func (b *batcher[U]) sendEarly(w *waiter[U]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests < maxRequests && slices.Contains(b.waiting, w) {
		b.sendWaiting()
	}
}

// leave removes a use whose caller has given up from the queue. If it has been sent,
// its answer is ignored.
func (b *batcher[U]) leave(w *waiter[U]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, w); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
}

// sendWaiting starts a goroutine that sends the uses that wait, and those that come
// before they are answered. The caller holds the lock.
func (b *batcher[U]) sendWaiting() {
	if len(b.waiting) == 0 {
		return
	}
	b.requests++
	b.sending.Go(func() {
		var uses []U
		for batch := b.nextBatch(); len(batch) > 0; batch = b.nextBatch() {
			uses = uses[:0]
			for _, w := range batch {
				uses = append(uses, w.use)
			}
			b.send(context.Background(), uses)
			for _, w := range batch {
				close(w.answered)
			}
		}
	})
}

// nextBatch removes the uses for one request from the queue. If there are none, the
// goroutine ends.
//
// It lets other goroutines run first: a process with more work than processors then
// sends few large batches, which saves itself and Redis work. Any other process loses
// no time.
func (b *batcher[U]) nextBatch() []*waiter[U] {
	runtime.Gosched()
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxBatch)
	batch := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	if n == 0 {
		b.requests--
	}
	return batch
}

// close refuses new uses and fails those that wait, except those that a goroutine is
// sending.
func (b *batcher[U]) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, w := range b.waiting {
		w.err = redis.ErrClosed
		close(w.answered)
	}
	b.waiting = nil
}

// wait returns when no goroutine is sending any more. Call it after close.
func (b *batcher[U]) wait() { b.sending.Wait() }
