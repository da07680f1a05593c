package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// tokenCache is a [helseid.TokenCache].
type tokenCache struct {
	connection *connection
	sealer     sealer
}

// Load implements [helseid.TokenCache].
func (c tokenCache) Load(ctx context.Context, key string) ([]byte, error) {
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

// Save implements [helseid.TokenCache]. A value that has already expired removes the
// earlier one.
func (c tokenCache) Save(ctx context.Context, key string, value []byte, expiry time.Time) error {
	lifetime := expiry.Sub(c.connection.now())
	if lifetime < time.Millisecond {
		return c.Delete(ctx, key)
	}
	place := c.place(key)
	sealed, err := c.sealer.seal(place, 0, value)
	if err != nil {
		return err
	}
	return c.connection.use(ctx, func(ctx context.Context) error {
		return c.connection.client.Set(ctx, place, sealed, lifetime).Err()
	})
}

// Delete implements [helseid.TokenCache].
func (c tokenCache) Delete(ctx context.Context, key string) error {
	return c.connection.use(ctx, func(ctx context.Context) error {
		return c.connection.client.Del(ctx, c.place(key)).Err()
	})
}

func (c tokenCache) place(key string) string { return c.connection.config.KeyPrefix + "token:" + key }
