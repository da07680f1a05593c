package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
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

// recordScript records a proof unless it is there, and returns what is there and
// which run of the server it is.
var recordScript = redis.NewScript(`
local held = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[2])
return {string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '', held}`)

// Replays is a dpop.ReplayStore. It is safe for concurrent use.
type Replays struct {
	connection   *connection
	incarnations incarnations
	unchecked    atomic.Uint64
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
	return newReplays(connection), nil
}

func newReplays(connection *connection) *Replays {
	_, clustered := connection.client.(*redis.ClusterClient)
	return &Replays{connection: connection, incarnations: incarnations{clustered: clustered}}
}

// Record implements dpop.ReplayStore, with one atomic command.
//
// The error wraps ErrUnavailable, and dpop.ErrReplayFull if Redis is out of
// memory. With Config.AcceptUncheckedProofs there is one only if the caller's
// own context has ended.
func (r *Replays) Record(ctx context.Context, use dpop.Use) (first bool, err error) {
	lifetime := max(use.Forget.Sub(r.connection.now()), 0) + replicaSkew
	// The command may be sent twice if an answer gets lost. The id tells the
	// call's own record from another's.
	id := rand.Text()
	var held, run, reply string
	err = r.connection.use(ctx, func(ctx context.Context) (err error) {
		held, run, err = r.connection.record(ctx, proofPlace(use), id, lifetime)
		reply = replyCode(err)
		return err
	})
	if err == nil && held != "" && held != id {
		return false, nil
	}
	if err == nil {
		err = r.checkMemory(ctx, use, run)
	}
	switch {
	case err == nil:
		return true, nil
	case r.connection.config.AcceptUncheckedProofs && ctx.Err() == nil:
		r.unchecked.Add(1)
		return true, nil
	case reply == codeOutOfMemory:
		return false, fmt.Errorf("%w: %w", dpop.ErrReplayFull, err)
	}
	return false, err
}

// proofPlace is the key of a used proof, without the prefix. Its tag in braces
// keeps a group of proofs on one node of a cluster.
func proofPlace(use dpop.Use) string {
	text := base64.RawURLEncoding.EncodeToString(use.Proof[:])
	return "proof:{" + text[:1] + "}" + text[1:]
}

// checkMemory refuses a proof that Redis does not know, but that may have been used
// before Redis began to remember.
func (r *Replays) checkMemory(ctx context.Context, use dpop.Use, run string) error {
	config := r.connection.config
	if config.TrustPersistence {
		return nil
	}
	if run == "" {
		return fmt.Errorf("%w: it does not tell its run_id, by which a restart is noticed: see Config.TrustPersistence", ErrUnavailable)
	}
	since, changed := r.incarnations.observe(int(use.Proof[0]>>2), run, r.connection.now())
	if changed {
		config.Logger.WarnContext(ctx, "Redis has restarted, or another one has taken over: proofs that may have been used before are refused")
	}
	if !since.IsZero() && use.NotBefore.Before(since.Add(replicaSkew)) {
		return fmt.Errorf("%w: it has restarted, and the proof may have been used before", ErrUnavailable)
	}
	return nil
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
