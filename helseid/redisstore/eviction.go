package redisstore

import (
	"fmt"
	"sync"
	"time"
)

// A Redis with an eviction policy drops used proofs early when it is short of memory,
// and each can then be used once more. So each process reads the policy with its first
// proof, and again from time to time, in the command that records the proof: no request
// waits for an extra round trip, and none is accepted before the policy is known.

const (
	// policyInterval is how often the policy is read, for each group of proofs.
	policyInterval = 10 * time.Second

	// badPolicyInterval is the same while proofs are refused because of it.
	badPolicyInterval = time.Second
)

// policyLua defines a function that returns the eviction policy, or an empty string.
const policyLua = `
local function policy()
	local memory = redis.pcall('INFO', 'memory')
	return type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w-]+)') or ''
end
`

var policyScript = newScript(policyLua + `return policy()`)

// noEviction is the only policy that keeps what is stored.
const noEviction = "noeviction"

var (
	errEvicts    = fmt.Errorf("%w: %w", ErrUnavailable, ErrEviction)
	errNoPolicy  = fmt.Errorf("%w: INFO does not tell its maxmemory_policy: see Config.TrustNoEviction", ErrUnavailable)
	errPolicyNow = fmt.Errorf("%w: its maxmemory_policy is not known yet", ErrUnavailable)
)

// evictions is what this process knows about the policy, by group of proofs: in a
// cluster each group may be on a different node.
type evictions struct {
	mu     sync.Mutex
	groups [proofGroups]knownPolicy
}

type knownPolicy struct {
	asked   time.Time // when the last answer came, or zero
	problem error
}

// due reports that the next command should read the policy.
func (e *evictions) due(group int, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.groups[group]
	interval := policyInterval
	if known.problem != nil {
		interval = badPolicyInterval
	}
	return known.asked.IsZero() || now.Sub(known.asked) >= interval
}

// learn records an answer, and reports that proofs are refused from now on that were
// accepted before.
func (e *evictions) learn(group int, policy string, now time.Time) (worse bool) {
	var problem error
	switch policy {
	case noEviction:
	case "":
		problem = errNoPolicy
	default:
		problem = errEvicts
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	worse = problem != nil && e.groups[group].problem == nil
	e.groups[group] = knownPolicy{now, problem}
	return worse
}

// problem returns why no proof may be accepted, or nil.
func (e *evictions) problem(group int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.groups[group].asked.IsZero() {
		return errPolicyNow
	}
	return e.groups[group].problem
}
