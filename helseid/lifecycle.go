package helseid

import (
	"context"
	"sync"
)

// lifecycle knows what runs for a client, so that Close can end it and wait for it.
type lifecycle struct {
	lifetime context.Context // ends with close
	end      context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Mutex
}

func newLifecycle() *lifecycle {
	lifetime, end := context.WithCancel(context.Background())
	return &lifecycle{lifetime: lifetime, end: end}
}

// close ends the lifetime and waits for the work that is registered.
func (l *lifecycle) close() {
	l.closing.Lock()
	l.end()
	l.closing.Unlock()
	l.running.Wait()
}

// begin registers work that close waits for, until done is called. It fails with
// ErrClosed after close.
func (l *lifecycle) begin() error {
	l.closing.Lock()
	defer l.closing.Unlock()
	if l.lifetime.Err() != nil {
		return ErrClosed
	}
	l.running.Add(1)
	return nil
}

func (l *lifecycle) done() { l.running.Done() }

// foreground registers a caller's own work, which close ends and waits for.
func (l *lifecycle) foreground(ctx context.Context) (working context.Context, done func(), err error) {
	if err := l.begin(); err != nil {
		return nil, nil, err
	}
	working, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.lifetime, cancel)
	return working, func() {
		stop()
		cancel()
		l.done()
	}, nil
}
