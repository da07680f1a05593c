package helseid

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

const (
	firstProbeInterval = 250 * time.Millisecond
	maxProbeInterval   = 2 * time.Second
)

// outage keeps a HelseID in trouble from being stormed. While the last request
// has failed for want of an answer, a single one at a time goes out to find out
// whether that is still so, and shares its fate with all who wait: the load
// stays that of one client however many tokens are wanted, and the first
// request after the recovery succeeds.
type outage struct {
	mu       sync.Mutex
	down     bool
	interval time.Duration // between probes
	ended    time.Time     // when the last failure was noted
	probe    *probe        // under way, or nil
}

// probe is a request that goes out during an outage.
type probe struct {
	started time.Time
	done    chan struct{}
	err     error // valid when done is closed
}

// run calls ask, or waits for somebody else's probe first. The failure of a
// probe that was started before this call says nothing about now.
func (o *outage) run(ctx context.Context, ask func() error) error {
	arrived := time.Now()
	for {
		running, own := o.enter()
		switch {
		case running == nil:
			err := ask()
			o.observe(err, nil)
			return err
		case own:
			err := o.pause(ctx, running)
			if err == nil {
				err = ask()
			}
			o.observe(err, running)
			return err
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
		if errors.Is(running.err, ErrUnavailable) && !running.started.Before(arrived) {
			return running.err
		}
	}
}

// enter returns nil if there is no outage, else the probe that is under way: the
// caller's own if there was none.
func (o *outage) enter() (running *probe, own bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.down {
		return nil, false
	}
	if o.probe == nil {
		o.probe = &probe{started: time.Now(), done: make(chan struct{})}
		return o.probe, true
	}
	return o.probe, false
}

// pause keeps probes apart.
func (o *outage) pause(ctx context.Context, own *probe) error {
	o.mu.Lock()
	wait := time.Until(o.ended.Add(o.interval))
	o.mu.Unlock()
	if wait > 0 && !sleep(ctx, wait) {
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	own.started = time.Now()
	return nil
}

// errNotAsked marks a failure that came before HelseID was asked, and says
// nothing about it.
var errNotAsked = redact.Words("HelseID was not asked")

// observe notes an outcome. Any answer of HelseID's, also a refusal, ends the
// outage.
func (o *outage) observe(err error, own *probe) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case errors.Is(err, errNotAsked):
	case errors.Is(err, ErrUnavailable):
		o.down = true
		o.interval = min(max(firstProbeInterval, 2*o.interval), maxProbeInterval)
		o.ended = time.Now()
	default:
		o.down, o.interval = false, 0
	}
	if own != nil {
		o.probe = nil
		own.err = err
		close(own.done)
	}
}
