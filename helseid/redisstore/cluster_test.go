package redisstore

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
)

// When a node of a cluster dies, its replica takes over. Proofs of the other nodes
// are let in all the time; those of the dead one are refused, and so are afterwards
// those that it may have forgotten. None is accepted twice.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	nodes, client := startCluster(t)
	replica := startClusterNode(t)
	replica.do(t, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
	name, ok := nodes[0].do(t, "CLUSTER", "MYID").(string)
	require.True(t, ok)
	known := func(by *server, text string) {
		t.Helper()
		require.Eventually(t, func() bool {
			nodes, _ := by.do(t, "CLUSTER", "NODES").(string)
			return strings.Contains(nodes, text)
		}, 30*time.Second, 20*time.Millisecond)
	}
	known(replica, name)
	replica.do(t, "CLUSTER", "REPLICATE", name)
	for _, node := range nodes {
		known(node, "slave "+name)
	}
	require.Eventually(t, func() bool {
		role, _ := replica.do(t, "ROLE").([]any)
		return len(role) > 3 && role[3] == "connected"
	}, 30*time.Second, 20*time.Millisecond)

	stores := make([]*Store, 2)
	for i := range stores {
		var err error
		stores[i], err = New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 2 * time.Second})
		require.NoError(t, err)
		require.NoError(t, stores[i].Check(t.Context()))
	}
	useOn := clusterUses(t, nodes[1])
	time.Sleep(20 * time.Millisecond)

	// Each use is recorded at both stores, and first at one at most.
	var accepted, refused [clusterNodes]atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	for worker := range 12 {
		node := worker % clusterNodes
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
				use, firsts := useOn(node), 0
				for i := range 3 {
					first, err := stores[(worker+i)%2].Replays().Record(background(), use)
					if first {
						firsts++
					}
					if err != nil {
						refused[node].Add(1)
					}
				}
				accepted[node].Add(int64(firsts))
				if firsts > 1 {
					t.Error("a proof was the first twice")
				}
			}
		})
	}
	more := func(counter *atomic.Int64, n int64) {
		t.Helper()
		start := counter.Load()
		require.Eventually(t, func() bool { return counter.Load() > start+n }, 60*time.Second, 5*time.Millisecond)
	}
	for node := range clusterNodes {
		more(&accepted[node], 20)
	}
	old := useOn(0)
	require.True(t, record(t, stores[0].Replays(), old))

	nodes[0].kill()
	more(&refused[0], 5)
	other := accepted[1].Load() + accepted[2].Load()
	require.Eventually(t, func() bool {
		_, err := stores[0].Replays().Record(background(), useOn(0))
		return isDoubt(err)
	}, 45*time.Second, 20*time.Millisecond, "the replica does not take over") // the client alone looks once in a minute
	require.Greater(t, accepted[1].Load()+accepted[2].Load(), other, "the others go on meanwhile")
	_, err := stores[1].Replays().Record(t.Context(), old)
	require.True(t, err == nil || isDoubt(err), "%v", err)
	before := accepted[0].Load()
	more(&refused[0], 100)
	require.Equal(t, before, accepted[0].Load(), "they may have been used before")
	for node := 1; node < clusterNodes; node++ {
		more(&accepted[node], 20)
	}
	close(done)
	all.Wait()
	require.Eventually(t, func() bool { return stores[0].Check(background()) == nil }, 30*time.Second, 20*time.Millisecond)
	later := useOn(0)
	later.NotBefore = time.Now().Add(replicaSkew + time.Second)
	require.True(t, record(t, stores[0].Replays(), later))
	require.False(t, record(t, stores[1].Replays(), later))
}

// A slot that moves to another node: what is in it is found all the time, and a used
// proof is not let in at any moment. When it has moved, its proofs are in doubt, since
// the new node may have had others.
func TestClusterMovesASlot(t *testing.T) {
	t.Parallel()
	nodes, client := startCluster(t)
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 2 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	used := newUse()
	require.True(t, record(t, store.Replays(), used))
	inGroup := func() dpop.Use {
		for {
			if use := newUse(); store.replays.origins.group(use.Proof) == store.replays.origins.group(used.Proof) {
				return use
			}
		}
	}
	tag := store.replays.origins.tag(store.replays.origins.group(used.Proof))
	key := "session" + tag // in the same slot
	saved, err := store.Rows().Save(t.Context(), key, helseid.StoredRow{Data: []byte("x"), Expiry: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.True(t, saved)
	require.NoError(t, store.TokenCache().Save(t.Context(), key, []byte("token"), time.Now().Add(time.Hour)))

	slot := slotOf(t, nodes[0], tag)
	from := nodes[nodeOf(slot)]
	to := nodes[(nodeOf(slot)+1)%clusterNodes]
	there := func() {
		t.Helper()
		session, err := store.Rows().Load(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, "x", string(session.Data))
		token, err := store.TokenCache().Load(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, "token", string(token))
		first, err := store.Replays().Record(t.Context(), used)
		require.False(t, first, "%v", err)
		use := inGroup()
		if first, err := store.Replays().Record(t.Context(), use); err != nil {
			require.ErrorIs(t, err, ErrUnavailable)
			require.False(t, first)
		}
		first, err = store.Replays().Record(t.Context(), use)
		require.False(t, first && err != nil)
	}
	to.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.do(t, "CLUSTER", "MYID"))
	from.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.do(t, "CLUSTER", "MYID"))
	there()
	keys, ok := from.do(t, "CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
	require.True(t, ok)
	require.GreaterOrEqual(t, len(keys), 4)
	for _, key := range keys {
		require.Eventually(t, func() bool { // the other node may be learning of the slot yet
			admin := from.admin()
			defer func() { _ = admin.Close() }()
			return admin.Do(t.Context(), "MIGRATE", "127.0.0.1", to.port, key, 0, 5000).Err() == nil
		}, 30*time.Second, 20*time.Millisecond)
		there()
	}
	for _, node := range []*server{to, from, nodes[0], nodes[1], nodes[2]} {
		node.do(t, "CLUSTER", "SETSLOT", slot, "NODE", to.do(t, "CLUSTER", "MYID"))
	}
	there()
	_, err = store.Replays().Record(t.Context(), inGroup())
	require.True(t, isDoubt(err), "%v", err)
	later := inGroup()
	later.NotBefore = time.Now().Add(replicaSkew + time.Second)
	require.True(t, record(t, store.Replays(), later))
	require.False(t, record(t, store.Replays(), later))
}

// Check asks each node of a cluster whether it may evict.
func TestClusterNodeEvicts(t *testing.T) {
	t.Parallel()
	nodes, client := startCluster(t)
	store, err := NewReplays(Config{Client: client, Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	for _, node := range nodes {
		node.do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		require.ErrorIs(t, store.Check(t.Context()), ErrEviction)
		node.do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	}
	require.NoError(t, store.Check(t.Context()))
}

// A user of a cluster needs the commands that the documentation names, and no more.
func TestClusterLeastPrivilege(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t)
	for _, node := range nodes {
		node.do(t, "ACL", "SETUSER", "app", "on", ">"+password, "~helseid:*",
			"+get", "+set", "+del", "+hmget", "+hset", "+pexpire", "+pttl", "+eval", "+evalsha", "+info", "+time", "+cluster|slots", "+command", "+asking")
	}
	client := newCluster(t, redis.ClusterOptions{Username: "app", Password: password, ContextTimeoutEnabled: true},
		"127.0.0.1:"+strconv.Itoa(nodes[0].port))
	store, err := New(Config{Client: client, EncryptionKeys: inBase64(testKey), Timeout: 5 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	requireTable(t, store.Rows())
	for range 50 {
		require.True(t, record(t, store.Replays(), newUse()))
	}
	require.NoError(t, store.TokenCache().Save(t.Context(), "a", []byte("x"), time.Now().Add(time.Minute)))
	_, err = store.TokenCache().Load(t.Context(), "a")
	require.NoError(t, err)
	for _, node := range nodes {
		log, _ := node.do(t, "ACL", "LOG").([]any)
		require.Empty(t, log, "refused")
	}
}
