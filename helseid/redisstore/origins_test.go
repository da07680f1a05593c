package redisstore

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
)

// requireDoubt checks that proofs that may have been used before are refused, and that
// later ones are accepted once.
func requireDoubt(t *testing.T, store *Replays, uses ...dpop.Use) {
	t.Helper()
	ahead := newUse() // by a clock that is ahead it may have been used
	ahead.NotBefore = time.Now().Add(replicaSkew / 2)
	for _, use := range append(uses, newUse(), ahead, dpop.Use{Proof: newUse().Proof, Expiry: time.Now().Add(time.Minute)}) {
		first, err := store.Record(t.Context(), use)
		require.False(t, first)
		if err != nil {
			require.ErrorIs(t, err, ErrUnavailable)
		}
	}
	_, err := store.Record(t.Context(), newUse())
	require.ErrorContains(t, err, "restarted")
	later := newUse()
	later.NotBefore = time.Now().Add(replicaSkew + time.Second)
	require.True(t, record(t, store, later))
	require.False(t, record(t, store, later))
}

// forgetfulSetups are servers that keep more or less over a restart.
var forgetfulSetups = map[string][]string{
	"keeps nothing":       nil,
	"keeps an older copy": {"--save", "3600 1"},
	"keeps everything":    {"--appendonly", "yes", "--appendfsync", "always"},
}

// After a restart that may have lost something, proofs that can have been used
// before are refused, whatever the server keeps: also at a process that has not
// seen the proof, or any.
func TestReplaysAcrossForgetfulRestart(t *testing.T) {
	t.Parallel()
	for name, arguments := range forgetfulSetups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, arguments...)
			busy, other, idle := newStore(t, server.url()).Replays(), newStore(t, server.url()).Replays(), newStore(t, server.url()).Replays()
			loose := newStore(t, server.url(), func(c *Config) { c.AcceptUncheckedProofs = true }).Replays()
			require.NoError(t, idle.Check(t.Context()))
			early, late := newUse(), newUse()
			require.True(t, record(t, busy, early))
			require.True(t, record(t, other, newUse()))
			require.True(t, record(t, loose, newUse()))
			if name == "keeps an older copy" {
				server.do(t, "SAVE")
			}
			require.True(t, record(t, busy, late))
			server.kill()
			server.start(t)
			requireDoubt(t, idle, early, late)
			requireDoubt(t, busy, early, late)
			requireDoubt(t, other, early, late)
			started := newStore(t, server.url()).Replays()
			requireDoubt(t, started, early, late)
			require.Zero(t, loose.Unchecked())
			require.True(t, record(t, loose, newUse()))
			require.EqualValues(t, 1, loose.Unchecked(), "counted, since nobody can tell")
		})
	}
}

// A process that has just started notices a restart by what the server has kept. If the
// server has kept nothing, that process notices nothing, but does not mislead those that
// have asked before.
func TestRestartBeforeTheFirstQuestion(t *testing.T) {
	t.Parallel()
	for name, arguments := range forgetfulSetups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, arguments...)
			old := newStore(t, server.url()).Replays()
			use := newUse()
			require.True(t, record(t, old, use))
			if name == "keeps an older copy" {
				server.do(t, "SAVE")
			}
			server.kill()
			server.start(t)
			started := newStore(t, server.url()).Replays()
			if name == "keeps nothing" {
				require.True(t, record(t, started, newUse()), "it does not know better: correct the documentation")
			} else {
				requireDoubt(t, started, use)
			}
			requireDoubt(t, old, use)
		})
	}
}

// The doubt starts at the failover, not at each process's first question.
func TestDoubtIsShared(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	busy, idle := newStore(t, server.url()).Replays(), newStore(t, server.url()).Replays()
	require.NoError(t, idle.Check(t.Context()))
	require.True(t, record(t, busy, newUse()))
	server.kill()
	server.start(t)
	requireDoubt(t, busy)
	time.Sleep(2 * time.Second)
	use := newUse()
	use.NotBefore = time.Now().Add(replicaSkew - time.Second)
	require.True(t, record(t, idle, use))
}

// Data that is gone although the server has not restarted.
func TestForgottenWithoutARestart(t *testing.T) {
	t.Parallel()
	t.Run("flushed", func(t *testing.T) {
		t.Parallel()
		server := startServer(t)
		store := newStore(t, server.url()).Replays()
		use := newUse()
		require.True(t, record(t, store, use))
		server.do(t, "FLUSHALL")
		requireDoubt(t, store, use)
	})
	t.Run("a replica of another for a while", func(t *testing.T) {
		t.Parallel()
		server, other := startServerOn(t, freePort(t)), startServerOn(t, freePort(t))
		store := newStore(t, server.url()).Replays()
		use := newUse()
		require.True(t, record(t, store, use))
		server.do(t, "REPLICAOF", "127.0.0.1", other.port)
		require.Eventually(t, func() bool { return len(server.keys(t)) == 0 }, 20*time.Second, 20*time.Millisecond)
		server.do(t, "REPLICAOF", "NO", "ONE")
		requireDoubt(t, store, use)
	})
	t.Run("a failover, and one back to the first server", func(t *testing.T) {
		t.Parallel()
		server, replica := startServerOn(t, freePort(t)), startServerOn(t, freePort(t))
		store := newStore(t, server.url()).Replays()
		require.True(t, record(t, store, newUse()))
		replica.do(t, "REPLICAOF", "127.0.0.1", server.port)
		require.Eventually(t, func() bool { return len(replica.keys(t)) == 2 }, 20*time.Second, 20*time.Millisecond)
		replica.do(t, "REPLICAOF", "NO", "ONE")
		server.do(t, "REPLICAOF", "127.0.0.1", replica.port) // with the same run, and another history
		require.Eventually(t, func() bool {
			role, _ := server.do(t, "ROLE").([]any)
			return len(role) > 3 && role[3] == "connected"
		}, 20*time.Second, 20*time.Millisecond)
		server.do(t, "REPLICAOF", "NO", "ONE")
		requireDoubt(t, store)
	})
}

// The documented consequences of setting TrustPersistence without persistence.
func TestMisplacedTrustInPersistence(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := newStore(t, server.url(), func(c *Config) { c.TrustPersistence = true }).Replays()
	use := newUse()
	require.True(t, record(t, store, use))
	require.False(t, record(t, store, use))
	server.kill()
	server.start(t)
	require.True(t, record(t, store, use), "remembered without persistence: correct the documentation")
	require.False(t, record(t, store, use))
}

// Without a replication id nothing can be told, and Check says so.
func TestHiddenReplicationID(t *testing.T) {
	t.Parallel()
	store := newStore(t, startServer(t).url()).Replays()
	_, err := store.learn(t.Context(), 0, origin{age: -1})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "TrustPersistence")
}

func TestParseOrigin(t *testing.T) {
	t.Parallel()
	require.Equal(t, origin{"A", -time.Millisecond}, parseOrigin([]any{"A", int64(-1)}))
	require.Equal(t, origin{"A", 5 * time.Second}, parseOrigin([]any{"A", int64(5000), "held"}))
	for _, reply := range [][]any{nil, {"A"}, {nil, int64(1)}, {int64(1), int64(1)}, {"A", "1"}, {"", int64(-1)}} {
		require.Empty(t, parseOrigin(reply).stamp)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	const fromTheFirst = -time.Millisecond
	type step struct {
		group   int
		stamp   string
		age     time.Duration
		at      time.Duration // after start
		since   time.Duration // after start; 0: no doubt
		changed bool
	}
	for name, steps := range map[string][]step{
		"nothing happens":            {{0, "a", fromTheFirst, 0, 0, false}, {0, "a", fromTheFirst, time.Second, 0, false}},
		"a restart":                  {{0, "a", fromTheFirst, 0, 0, false}, {0, "b", 0, time.Minute, time.Minute, true}, {0, "b", time.Minute, 2 * time.Minute, time.Minute, false}},
		"before it started":          {{0, "b", time.Second, time.Minute, 59 * time.Second, false}},
		"begun by one that is new":   {{0, "a", fromTheFirst, 0, 0, false}, {0, "b", fromTheFirst, time.Minute, time.Minute, true}, {0, "b", fromTheFirst, 2 * time.Minute, time.Minute, false}},
		"that was long ago":          {{0, "a", fromTheFirst, 0, 0, false}, {0, "b", fromTheFirst, time.Minute, time.Minute, true}, {0, "b", fromTheFirst, 3 * lossMemory, 0, false}},
		"and then a restart":         {{0, "a", fromTheFirst, 0, 0, false}, {0, "b", fromTheFirst, time.Minute, time.Minute, true}, {0, "c", 0, 2 * time.Minute, 2 * time.Minute, true}},
		"one group of several":       {{0, "a", fromTheFirst, 0, 0, false}, {1, "b", fromTheFirst, 0, 0, false}, {1, "c", 0, time.Minute, time.Minute, true}, {0, "a", fromTheFirst, time.Minute, 0, false}},
		"a restart it has not heard": {{0, "a", fromTheFirst, 0, 0, false}, {0, "c", time.Minute, 3 * time.Minute, 2 * time.Minute, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := origins{clustered: true}
			for i, step := range steps {
				require.Equal(t, i == 0, known.isFirst())
				since, changed, first := known.observe(step.group, origin{step.stamp, step.age}, start.Add(step.at))
				require.Equal(t, i == 0, first)
				require.Equal(t, step.changed, changed, i)
				if step.since == 0 {
					require.True(t, since.IsZero(), i)
					continue
				}
				require.Equal(t, start.Add(step.since), since, i)
			}
		})
	}
}

// In a cluster, a node that restarts brings doubt about its own groups, about all
// of them at once, and not about those of other nodes.
func TestClusterNodeRestarts(t *testing.T) {
	t.Parallel()
	nodes, client := startCluster(t)
	store, err := NewReplays(Config{Client: client, Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.True(t, record(t, store, newUse()))
	for group := range proofGroups {
		require.NotEmpty(t, store.origins.groups[group].stamp, "all are known from the first proof on")
	}
	nodes[0].kill()
	nodes[0].start(t)
	waitForCluster(t, nodes...)
	useOn := clusterUses(t, nodes[1])
	require.Eventually(t, func() bool {
		_, err := store.Record(t.Context(), useOn(0))
		return isDoubt(err)
	}, 30*time.Second, 20*time.Millisecond)
	time.Sleep(2 * time.Second)
	for range 50 {
		require.True(t, record(t, store, useOn(1)))
		_, err := store.Record(t.Context(), useOn(0))
		require.True(t, isDoubt(err), "%v", err)
		later := useOn(0)
		later.NotBefore = time.Now().Add(replicaSkew - time.Second)
		require.True(t, record(t, store, later), "the doubt began with the restart, in all groups")
	}
}

// clusterUses makes uses of proofs whose group is on a node.
func clusterUses(t *testing.T, any *server) func(node int) dpop.Use {
	t.Helper()
	var nodes [proofGroups]int
	for group, tag := range groupTags {
		nodes[group] = nodeOf(slotOf(t, any, tag))
	}
	clustered := origins{clustered: true}
	return func(node int) dpop.Use {
		for {
			if use := newUse(); nodes[clustered.group(use.Proof)] == node {
				return use
			}
		}
	}
}

func isDoubt(err error) bool {
	return err != nil && err.Error() == ErrUnavailable.Error()+": it may have forgotten proofs when it restarted, and this one may have been used before"
}

// The groups of a cluster are spread over its nodes.
func TestGroupTags(t *testing.T) {
	t.Parallel()
	_, client := startCluster(t)
	seen := make(map[string]bool)
	thirds := make(map[int64]int)
	for _, tag := range groupTags {
		require.Len(t, tag, 8)
		require.False(t, seen[tag])
		seen[tag] = true
		slot, err := client.ClusterKeySlot(t.Context(), "helseid:proof:"+tag+"origin").Result()
		require.NoError(t, err)
		thirds[slot*8/16384]++
	}
	require.Len(t, thirds, 8, "%v", thirds)
	for _, count := range thirds {
		require.GreaterOrEqual(t, count, 3, "%v", thirds)
	}
}

// clusterNodes is how many masters a cluster of the tests has: as many as it needs
// to agree that one of them is dead.
const clusterNodes = 3

// startCluster starts a cluster of masters without replicas, which share the slots.
func startCluster(t *testing.T) ([]*server, *redis.ClusterClient) {
	t.Helper()
	nodes := make([]*server, clusterNodes)
	for i := range nodes {
		nodes[i] = startClusterNode(t)
		first, last := slotsOf(i)
		nodes[i].do(t, "CLUSTER", "ADDSLOTSRANGE", first, last)
		nodes[i].do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		nodes[i].do(t, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
	}
	waitForCluster(t, nodes...)
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"127.0.0.1:" + strconv.Itoa(nodes[0].port)}, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	return nodes, client
}

func startClusterNode(t *testing.T) *server {
	t.Helper()
	return startServerOn(t, freePort(t), "--cluster-enabled", "yes", "--cluster-node-timeout", "5000",
		"--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0")
}

const slots = 16384

func slotsOf(node int) (first, last int) {
	return node * slots / clusterNodes, (node+1)*slots/clusterNodes - 1
}

// nodeOf is the node that has the slot.
func nodeOf(slot int) int {
	for node := range clusterNodes {
		if _, last := slotsOf(node); slot <= last {
			return node
		}
	}
	return clusterNodes
}

func slotOf(t *testing.T, node *server, key string) int {
	t.Helper()
	slot, ok := node.do(t, "CLUSTER", "KEYSLOT", key).(int64)
	require.True(t, ok)
	return int(slot)
}

// waitForCluster waits until each node sees all slots served and knows all the others
// by their own names: before the end of the handshake it has made some up.
func waitForCluster(t *testing.T, nodes ...*server) {
	t.Helper()
	for _, node := range nodes {
		require.Eventually(t, func() bool {
			info, _ := node.do(t, "CLUSTER", "INFO").(string)
			known, _ := node.do(t, "CLUSTER", "NODES").(string)
			return strings.HasPrefix(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") && !strings.Contains(known, "handshake") &&
				!slices.ContainsFunc(nodes, func(other *server) bool {
					id, _ := other.do(t, "CLUSTER", "MYID").(string)
					return !strings.Contains(known, id)
				})
		}, 30*time.Second, 20*time.Millisecond)
	}
}
