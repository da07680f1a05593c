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
	// maxBatch is how many uses travel together at most: so many keep Redis busy
	// for a fraction of a millisecond.
	maxBatch = 128

	// maxFlights is how many requests of one batcher may be under way. The first
	// is enough for a Redis that answers: the more it has to do, the more uses
	// travel with the next. The others are for when it does not answer soon.
	maxFlights = 4

	// patience is how long a use waits for a place before another request is sent
	// beside those that are under way.
	patience = 10 * time.Millisecond
)

// batcher lets uses of Redis that come at the same time travel together, in one
// request. A use that finds nothing under way is sent at once, by its caller. Those
// that come meanwhile travel together with the next request, which a goroutine
// sends: it ends when nobody waits any more.
type batcher[U any] struct {
	// send asks Redis and writes each answer into the use that asked. It ends
	// within the time limit.
	send    func(ctx context.Context, uses []U)
	timeout time.Duration // of those who wait

	mu      sync.Mutex
	waiting []*passenger[U]
	flights int
	closed  bool
	sending sync.WaitGroup // the goroutines
}

// passenger is a use that waits.
type passenger[U any] struct {
	use     U
	arrived chan struct{}
	err     error // why it was not sent
}

func newPassenger[U any](use U) *passenger[U] {
	return &passenger[U]{use: use, arrived: make(chan struct{})}
}

// do returns when the use has been answered. Whoever gives up before gets the
// context's error, and must not look at the use: it may yet be sent and answered.
func (b *batcher[U]) do(ctx context.Context, use U) error {
	p, err := b.enter(use)
	if err != nil {
		return err
	}
	if p == nil {
		runtime.Gosched() // whoever is about to come as well comes now
		if p = b.join(use); p == nil {
			b.send(ctx, []U{use})
			b.landed()
			return nil
		}
	}
	return b.await(ctx, p)
}

// enter queues a use, unless it finds nothing under way.
func (b *batcher[U]) enter(use U) (*passenger[U], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, redis.ErrClosed
	case b.flights == 0:
		b.flights++
		return nil, nil
	}
	p := newPassenger(use)
	b.waiting = append(b.waiting, p)
	return p, nil
}

// join lets a use that found nothing under way travel with those that came after it.
// If there are none, it is for its caller to send.
func (b *batcher[U]) join(use U) *passenger[U] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	p := newPassenger(use)
	b.waiting = slices.Insert(b.waiting, 0, p)
	b.flights--
	b.takeOff()
	return p
}

// await returns when a use that waits has been answered, or need not be any more.
func (b *batcher[U]) await(ctx context.Context, p *passenger[U]) error {
	timer := time.NewTimer(patience) // and then for the rest of the time limit
	defer timer.Stop()
	for hurried := false; ; hurried = true {
		select {
		case <-p.arrived:
			return p.err
		case <-ctx.Done():
			b.leave(p)
			return ctx.Err()
		case <-timer.C:
			if hurried {
				b.leave(p)
				return context.DeadlineExceeded
			}
			b.hurry(p)
			timer.Reset(b.timeout - patience)
		}
	}
}

// landed lets those go who wait.
func (b *batcher[U]) landed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flights--
	b.takeOff()
}

// hurry lets those go who have waited long.
func (b *batcher[U]) hurry(p *passenger[U]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flights < maxFlights && slices.Contains(b.waiting, p) {
		b.takeOff()
	}
}

// leave takes a use that nobody waits for out of the queue. One that is under way
// is answered to nobody.
func (b *batcher[U]) leave(p *passenger[U]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, p); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
}

// takeOff sends those who wait, and whoever waits when they have been answered.
// The caller holds the lock.
func (b *batcher[U]) takeOff() {
	if len(b.waiting) == 0 {
		return
	}
	b.flights++
	b.sending.Go(func() {
		var uses []U
		for batch := b.board(); len(batch) > 0; batch = b.board() {
			uses = uses[:0]
			for _, p := range batch {
				uses = append(uses, p.use)
			}
			b.send(context.Background(), uses)
			for _, p := range batch {
				close(p.arrived)
			}
		}
	})
}

// board takes those who travel together out of the queue. Without any the flight is
// over.
//
// It lets others run first: a process that has more to do than processors sends few
// and large batches, and saves itself and Redis work. One that has not loses no time.
func (b *batcher[U]) board() []*passenger[U] {
	runtime.Gosched()
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxBatch)
	batch := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	if n == 0 {
		b.flights--
	}
	return batch
}

// close lets no more in, and sends away those who wait: a goroutine that is sending
// is the last.
func (b *batcher[U]) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, p := range b.waiting {
		p.err = redis.ErrClosed
		close(p.arrived)
	}
	b.waiting = nil
}

// wait returns when no goroutine is sending, after close.
func (b *batcher[U]) wait() { b.sending.Wait() }
