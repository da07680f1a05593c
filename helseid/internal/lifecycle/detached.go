package lifecycle

import (
	"context"
	"errors"
	"sync/atomic"
)

// caller is who has asked for detached work.
type caller struct {
	ctx       context.Context
	committed atomic.Bool
}

type callerKey struct{}

// Detach returns a context for work that must be finished even if its caller leaves. It
// has the values of the caller's context and does not end with it.
func Detach(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), callerKey{}, &caller{ctx: ctx})
}

// Commit notes that detached work can no longer be undone: a request has been sent. For
// other work it does nothing.
func Commit(ctx context.Context) {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		c.committed.Store(true)
	}
}

// Attended returns a context for a part of detached work that can be undone: until the
// work is committed, it also ends with the caller's context. Other work has no end but
// its own.
func Attended(ctx context.Context) (context.Context, context.CancelFunc) {
	c, ok := ctx.Value(callerKey{}).(*caller)
	if !ok || c.committed.Load() {
		return ctx, func() {}
	}
	// A deadline of its own, so that its end reads as a deadline's.
	deadline, limited := c.ctx.Deadline()
	var attended context.Context
	var cancel context.CancelFunc
	if limited {
		attended, cancel = context.WithDeadline(ctx, deadline)
	} else {
		attended, cancel = context.WithCancel(ctx)
	}
	stop := context.AfterFunc(c.ctx, func() {
		if !limited || !errors.Is(c.ctx.Err(), context.DeadlineExceeded) {
			cancel()
		}
	})
	return attended, func() {
		stop()
		cancel()
	}
}
