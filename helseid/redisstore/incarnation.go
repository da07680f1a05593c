package redisstore

import (
	"sync"
	"time"
)

const (
	// proofShards is how many groups the used proofs are in, by their hash. All of
	// a group lie on one server, also in a cluster.
	proofShards = 64

	// lossMemory is how long a restart is remembered. No proof lives as long.
	lossMemory = time.Hour
)

// incarnations knows which run of a server each group of used proofs is on. One
// that has started since, or taken over, may lack what the one before had
// confirmed. The zero value is for a single server.
type incarnations struct {
	clustered bool

	mu     sync.Mutex
	groups [proofShards]incarnation
}

type incarnation struct {
	run  string    // run_id of the server that answered last
	lost time.Time // when another one was noticed
}

// observe takes note of the server that answers for a group. It returns the time
// since when all is remembered, or zero if there is no doubt, and whether the
// server is another one than before. Of what was before the first answer this
// process knows nothing.
func (i *incarnations) observe(shard int, run string, now time.Time) (since time.Time, changed bool) {
	if !i.clustered {
		shard = 0
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	group := &i.groups[shard]
	changed = group.run != "" && group.run != run
	if changed {
		group.lost = now
	}
	group.run = run
	if now.Sub(group.lost) > lossMemory {
		group.lost = time.Time{}
	}
	return group.lost, changed
}
