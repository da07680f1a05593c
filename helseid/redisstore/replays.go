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
// VerifierConfig.ReplicaSkew. The process that records a proof decides how long it is
// kept; another process, whose clock is behind, may accept the proof for longer.
const replicaSkew = 10 * time.Second

// recordScript records each proof that is not stored yet, and returns the group's
// origin and what was stored. If one of them fails, its error takes the place of its
// answer, and the others are still recorded. For Redis all of this is one atomic
// step, so no proof is recorded under another origin than the one returned. It also
// returns the eviction policy if asked to.
var recordScript = newScript(policyLua + originLua + `
local held = {}
for i = 2, #KEYS do
	held[i - 1] = redis.pcall('SET', KEYS[i], ARGV[2 * i - 1], 'NX', 'GET', 'PX', ARGV[2 * i])
end
return {stamp, age, held, ARGV[2 * #KEYS + 1] == '1' and policy() or ''}`)

// Replays is a [dpop.ReplayStore]. It is safe for concurrent use.
type Replays struct {
	connection *connection
	origins    origins
	evictions  evictions
	batchers   []*batcher[*recording] // by group
	unchecked  atomic.Uint64
}

// NewReplays makes a store for used proofs only. It needs no encryption keys: an API
// should not have those of its clients. Otherwise it works like [New].
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

// Record implements [dpop.ReplayStore] with one atomic command. Concurrent records
// share it.
//
// The error wraps [ErrUnavailable], and [dpop.ErrReplayFull] if Redis is out of
// memory. With [Config.AcceptUncheckedProofs] there is an error only if the caller's
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

// recording is the record of one proof, and Redis's answer to it.
type recording struct {
	name     string
	id       string // identifies this recording, which may be sent twice if an answer is lost
	lifetime time.Duration

	answered bool
	held     string // the id that was stored before, or ""
	found    origin // if it matters
	reply    string // the code of Redis's error
	err      error
}

func (r *recording) fail(cause, err error) {
	r.answered, r.reply, r.err = true, replyCode(cause), err
}

// record stores an id unless there is one, and returns the id that was there, or "",
// and the group's origin, if it matters.
func (r *Replays) record(ctx context.Context, group int, made *recording) (held string, found origin, reply string, err error) {
	if err := r.batchers[group].do(ctx, made); err != nil {
		return "", origin{}, "", unavailable(err)
	}
	return made.held, made.found, made.reply, made.err
}

// send asks Redis for the records of one group, and writes the answers into them.
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
		err = fmt.Errorf("%w: its answer cannot be read", ErrUnavailable)
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
		return nil // a missing answer counts as an error
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

// learnPolicy records the answer of policyLua.
func (r *Replays) learnPolicy(ctx context.Context, group int, answer any) {
	policy, _ := answer.(string)
	if r.evictions.learn(group, policy, r.connection.now()) {
		r.connection.config.Logger.WarnContext(ctx, "Redis may drop used proofs, or does not tell whether it does: proofs are refused")
	}
}

// readRecords reads the answer of recordScript. Records without an answer stay
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

// set records proofs in a Redis that never forgets anything.
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
	}) // its error is that of the first failed command
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

// checkMemory refuses a proof that may have been used before the time since when
// Redis remembers all.
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

// learn records a group's origin and returns since when all proofs are remembered, or
// zero.
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

// learnAll asks for the origins of all groups, so that all those that must start
// again do so now, and not each with its next proof. Errors are ignored: the next
// proof asks again.
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

// recordArgs make SET keep an existing value and return it.
func recordArgs(lifetime time.Duration) redis.SetArgs {
	return redis.SetArgs{Mode: "NX", Get: true, TTL: lifetime}
}

// Unchecked returns how many proofs have been accepted unchecked so far because of
// [Config.AcceptUncheckedProofs]. Use it as a metric with an alarm.
func (r *Replays) Unchecked() uint64 { return r.unchecked.Load() }

// Check works like [Store.Check].
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

// Close works like [Store.Close]. A Replays from [Store.Replays] ends with its store;
// its Close closes the store.
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
