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

// recordScript records a proof unless it is there, and returns what is there, after
// the group's origin.
var recordScript = redis.NewScript(originLua + `
local held = redis.call('SET', KEYS[2], ARGV[3], 'NX', 'GET', 'PX', ARGV[4])
return {stamp, age, held}`)

// Replays is a dpop.ReplayStore. It is safe for concurrent use.
type Replays struct {
	connection *connection
	origins    origins
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
	return newReplays(connection), nil
}

func newReplays(connection *connection) *Replays {
	_, clustered := connection.client.(*redis.ClusterClient)
	return &Replays{connection: connection, origins: origins{clustered: clustered}}
}

// Record implements dpop.ReplayStore, with one atomic command.
//
// The error wraps ErrUnavailable, and dpop.ErrReplayFull if Redis is out of
// memory. With Config.AcceptUncheckedProofs there is one only if the caller's
// own context has ended.
func (r *Replays) Record(ctx context.Context, use dpop.Use) (first bool, err error) {
	lifetime := max(use.Forget.Sub(r.connection.now()), 0) + replicaSkew
	group := r.origins.group(use.Proof)
	// The command may be sent twice if an answer gets lost. The id tells the
	// call's own record from another's.
	id := rand.Text()
	held, found, reply, err := r.record(ctx, group, base64.RawURLEncoding.EncodeToString(use.Proof[:]), id, lifetime)
	if err == nil {
		err = r.checkMemory(ctx, group, use, found)
	}
	switch {
	case held != "" && held != id:
		return false, nil
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

// record writes an id to a place where there is none, and returns the one that is
// there, or "", and the group's origin, if it matters.
func (r *Replays) record(ctx context.Context, group int, name, id string, lifetime time.Duration) (held string, found origin, reply string, err error) {
	c := r.connection
	place := c.config.KeyPrefix + "proof:" + r.origins.tag(group) + name
	ask := func(ctx context.Context) error {
		answer, err := recordScript.Run(ctx, c.client, []string{r.originPlace(group), place},
			id, flag(r.origins.isFirst()), id, lifetime.Milliseconds()).Slice()
		if err == nil {
			found = parseOrigin(answer)
			if len(answer) > 2 {
				held, _ = answer[2].(string)
			}
		}
		return err
	}
	if c.config.TrustPersistence {
		ask = func(ctx context.Context) (err error) {
			held, err = c.client.SetArgs(ctx, place, id, recordArgs(lifetime)).Result()
			return err
		}
	}
	err = c.use(ctx, func(ctx context.Context) error {
		err := ask(ctx)
		reply = replyCode(err)
		return err
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return held, found, reply, err
}

func (r *Replays) originPlace(group int) string {
	return r.connection.config.KeyPrefix + "proof:" + r.origins.tag(group) + "origin"
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// checkMemory refuses a proof that may have been used before Redis began to
// remember.
func (r *Replays) checkMemory(ctx context.Context, group int, use dpop.Use, found origin) error {
	if r.connection.config.TrustPersistence {
		return nil
	}
	since, err := r.learn(ctx, group, found)
	if err == nil && !since.IsZero() && use.NotBefore.Before(since.Add(replicaSkew)) {
		err = fmt.Errorf("%w: it may have forgotten proofs when it restarted, and this one may have been used before", ErrUnavailable)
	}
	return err
}

// learn takes note of a group's origin and returns since when all is remembered,
// or zero.
func (r *Replays) learn(ctx context.Context, group int, found origin) (since time.Time, err error) {
	if found.stamp == "" {
		return time.Time{}, errNoReplication
	}
	since, changed, first := r.origins.observe(group, found, r.connection.now())
	if changed {
		r.connection.config.Logger.WarnContext(ctx, "Redis has restarted, or another one has taken over: proofs that may have been used before are refused")
	}
	if r.origins.clustered && (changed || first) {
		r.learnAll(ctx, first)
	}
	return since, nil
}

// learnAll asks for the origins of all groups, so that those that must start anew
// all do so now, and not each with the first proof in it. What fails is left to
// those proofs.
func (r *Replays) learnAll(ctx context.Context, first bool) {
	var answers [proofGroups]*redis.Cmd
	_ = r.connection.use(ctx, func(ctx context.Context) error {
		_, err := r.connection.client.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
			for group := range answers {
				answers[group] = originScript.Eval(ctx, pipeline, []string{r.originPlace(group)}, rand.Text(), flag(first))
			}
			return nil
		})
		return err
	})
	for group, answer := range answers {
		if answer == nil {
			continue
		}
		if reply, err := answer.Slice(); err == nil {
			if found := parseOrigin(reply); found.stamp != "" {
				r.origins.observe(group, found, r.connection.now())
			}
		}
	}
}

// recordArgs make SET write nothing over what is there, and return it.
func recordArgs(lifetime time.Duration) redis.SetArgs {
	return redis.SetArgs{Mode: "NX", Get: true, TTL: lifetime}
}

// Unchecked is how many proofs have been accepted unchecked so far, because of
// Config.AcceptUncheckedProofs: a metric to raise an alarm on.
func (r *Replays) Unchecked() uint64 { return r.unchecked.Load() }

// Check is as Store.Check.
func (r *Replays) Check(ctx context.Context) error {
	_, found, _, err := r.record(ctx, 0, "check", "check", replicaSkew)
	if err == nil && !r.connection.config.TrustPersistence {
		_, err = r.learn(ctx, 0, found)
	}
	if err != nil {
		return fmt.Errorf("%w (what it must be able to do: see the package documentation)", err)
	}
	return r.connection.checkEviction(ctx)
}

// Close is as Store.Close. One that comes from Store.Replays ends with its
// store, and Close does the same.
func (r *Replays) Close() error { return r.connection.close() }
