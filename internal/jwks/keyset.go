package jwks

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// freshness is how long a set is used without asking for a newer one.
	freshness = 10 * time.Minute

	// maxStale is how long a set is used when no newer one is available.
	maxStale = 24 * time.Hour
)

// ErrUnknownKey means that the issuer has no such key: it was asked after the token
// came, or it has withdrawn the key.
var ErrUnknownKey = redact.Words("the issuer has no such key")

// ErrUnavailable means that the issuer's keys are not available at the moment, or that
// it has not been asked about this key. The token may be valid.
var ErrUnavailable = metadata.ErrUnavailable

// KeySet gives the keys of one issuer. It is safe for concurrent use.
//
// Known keys are returned from memory, whatever other tokens are sent. For a key that
// is not in the set:
//
//   - The issuer is asked if the pace permits, by one fetch that all waiting callers
//     share. If the new set has the key, it is returned.
//   - The error is ErrUnknownKey if a fetch that started after the call has succeeded
//     without the key, at the place that the metadata names by then. A fetch that was
//     under way already does not count: the key may have been published after it was
//     answered.
//   - The error is ErrUnknownKey, too, if the issuer has withdrawn the key: an earlier
//     set had it, and one that is no older than half a minute lacks it. Clients then
//     get a token by a valid key.
//   - Otherwise a caller waits for the next fetch if it is permitted soon, or gets
//     ErrUnavailable: by the time of its next call the issuer will have been asked.
//
// So while others send tokens with invented kids without end, a token by a key that the
// issuer has just published is never refused as forged, and its key is known after the
// next fetch, at most [unknownInterval] later. The time and the number of waiting
// callers are bounded.
type KeySet struct {
	metadata *metadata.Source
	client   *http.Client
	lifetime context.Context
	end      context.CancelFunc
	running  sync.WaitGroup

	current atomic.Pointer[version]

	mu        sync.Mutex
	flight    *flight   // the running fetch, or nil
	flights   uint64    // how many have been started
	failure   error     // of the last fetch, or nil
	attempted time.Time // when the last fetch started
	pace      pace
	waiting   int // callers of keys that are not known
}

// New makes no network call.
func New(source *metadata.Source, client *http.Client) *KeySet {
	lifetime, end := context.WithCancel(context.Background())
	return &KeySet{metadata: source, client: client, lifetime: lifetime, end: end}
}

// Close ends a fetch that is under way and waits for it.
func (s *KeySet) Close() {
	s.mu.Lock() // no fetch starts between the end and the wait
	s.end()
	s.mu.Unlock()
	s.running.Wait()
}

// Keys returns the keys of this kid, and the generation of the set that they
// are in: a number that grows when the issuer's keys change.
//
// Callers of known keys never wait. The error is [ErrUnknownKey], or wraps
// [ErrUnavailable] if the issuer could not be asked.
func (s *KeySet) Keys(ctx context.Context, kid string) ([]*jose.PublicKey, uint64, error) {
	if kid == "" {
		return nil, 0, ErrUnknownKey // no key of a set is without one
	}
	now := time.Now()
	if current := s.usable(now); current != nil {
		if keys := current.keys[kid]; keys != nil {
			s.renew(now, current)
			return keys, current.generation, nil
		}
	}
	current, err := s.ask(ctx, kid)
	if err != nil {
		return nil, 0, err
	}
	return current.keys[kid], current.generation, nil
}

// Generation is the number of the current set, or zero without one that may be used.
// It renews the set as Keys does: a memory of validated tokens relies on it, and would
// otherwise never notice a retired key while all tokens are known.
func (s *KeySet) Generation() uint64 {
	now := time.Now()
	current := s.usable(now)
	if current == nil {
		return 0
	}
	s.renew(now, current)
	return current.generation
}

// LastGeneration is the same without renewal, for code that does not rely on the keys.
func (s *KeySet) LastGeneration() uint64 {
	if current := s.usable(time.Now()); current != nil {
		return current.generation
	}
	return 0
}

// renew starts a fetch in the background if the set is not fresh, unless one was
// tried lately.
func (s *KeySet) renew(now time.Time, current *version) {
	if current.age(now) < freshness {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil && now.Sub(s.attempted) >= renewalPause && s.lifetime.Err() == nil {
		s.start(now, "")
	}
}

func (s *KeySet) usable(now time.Time) *version {
	if current := s.current.Load(); current != nil && current.age(now) < maxStale {
		return current
	}
	return nil
}

// known is the current set if it has the key, or nil.
func (s *KeySet) known(kid string) *version {
	if current := s.usable(time.Now()); current != nil && current.keys[kid] != nil {
		return current
	}
	return nil
}
