package jwks

import "time"

const (
	// absentFor is how long a set says that a key has been withdrawn.
	absentFor = 30 * time.Second

	// maxWithdrawn bounds the withdrawn keys that are remembered from before the set
	// that was replaced last.
	maxWithdrawn = 100
)

// version is a set with its history.
type version struct {
	*set
	generation uint64
	uri        string
	fetchedAt  time.Time // by the wall clock
	storedAt   time.Time // by the monotonic clock
	storedAge  time.Duration
	withdrawn  map[string]bool // kids of earlier sets
}

// age is the larger of a set's ages by the wall clock, which goes on while a machine
// sleeps, and by the monotonic one, which is never set back.
func (v *version) age(now time.Time) time.Duration {
	return max(now.Round(0).Sub(v.fetchedAt), v.storedAge+now.Sub(v.storedAt))
}

// hasWithdrawn reports whether the issuer had the key earlier and no longer has it, by a
// recent set.
func (v *version) hasWithdrawn(kid string, now time.Time) bool {
	return v.withdrawn[kid] && v.age(now) < absentFor
}

func (s *KeySet) store(found *set, uri string, at time.Time) {
	now := time.Now()
	next := &version{
		set: found, generation: 1, uri: uri,
		fetchedAt: at, storedAt: now, storedAge: max(0, now.Round(0).Sub(at)),
	}
	if old := s.current.Load(); old != nil {
		next.generation, next.withdrawn = old.generation, old.withdrawn
		if old.digest != found.digest {
			next.generation++
			next.withdrawn = withdrawn(old, found)
		}
	}
	s.current.Store(next)
}

func withdrawn(old *version, found *set) map[string]bool {
	kids := make(map[string]bool)
	for kid := range old.keys {
		if found.keys[kid] == nil {
			kids[kid] = true
		}
	}
	for kid := range old.withdrawn {
		if found.keys[kid] == nil && len(kids) < maxWithdrawn {
			kids[kid] = true
		}
	}
	return kids
}
