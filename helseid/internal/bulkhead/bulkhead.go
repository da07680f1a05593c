package bulkhead

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

// ErrBusy means that the queue is full, or that a request has waited for as long as
// it may.
var ErrBusy = fmt.Errorf("%w: too many requests of this kind are under way", metadata.ErrUnavailable)

// Bulkhead isolates the requests of one kind to one endpoint from all others: they
// have a queue, slots and a pace of their own. Neither their failures nor their
// number affect other kinds.
type Bulkhead struct {
	name     string // in errors
	line     int
	patience time.Duration
	slots    chan struct{} // one for each round trip under way
	inside   atomic.Int64
	pace     pace
}

// Limits bound the requests of a [Bulkhead].
type Limits struct {
	// Slots is how many round trips may be under way at once. A request holds a slot
	// only during its round trips, not while it waits.
	Slots int

	// Line is how many requests there may be at once, waiting and under way together.
	// Any further request fails at once ([ErrBusy]).
	Line int

	// Patience is how long a request waits for the pace, and then how long for a
	// slot. Zero means as long as its context allows.
	Patience time.Duration
}

// New makes a bulkhead with a name for its errors. A request may fail that many times
// (retries) and still be tried again.
func New(name string, limits Limits, retries int) *Bulkhead {
	return &Bulkhead{
		name:     name,
		line:     limits.Line,
		patience: limits.Patience,
		slots:    make(chan struct{}, limits.Slots),
		pace:     pace{retries: retries},
	}
}

// Turn is one request in a bulkhead, with all its attempts. It is not safe for
// concurrent use.
type Turn struct {
	bulkhead  *Bulkhead
	failures  int       // of this request
	probes    int       // how many probes had failed when it joined
	notBefore time.Time // earliest time of its next attempt
}

// Join takes a place in the queue. The caller must give it up with [Turn.Leave].
func (b *Bulkhead) Join() (*Turn, error) {
	if b.inside.Add(1) > int64(b.line) {
		b.inside.Add(-1)
		return nil, fmt.Errorf("%s: %w", b.name, ErrBusy)
	}
	t := &Turn{bulkhead: b}
	b.pace.enter(t)
	return t, nil
}

// Leave gives the place up.
func (t *Turn) Leave() {
	t.bulkhead.pace.leave(t)
	t.bulkhead.inside.Add(-1)
}

// Await waits until the pace allows the request.
func (t *Turn) Await(ctx context.Context) error {
	patience, stop := t.patience()
	defer stop()
	for {
		wait, changed, err := t.bulkhead.pace.clear(t)
		if err != nil || wait <= 0 {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-patience:
			err = t.impatient()
		case <-ctx.Done():
			err = fmt.Errorf("%s: %w: %w", t.bulkhead.name, metadata.ErrUnavailable, ctx.Err())
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

// Send makes a round trip as soon as there is a free slot. An error means that the
// round trip was not made.
func (t *Turn) Send(ctx context.Context, roundTrip func() Outcome) error {
	if err := t.slot(ctx); err != nil {
		return err
	}
	var result Outcome
	started := time.Now()
	defer func() { // deferred because roundTrip may panic
		<-t.bulkhead.slots
		t.bulkhead.pace.done(t, started, result)
	}()
	result = roundTrip()
	return nil
}

// slot takes a slot. If trouble began while it waited for one, the request waits for
// the pace again.
func (t *Turn) slot(ctx context.Context) error {
	patience, stop := t.patience()
	defer stop()
	for {
		select {
		case t.bulkhead.slots <- struct{}{}:
		case <-patience:
			return t.impatient()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: too many requests are under way: %w", t.bulkhead.name, metadata.ErrUnavailable, ctx.Err())
		}
		if t.bulkhead.pace.start(t) {
			return nil
		}
		<-t.bulkhead.slots
		if err := t.Await(ctx); err != nil {
			return err
		}
	}
}

// patience returns a channel that is closed when the request has waited long enough,
// or nil if there is no limit.
func (t *Turn) patience() (ended <-chan time.Time, stop func()) {
	if t.bulkhead.patience == 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(t.bulkhead.patience)
	return timer.C, func() { timer.Stop() }
}

// impatient returns the error of a request that has waited long enough: the failure
// of other requests, or that there are too many.
func (t *Turn) impatient() error {
	if err := t.bulkhead.pace.trouble(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", t.bulkhead.name, ErrBusy)
}
