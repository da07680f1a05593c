package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// tokenCache is a helseid.TokenCache.
type tokenCache struct {
	connection *connection
	sealer     sealer
}

// Get implements helseid.TokenCache.
func (c tokenCache) Get(ctx context.Context, key string) ([]byte, error) {
	place := c.place(key)
	var sealed []byte
	err := c.connection.use(ctx, func(ctx context.Context) (err error) {
		sealed, err = c.connection.client.Get(ctx, place).Bytes()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return c.sealer.open(place, 0, sealed)
}

// Set implements helseid.TokenCache.
func (c tokenCache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	place := c.place(key)
	if len(value) == 0 || lifetime < time.Millisecond {
		return c.connection.use(ctx, func(ctx context.Context) error {
			return c.connection.client.Del(ctx, place).Err()
		})
	}
	sealed, err := c.sealer.seal(place, 0, value)
	if err != nil {
		return err
	}
	return c.connection.use(ctx, func(ctx context.Context) error {
		return c.connection.client.Set(ctx, place, sealed, lifetime).Err()
	})
}

func (c tokenCache) place(key string) string { return c.connection.config.KeyPrefix + "token:" + key }
