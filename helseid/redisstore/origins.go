package redisstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// A Redis that has restarted, or has taken over from another, may have forgotten used
// proofs. So it has a key, the origin, that says since when it remembers all of them. It
// contains the replication id at that time, which changes with each restart and each
// failover, a stamp, and a time, which is zero for "always". A process that finds the
// origin missing or with another replication id writes a new one that starts now, for all
// processes.
//
// An origin that has never existed cannot be distinguished from one that Redis has
// forgotten with the rest. So only a process that has not asked before accepts "always";
// any other process knows the earlier stamp.

// replicationLua defines a function that returns the replication id, or an empty string.
const replicationLua = `
local function replication()
	return string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
end
`

// errNoReplication means that a restart could not be noticed.
var errNoReplication = fmt.Errorf("%w: INFO does not tell its master_replid, by which a restart is noticed: see Config.TrustPersistence", ErrUnavailable)

// originLua finds or makes the origin. It sets the stamp, and for how many
// milliseconds all proofs have been remembered, or -1 for "always". Without a
// replication id the stamp is empty.
const originLua = `
local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local stamp, age = '', -1
if replication then
	local function now()
		local time = redis.call('TIME')
		return time[1] * 1000 + math.floor(time[2] / 1000)
	end
	local origin = redis.call('GET', KEYS[1])
	local known, since
	known, stamp, since = string.match(origin or '', '^(%w+) (%w+) (%d+)$')
	if known ~= replication then
		stamp, since = ARGV[1], now()
		if not origin and ARGV[2] == '1' then
			since = 0
		end
		redis.call('SET', KEYS[1], replication .. ' ' .. stamp .. ' ' .. string.format('%.0f', since))
	end
	since = tonumber(since)
	if since > 0 then
		age = math.max(now() - since, 0)
	end
end
`

var originScript = newScript(originLua + `return {stamp, age}`)

// proofGroups is how many origins there are in a cluster, where keys are spread over
// several servers. All proofs of a group are on the same server as its origin.
const proofGroups = 64

// groupTags keep the groups together. They are spread over the slots at random, so
// that no node gets many more than another.
var groupTags = func() (tags [proofGroups]string) {
	for i := range tags {
		sum := sha256.Sum256([]byte("helseid proofs " + strconv.Itoa(i)))
		tags[i] = "{" + hex.EncodeToString(sum[:3]) + "}"
	}
	return tags
}()

// lossMemory is how long a process remembers that it noticed a loss.
const lossMemory = time.Hour

// origins is what this process knows about them.
type origins struct {
	clustered bool

	mu     sync.Mutex
	asked  bool
	groups [proofGroups]knownOrigin
}

type knownOrigin struct {
	stamp string
	lost  time.Time // when a loss was noticed that the origin does not show
}

// origin is the answer of originLua.
type origin struct {
	stamp string
	age   time.Duration // negative: always
}

func parseOrigin(reply []any) (found origin) {
	if len(reply) >= 2 {
		found.stamp, _ = reply[0].(string)
		milliseconds, ok := reply[1].(int64)
		found.age = time.Duration(milliseconds) * time.Millisecond
		if !ok {
			found.stamp = ""
		}
	}
	return found
}

// count returns how many groups there are.
func (o *origins) count() int {
	if !o.clustered {
		return 1
	}
	return proofGroups
}

// group returns the group of a hash.
func (o *origins) group(hash [sha256.Size]byte) int {
	if !o.clustered {
		return 0
	}
	return int(hash[0]) % proofGroups
}

// tag returns the common part of a group's keys.
func (o *origins) tag(group int) string {
	if !o.clustered {
		return ""
	}
	return groupTags[group]
}

// isFirst reports that no origin is known yet.
func (o *origins) isFirst() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.asked
}

// observe records a group's origin. It returns since when all proofs are remembered,
// or zero if there is no doubt, and whether the other groups should be asked: because
// this is the first answer, or because the origin has changed.
func (o *origins) observe(group int, found origin, now time.Time) (since time.Time, changed, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first, o.asked = !o.asked, true
	known := &o.groups[group]
	changed = known.stamp != "" && known.stamp != found.stamp
	known.stamp = found.stamp
	if changed && found.age < 0 {
		known.lost = now // written by a process that did not know the earlier stamp
	}
	if now.Sub(known.lost) > lossMemory {
		known.lost = time.Time{}
	}
	since = known.lost
	if found.age >= 0 {
		if began := now.Add(-found.age); began.After(since) {
			since = began
		}
	}
	return since, changed, first
}
