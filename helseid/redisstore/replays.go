package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/helseid-go/sdk/dpop"
)

// replicaSkew is how far the clocks of an API's processes may differ without
// VerifierConfig.ReplicaSkew. The one that records a proof says how long it is
// kept, and another one, whose clock is behind, may accept it for longer.
const replicaSkew = 10 * time.Second

// Replays is a dpop.ReplayStore. It is safe for concurrent use.
type Replays struct {
	connection *connection
	unchecked  atomic.Uint64
}

// NewReplays makes a store for used proofs alone, which needs no encryption
// keys: an API should not have those of its clients. Otherwise it is as New.
func NewReplays(config Config) (*Replays, error) {
	config, err := config.checked(false)
	if err != nil {
		return nil, err
	}
	connection, err := newConnection(config)
	if err != nil {
		return nil, err
	}
	return &Replays{connection: connection}, nil
}

// Record implements dpop.ReplayStore, with one command:
//
//	SET key id NX GET PX lifetime
//
// The error wraps ErrUnavailable, and dpop.ErrReplayFull if Redis is out of
// memory. With Config.AcceptUncheckedProofs there is one only if the caller's
// own context has ended.
func (r *Replays) Record(ctx context.Context, use dpop.Use) (first bool, err error) {
	place := r.connection.config.KeyPrefix + "proof:" + base64.RawURLEncoding.EncodeToString(use.Proof[:])
	lifetime := max(use.Forget.Sub(r.connection.now()), 0) + replicaSkew
	// The command may be sent twice if an answer gets lost. The id tells the
	// call's own record from another's.
	id := rand.Text()
	var held, reply string
	err = r.connection.use(ctx, func(ctx context.Context) (err error) {
		held, err = r.connection.client.SetArgs(ctx, place, id, recordArgs(lifetime)).Result()
		reply = replyCode(err)
		return err
	})
	switch {
	case err == nil:
		return held == id, nil
	case errors.Is(err, redis.Nil):
		return true, nil
	case r.connection.config.AcceptUncheckedProofs && ctx.Err() == nil:
		r.unchecked.Add(1)
		return true, nil
	case reply == codeOutOfMemory:
		return false, fmt.Errorf("%w: %w", dpop.ErrReplayFull, err)
	}
	return false, err
}

// recordArgs make SET write nothing over what is there, and return it.
func recordArgs(lifetime time.Duration) redis.SetArgs {
	return redis.SetArgs{Mode: "NX", Get: true, TTL: lifetime}
}

// Unchecked is how many proofs have been accepted unchecked so far, because of
// Config.AcceptUncheckedProofs: a metric to raise an alarm on.
func (r *Replays) Unchecked() uint64 { return r.unchecked.Load() }

// Check is as Store.Check.
func (r *Replays) Check(ctx context.Context) error { return r.connection.check(ctx) }

// Close is as Store.Close. One that comes from Store.Replays ends with its
// store, and Close does the same.
func (r *Replays) Close() error { return r.connection.close() }
