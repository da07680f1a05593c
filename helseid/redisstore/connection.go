package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// connection is Redis, as far as it answers.
type connection struct {
	config  Config
	client  redis.UniversalClient
	own     bool
	now     func() time.Time
	breaker breaker
}

// newConnection takes a configuration that has been checked.
func newConnection(config Config) (*connection, error) {
	c := &connection{config: config, client: config.Client, now: time.Now}
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

// use asks Redis once, within the time limit, unless it is known to be dead.
// The error is redis.Nil or wraps ErrUnavailable.
func (c *connection) use(ctx context.Context, ask func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	end, ok := c.breaker.begin()
	if !ok {
		return fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)
	}
	deadline, limited := ctx.Deadline()
	impatient := limited && time.Until(deadline) < c.config.Timeout
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	err := ask(bounded)
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		end(answered)
		return err
	case replyCode(err) != "":
		end(answered)
	case errors.Is(err, redis.ErrClosed), impatient, errors.Is(ctx.Err(), context.Canceled):
		// Callers who go away, or have no time, must not be able to close the way
		// for others.
		end(unknown)
	default:
		end(unanswered)
	}
	return unavailable(err)
}

// checkEviction finds out whether Redis may drop what is stored.
func (c *connection) checkEviction(ctx context.Context) error {
	var info string
	err := c.use(ctx, func(ctx context.Context) (err error) {
		info, err = c.client.Info(ctx, "memory").Result()
		return err
	})
	if err != nil {
		return err
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok && policy != "noeviction" {
			return ErrEviction
		}
	}
	return nil
}

func (c *connection) close() error {
	if !c.own {
		return nil
	}
	if err := c.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return unavailable(err)
	}
	return nil
}
