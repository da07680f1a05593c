package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// keyLockLease is how long a lock lasts without its holder.
	keyLockLease = 10 * time.Second

	keyLockPause = 500 * time.Millisecond
)

var (
	// lockScript takes the lock for a holder, or finds that it has it: the answer to the
	// request before may be lost.
	lockScript = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return 1
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
	return 1
end
return 0`)

	// renewScript keeps the lock, and unlockScript gives it back, if the holder still has
	// it.
	renewScript = newScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`)
	unlockScript = newScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
return redis.call('DEL', KEYS[1])`)
)

// KeyLock returns a lock for RotationConfig.Lock of package selvbetjening. Of the instances
// of a client that share a key store, one at a time holds it, and makes and registers a key.
//
// The lock expires ten seconds after its holder ends or loses the connection to Redis. A
// holder that only paused may then go on at the same time as the next one. That is safe,
// because a selvbetjening.KeyStore saves keys only over those that were loaded. While Redis
// is down, no key is replaced. The errors wrap [ErrUnavailable].
func (s *Store) KeyLock(clientID string) func(ctx context.Context) (unlock func(), err error) {
	return s.keyLock(clientID, keyLockLease).acquire
}

func (s *Store) keyLock(clientID string, lease time.Duration) keyLock {
	connection := s.connection.within(s.connection.config.SessionTimeout)
	return keyLock{connection, connection.config.KeyPrefix + "lock:" + clientName(clientID), lease}
}

// clientName is the last part of a place that belongs to one client.
func clientName(clientID string) string {
	sum := sha256.Sum256([]byte(clientID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// keyLock is a lock that must be renewed.
type keyLock struct {
	connection *connection
	place      string
	lease      time.Duration
}

// acquire waits for the lock as long as ctx allows, and keeps it until it is unlocked.
func (l keyLock) acquire(ctx context.Context) (unlock func(), err error) {
	holder := rand.Text()
	for {
		held, err := l.run(ctx, lockScript, holder)
		if held {
			return l.keep(holder), nil
		}
		if err != nil {
			l.release(holder) // the answer may be lost
			return nil, err
		}
		timer := time.NewTimer(keyLockPause/2 + mathrand.N(keyLockPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w: another instance holds the lock of the client's keys: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// keep renews the lock until it is unlocked or lost.
func (l keyLock) keep(holder string) (unlock func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(l.lease / 4)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if held, err := l.run(context.Background(), renewScript, holder); err == nil && !held {
				l.connection.config.Logger.Warn("the lock of a client's keys ended before its holder was ready: Redis or this process has paused",
					slog.Duration("lease", l.lease))
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-ended
		l.release(holder)
	})
}

func (l keyLock) release(holder string) {
	_, _ = l.run(context.Background(), unlockScript, holder) // or it ends by itself
}

func (l keyLock) run(ctx context.Context, script *redis.Script, holder string) (held bool, err error) {
	err = l.connection.use(ctx, func(ctx context.Context) (err error) {
		held, err = script.Run(ctx, l.connection.client, []string{l.place}, holder, l.lease.Milliseconds()).Bool()
		return err
	})
	return held, err
}
