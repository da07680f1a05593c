package helseid

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

// bulkhead keeps the requests of one kind to one endpoint apart from all others:
// they have a line, slots and a pace of their own. What goes wrong with them, and
// however many of them there are, the others do not notice.
type bulkhead struct {
	name     string // in errors
	line     int
	patience time.Duration
	slots    chan struct{} // one for each round trip under way
	inside   atomic.Int64
	pace     pace
}

// bulkheadLimits bound the requests of a bulkhead.
type bulkheadLimits struct {
	// slots is how many round trips are under way at once. A request has a slot
	// for its round trips alone, not while it waits for anything.
	slots int

	// line is how many requests there are at once, those that wait and those that
	// are under way. What comes beyond it fails at once (ErrBusy).
	line int

	// patience is how long a request waits to be let through, and how long for a
	// slot. Zero means as long as its context allows.
	patience time.Duration
}

func newBulkhead(name string, limits bulkheadLimits, retries int) *bulkhead {
	return &bulkhead{
		name:     name,
		line:     limits.line,
		patience: limits.patience,
		slots:    make(chan struct{}, limits.slots),
		pace:     pace{retries: retries},
	}
}

// turn is one request's way through a bulkhead, with all its attempts. It is not
// safe for concurrent use.
type turn struct {
	bulkhead  *bulkhead
	failures  int       // of its own
	probes    int       // how many had failed when it came
	notBefore time.Time // its own next attempt
}

// join takes a place in the line. Whoever gets one must leave it.
func (b *bulkhead) join() (*turn, error) {
	if b.inside.Add(1) > int64(b.line) {
		b.inside.Add(-1)
		return nil, fmt.Errorf("%s: %w", b.name, ErrBusy)
	}
	t := &turn{bulkhead: b}
	b.pace.enter(t)
	return t, nil
}

func (t *turn) leave() {
	t.bulkhead.pace.leave(t)
	t.bulkhead.inside.Add(-1)
}

// await waits until the pace lets the request through.
func (t *turn) await(ctx context.Context) error {
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

// send makes a round trip when there is a slot for it. The error says that it was
// not made.
func (t *turn) send(ctx context.Context, roundTrip func() outcome) error {
	if err := t.slot(ctx); err != nil {
		return err
	}
	var result outcome
	started := time.Now()
	defer func() { // also if it panics
		<-t.bulkhead.slots
		t.bulkhead.pace.done(t, started, result)
	}()
	result = roundTrip()
	return nil
}

// slot takes a slot. If trouble has come meanwhile, the request waits again.
func (t *turn) slot(ctx context.Context) error {
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
		if err := t.await(ctx); err != nil {
			return err
		}
	}
}

// patience is closed when the request has waited long enough, or nil.
func (t *turn) patience() (ended <-chan time.Time, stop func()) {
	if t.bulkhead.patience == 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(t.bulkhead.patience)
	return timer.C, func() { timer.Stop() }
}

// impatient is the error of a request that has waited long enough: what has gone
// wrong with others, or that there are too many.
func (t *turn) impatient() error {
	if err := t.bulkhead.pace.trouble(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", t.bulkhead.name, ErrBusy)
}
