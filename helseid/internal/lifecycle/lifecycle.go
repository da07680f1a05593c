// Package lifecycle keeps track of a client's running work.
package lifecycle

import (
	"context"
	"sync"

	"github.com/helseid-go/sdk/internal/redact"
)

// ErrClosed means that the client has been closed.
var ErrClosed = redact.Words("the client is closed")

// Lifecycle keeps track of a client's running work, so that Close can end it and wait
// for it.
type Lifecycle struct {
	lifetime context.Context // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Mutex
}

// New starts a lifetime.
func New() *Lifecycle {
	lifetime, end := context.WithCancel(context.Background())
	return &Lifecycle{lifetime: lifetime, end: end}
}

// Context returns a context that ends with Close and holds no values.
func (l *Lifecycle) Context() context.Context { return l.lifetime }

// Closed reports whether Close has been called.
func (l *Lifecycle) Closed() bool { return l.lifetime.Err() != nil }

// Go runs a function in a new goroutine, which Close waits for. After Close it does
// nothing.
func (l *Lifecycle) Go(run func()) {
	if l.Begin() != nil {
		return
	}
	go func() {
		defer l.Done()
		run()
	}()
}

// Close ends the lifetime and waits for the registered work.
func (l *Lifecycle) Close() {
	l.closing.Lock()
	l.end()
	l.closing.Unlock()
	l.running.Wait()
}

// Begin registers work that Close waits for, until Done is called. It fails with
// [ErrClosed] after Close.
func (l *Lifecycle) Begin() error {
	l.closing.Lock()
	defer l.closing.Unlock()
	if l.lifetime.Err() != nil {
		return ErrClosed
	}
	l.running.Add(1)
	return nil
}

// Done ends work that [Lifecycle.Begin] has registered.
func (l *Lifecycle) Done() { l.running.Done() }

// Foreground registers work in a caller's own goroutine. Close cancels it and waits
// for it.
func (l *Lifecycle) Foreground(ctx context.Context) (working context.Context, done func(), err error) {
	if err := l.Begin(); err != nil {
		return nil, nil, err
	}
	working, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.lifetime, cancel)
	return working, func() {
		stop()
		cancel()
		l.Done()
	}, nil
}
