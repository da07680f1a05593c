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

// recordScript records each proof that is not there, and returns the group's origin
// and what was there. What one of them fails with stands in its place, and stops
// none of the others. All of it is one step for Redis, so that no proof is recorded
// after another origin than the one that is returned. The eviction policy comes with it
// if it is asked for.
var recordScript = redis.NewScript(policyLua + originLua + `
local held = {}
for i = 2, #KEYS do
	held[i - 1] = redis.pcall('SET', KEYS[i], ARGV[2 * i - 1], 'NX', 'GET', 'PX', ARGV[2 * i])
end
return {stamp, age, held, ARGV[2 * #KEYS + 1] == '1' and policy() or ''}`)

// Replays is a dpop.ReplayStore. It is safe for concurrent use.
type Replays struct {
	connection *connection
	origins    origins
	evictions  evictions
	batchers   []*batcher[*recording] // by group
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
	r := &Replays{connection: connection, origins: origins{clustered: clustered}}
	for group := range r.origins.count() {
		send := func(ctx context.Context, uses []*recording) { r.send(ctx, group, uses) }
		r.batchers = append(r.batchers, &batcher[*recording]{timeout: connection.timeout, send: send})
	}
	return r
}

// Record implements dpop.ReplayStore, with one atomic command. Records that are
// asked for at the same time share it.
//
// The error wraps ErrUnavailable, and dpop.ErrReplayFull if Redis is out of
// memory. With Config.AcceptUncheckedProofs there is one only if the caller's
// own context has ended.
func (r *Replays) Record(ctx context.Context, use dpop.Use) (first bool, err error) {
	lifetime := max(use.Expiry.Sub(r.connection.now()), 0) + replicaSkew
	group := r.origins.group(use.Proof)
	made := &recording{name: base64.RawURLEncoding.EncodeToString(use.Proof[:]), id: rand.Text(), lifetime: lifetime}
	held, found, reply, err := r.record(ctx, group, made)
	if err == nil {
		err = r.checkMemory(ctx, group, use, found)
	}
	if err == nil && !r.connection.config.TrustNoEviction {
		err = r.evictions.problem(group)
	}
	switch {
	case held != "" && held != made.id:
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

// recording is the record of one proof, and what Redis says to it.
type recording struct {
	name     string
	id       string // tells it from another's: it may be sent twice if an answer gets lost
	lifetime time.Duration

	answered bool
	held     string // the id that was there, or ""
	found    origin // if it matters
	reply    string // the code of Redis's error
	err      error
}

func (r *recording) fail(cause, err error) {
	r.answered, r.reply, r.err = true, replyCode(cause), err
}

// record writes an id to a place where there is none, and returns the one that is
// there, or "", and the group's origin, if it matters.
func (r *Replays) record(ctx context.Context, group int, made *recording) (held string, found origin, reply string, err error) {
	if err := r.batchers[group].do(ctx, made); err != nil {
		return "", origin{}, "", unavailable(err)
	}
	return made.held, made.found, made.reply, made.err
}

// send asks Redis for the records of one group, and writes its answers into them.
func (r *Replays) send(ctx context.Context, group int, batch []*recording) {
	ask := r.run
	if r.connection.config.TrustPersistence {
		ask = r.set
	}
	var cause error
	err := r.connection.use(ctx, func(ctx context.Context) error {
		cause = ask(ctx, group, batch)
		return cause
	})
	if err == nil {
		err = fmt.Errorf("%w: its answer is none", ErrUnavailable)
	}
	for _, made := range batch {
		if !made.answered {
			made.fail(cause, err)
		}
	}
}

// run records proofs beside their origin.
func (r *Replays) run(ctx context.Context, group int, batch []*recording) error {
	keys := append(make([]string, 0, 1+len(batch)), r.originPlace(group))
	args := append(make([]any, 0, 3+2*len(batch)), batch[0].id, flag(r.origins.isFirst()))
	for _, made := range batch {
		keys = append(keys, r.place(group, made))
		args = append(args, made.id, made.lifetime.Milliseconds())
	}
	due := r.isPolicyDue(group)
	args = append(args, flag(due))
	answer, err := recordScript.Run(ctx, r.connection.client, keys, args...).Slice()
	if err != nil {
		return err
	}
	if len(answer) != 4 {
		return nil // what is not answered is an error
	}
	if due {
		r.learnPolicy(ctx, group, answer[3])
	}
	readRecords(answer[:3], batch)
	return nil
}

func (r *Replays) isPolicyDue(group int) bool {
	return !r.connection.config.TrustNoEviction && r.evictions.due(group, r.connection.now())
}

// learnPolicy takes note of the answer of policyLua.
func (r *Replays) learnPolicy(ctx context.Context, group int, answer any) {
	policy, _ := answer.(string)
	if r.evictions.learn(group, policy, r.connection.now()) {
		r.connection.config.Logger.WarnContext(ctx, "Redis may drop used proofs, or does not tell whether it does: proofs are refused")
	}
}

// readRecords understands the answer of recordScript. What it does not tell stays
// unanswered.
func readRecords(answer []any, batch []*recording) {
	if len(answer) != 3 {
		return
	}
	held, _ := answer[2].([]any)
	if len(held) != len(batch) {
		return
	}
	found := parseOrigin(answer)
	for i, made := range batch {
		made.found = found
		switch held := held[i].(type) {
		case nil:
			made.answered = true
		case string:
			made.answered, made.held = true, held
		case error:
			made.fail(held, unavailable(held))
		}
	}
}

// set records proofs where nothing is ever forgotten.
func (r *Replays) set(ctx context.Context, group int, batch []*recording) (broken error) {
	answers := make([]*redis.StatusCmd, len(batch))
	var policy *redis.Cmd
	_, _ = r.connection.client.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
		for i, made := range batch {
			answers[i] = pipeline.SetArgs(ctx, r.place(group, made), made.id, recordArgs(made.lifetime))
		}
		if r.isPolicyDue(group) {
			policy = policyScript.Eval(ctx, pipeline, []string{r.originPlace(group)})
		}
		return nil
	}) // its error is the first of theirs
	if policy != nil && (policy.Err() == nil || replyCode(policy.Err()) != "") {
		r.learnPolicy(ctx, group, policy.Val())
	}
	for i, made := range batch {
		held, err := answers[i].Result()
		switch {
		case err == nil:
			made.answered, made.held = true, held
		case errors.Is(err, redis.Nil):
			made.answered = true
		case replyCode(err) != "":
			made.fail(err, unavailable(err))
		default:
			broken = err
		}
	}
	return broken
}

func (r *Replays) place(group int, made *recording) string {
	return r.connection.config.KeyPrefix + "proof:" + r.origins.tag(group) + made.name
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
	_, found, _, err := r.record(ctx, 0, &recording{name: "check", id: "check", lifetime: replicaSkew})
	if err == nil && !r.connection.config.TrustPersistence {
		_, err = r.learn(ctx, 0, found)
	}
	if err != nil {
		return fmt.Errorf("%w (what it must be able to do: see the package documentation)", err)
	}
	if r.connection.config.TrustNoEviction {
		return nil
	}
	return r.connection.checkEviction(ctx)
}

// Close is as Store.Close. One that comes from Store.Replays ends with its
// store, and Close does the same.
func (r *Replays) Close() error {
	for _, batcher := range r.batchers {
		batcher.close()
	}
	err := r.connection.close()
	for _, batcher := range r.batchers {
		batcher.wait()
	}
	return err
}
