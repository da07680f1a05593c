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

// record writes a value where there is none, and returns the one that was there,
// or "". If it can matter, it also returns which run of the server this is.
func (c *connection) record(ctx context.Context, place, value string, lifetime time.Duration) (held, run string, err error) {
	place = c.config.KeyPrefix + place
	if c.config.TrustPersistence {
		held, err = c.client.SetArgs(ctx, place, value, recordArgs(lifetime)).Result()
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return held, "", err
	}
	reply, err := recordScript.Run(ctx, c.client, []string{place}, value, lifetime.Milliseconds()).Slice()
	if err != nil {
		return "", "", err
	}
	if len(reply) > 0 {
		run, _ = reply[0].(string)
	}
	if len(reply) > 1 {
		held, _ = reply[1].(string)
	}
	return held, run, nil
}

// check finds out whether Redis does what the stores need.
func (c *connection) check(ctx context.Context) error {
	var info string
	err := c.use(ctx, func(ctx context.Context) error {
		_, _, err := c.record(ctx, "check", "check", replicaSkew)
		if err != nil {
			return err
		}
		info, err = c.client.Info(ctx, "memory").Result()
		return err
	})
	if err != nil {
		return fmt.Errorf("%w (what it must be able to do: see the package documentation)", err)
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
