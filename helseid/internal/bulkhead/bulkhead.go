package bulkhead

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

// ErrBusy means that there is no place in the line, or no patience left.
var ErrBusy = fmt.Errorf("%w: too many requests of this kind are under way", metadata.ErrUnavailable)

// Bulkhead keeps the requests of one kind to one endpoint apart from all others:
// they have a line, slots and a pace of their own. What goes wrong with them, and
// however many of them there are, the others do not notice.
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
	// Slots is how many round trips are under way at once. A request has a slot
	// for its round trips alone, not while it waits for anything.
	Slots int

	// Line is how many requests there are at once, those that wait and those that
	// are under way. What comes beyond it fails at once ([ErrBusy]).
	Line int

	// Patience is how long a request waits to be let through, and how long for a
	// slot. Zero means as long as its context allows.
	Patience time.Duration
}

// New makes a bulkhead with that name in its errors. A request outlives that many
// failures (retries).
func New(name string, limits Limits, retries int) *Bulkhead {
	return &Bulkhead{
		name:     name,
		line:     limits.Line,
		patience: limits.Patience,
		slots:    make(chan struct{}, limits.Slots),
		pace:     pace{retries: retries},
	}
}

// Turn is one request's way through a bulkhead, with all its attempts. It is not
// safe for concurrent use.
type Turn struct {
	bulkhead  *Bulkhead
	failures  int       // of its own
	probes    int       // how many had failed when it came
	notBefore time.Time // its own next attempt
}

// Join takes a place in the line. Whoever gets one must leave it.
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

// Await waits until the pace lets the request through.
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

// Send makes a round trip when there is a slot for it. The error says that it was
// not made.
func (t *Turn) Send(ctx context.Context, roundTrip func() Outcome) error {
	if err := t.slot(ctx); err != nil {
		return err
	}
	var result Outcome
	started := time.Now()
	defer func() { // also if it panics
		<-t.bulkhead.slots
		t.bulkhead.pace.done(t, started, result)
	}()
	result = roundTrip()
	return nil
}

// slot takes a slot. If trouble has come meanwhile, the request waits again.
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

// patience is closed when the request has waited long enough, or nil.
func (t *Turn) patience() (ended <-chan time.Time, stop func()) {
	if t.bulkhead.patience == 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(t.bulkhead.patience)
	return timer.C, func() { timer.Stop() }
}

// impatient is the error of a request that has waited long enough: what has gone
// wrong with others, or that there are too many.
func (t *Turn) impatient() error {
	if err := t.bulkhead.pace.trouble(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", t.bulkhead.name, ErrBusy)
}
