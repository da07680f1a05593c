package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// connection is the connection to Redis, with the breaker for when it does not
// answer.
type connection struct {
	config  Config
	client  redis.UniversalClient
	own     bool
	now     func() time.Time
	timeout time.Duration // of a use
	breaker *breaker
	closed  *atomic.Bool
}

// newConnection requires a configuration that has been checked.
func newConnection(config Config) (*connection, error) {
	c := &connection{
		config: config, client: config.Client, now: time.Now, timeout: config.Timeout, closed: &atomic.Bool{},
		breaker: &breaker{longest: max(config.Timeout, config.SessionTimeout)},
	}
	c.breaker.onChange = func(alive bool) {
		if alive {
			config.Logger.Info("Redis answers again")
			return
		}
		config.Logger.Warn("Redis does not answer", slog.Duration("asked_again_after", breakerPause))
	}
	if c.client == nil {
		options, err := config.options()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		c.client, c.own = redis.NewClient(options), true
	}
	return c, nil
}

// within returns the same connection with another time limit.
func (c *connection) within(timeout time.Duration) *connection {
	limited := *c
	limited.timeout = timeout
	return &limited
}

// maxLag is how late a use may notice that its time limit has passed. A process that
// notices later has too little processor time: there may have been an answer that it
// has not read.
const maxLag = 10 * time.Millisecond

// use asks Redis once, within the time limit, unless the breaker is open. The error
// is [redis.Nil] or wraps [ErrUnavailable].
func (c *connection) use(ctx context.Context, ask func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if c.closed.Load() {
		return unavailable(redis.ErrClosed)
	}
	end, ok := c.breaker.begin()
	if !ok {
		return fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)
	}
	ended := unknown // also if a hook or log handler of the application panics
	defer func() { end(ended) }()
	limit := time.Now().Add(c.timeout)
	deadline, limited := ctx.Deadline()
	impatient := limited && deadline.Before(limit)
	bounded, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	err := ask(bounded)
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		ended = answered
		return err
	case replyCode(err) != "":
		ended = answered
		return unavailable(err)
	case errors.Is(err, redis.ErrClosed), impatient, errors.Is(ctx.Err(), context.Canceled):
		// Callers that give up or have no time must not be able to open the breaker for
		// others.
		ended = unknown
	case time.Since(limit) > maxLag:
		ended = unknown
	case errors.Is(unavailable(err), context.DeadlineExceeded):
		ended = unanswered
	default:
		ended = unreachable
	}
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		// The node may be dead and have been replaced. The client itself checks once a
		// minute, unless another node informs it.
		cluster.ReloadState(ctx)
	}
	return unavailable(err)
}

// checkEviction checks whether Redis may evict what is stored. In a cluster it checks
// each node on which proofs are recorded.
func (c *connection) checkEviction(ctx context.Context) error {
	var evicts, silent atomic.Bool
	check := func(ctx context.Context, client redis.Cmdable) error {
		info, err := client.Info(ctx, "memory").Result()
		told := false
		for line := range strings.Lines(info) {
			if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
				told = true
				if policy != noEviction {
					evicts.Store(true)
				}
			}
		}
		if !told {
			silent.Store(true)
		}
		return err
	}
	err := c.use(ctx, func(ctx context.Context) error {
		if cluster, ok := c.client.(*redis.ClusterClient); ok {
			return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return check(ctx, node) })
		}
		return check(ctx, c.client)
	})
	switch {
	case err != nil:
		return err
	case evicts.Load():
		return ErrEviction
	case silent.Load():
		return errNoPolicy
	}
	return nil
}

func (c *connection) close() error {
	c.closed.Store(true)
	if !c.own {
		return nil
	}
	if err := c.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return unavailable(err)
	}
	return nil
}
