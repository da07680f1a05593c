package helseid

import (
	"context"
	"errors"
	"sync"
)

// outage keeps a HelseID in trouble from being stormed. While the last request
// has failed for want of an answer, a single one at a time goes out to find out
// whether that is still so, and shares its fate with all who wait: the load
// stays that of one client however many tokens are wanted, and the first
// request after the recovery succeeds.
type outage struct {
	mu    sync.Mutex
	down  bool
	probe chan struct{} // closed when the probe has ended; nil without one
	err   error         // of the last probe
}

// run calls fetch, or waits for somebody else's probe first.
func (o *outage) run(ctx context.Context, fetch func() (*Token, error)) (*Token, error) {
	for {
		o.mu.Lock()
		if !o.down {
			o.mu.Unlock()
			token, err := fetch()
			o.observe(err, nil)
			return token, err
		}
		probe := o.probe
		if probe == nil {
			probe = make(chan struct{})
			o.probe = probe
			o.mu.Unlock()
			token, err := fetch()
			o.observe(err, probe)
			return token, err
		}
		o.mu.Unlock()
		select {
		case <-probe:
		case <-ctx.Done():
			return nil, ErrUnavailable
		}
		o.mu.Lock()
		down, err := o.down, o.err
		o.mu.Unlock()
		if down {
			return nil, err
		}
	}
}

// observe notes an outcome. Any answer of HelseID's, also a refusal, ends the
// outage.
func (o *outage) observe(err error, probe chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down, o.err = errors.Is(err, ErrUnavailable), err
	if probe != nil && o.probe == probe {
		o.probe = nil
		close(probe)
	}
}
