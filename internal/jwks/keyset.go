package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// freshness is how long a set is used without asking for a newer one.
	freshness = 10 * time.Minute

	// maxStale is how long a set is used when no newer one can be had.
	maxStale = 24 * time.Hour

	// unknownInterval and unknownBurst bound the requests that unknown keys
	// cause. A burst of two, so that one attacker cannot spend the only one.
	unknownInterval = 30 * time.Second
	unknownBurst    = 2

	// failureInterval bounds the requests while there is no set at all.
	failureInterval = 2 * time.Second

	fetchTimeout = 5 * time.Second
)

// ErrUnknownKey means that the issuer has no such key.
var ErrUnknownKey = redact.Words("the issuer has no such key")

// ErrUnavailable means that the issuer's keys cannot be had at the moment.
var ErrUnavailable = metadata.ErrUnavailable

// KeySet gives the keys of one issuer. It is safe for concurrent use.
type KeySet struct {
	metadata *metadata.Source
	client   *http.Client
	lifetime context.Context
	end      context.CancelFunc
	running  sync.WaitGroup

	current atomic.Pointer[version]

	mu        sync.Mutex
	flight    chan struct{} // closed when the running fetch has ended; nil without one
	failure   error         // of the last fetch, or nil
	attempted time.Time     // when the last fetch started
	allowance float64       // fetches left for unknown keys
	refilled  time.Time
}

// version is a set with its history.
type version struct {
	*set
	generation uint64
	uri        string
	fetchedAt  time.Time // by the wall clock
	storedAt   time.Time // by the monotonic clock
	storedAge  time.Duration
}

// age is how old a set is by the wall clock, which goes on while a machine sleeps,
// or by the monotonic one, which nobody sets back: whichever says more.
func (v *version) age(now time.Time) time.Duration {
	return max(now.Round(0).Sub(v.fetchedAt), v.storedAge+now.Sub(v.storedAt))
}

// New makes no network call.
func New(source *metadata.Source, client *http.Client) *KeySet {
	lifetime, end := context.WithCancel(context.Background())
	return &KeySet{
		metadata:  source,
		client:    client,
		lifetime:  lifetime,
		end:       end,
		allowance: unknownBurst,
		refilled:  time.Now(),
	}
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
// Callers of known keys never wait. The error is ErrUnknownKey, or wraps
// ErrUnavailable if there is no telling.
func (s *KeySet) Keys(ctx context.Context, kid string) ([]*jose.PublicKey, uint64, error) {
	now := time.Now()
	current := s.usable(now)
	if current != nil {
		if keys := current.keys[kid]; keys != nil {
			s.renew(now, current)
			return keys, current.generation, nil
		}
	}
	flight, allowed := s.demand(now, current != nil, kid)
	if allowed {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("%w: wait for the issuer's keys: %w", ErrUnavailable, ctx.Err())
		}
	}
	return s.lookUp(kid)
}

// Generation is the number of the current set, or zero without one that may be
// used. Who goes by it relies on the keys as callers of Keys do, so it renews
// them as Keys does: else a retired key would never be noticed where all tokens
// are known.
func (s *KeySet) Generation() uint64 {
	now := time.Now()
	current := s.usable(now)
	if current == nil {
		return 0
	}
	s.renew(now, current)
	return current.generation
}

// LastGeneration is the same, and renews nothing: it is for who does not rely on the
// keys.
func (s *KeySet) LastGeneration() uint64 {
	if current := s.usable(time.Now()); current != nil {
		return current.generation
	}
	return 0
}

// renew starts a fetch in the background if the set is not fresh.
func (s *KeySet) renew(now time.Time, current *version) {
	if current.age(now) >= freshness {
		s.refresh(now)
	}
}

func (s *KeySet) usable(now time.Time) *version {
	if current := s.current.Load(); current != nil && current.age(now) < maxStale {
		return current
	}
	return nil
}

// lookUp answers after all that may be done has been done.
func (s *KeySet) lookUp(kid string) ([]*jose.PublicKey, uint64, error) {
	s.mu.Lock()
	failure := s.failure
	s.mu.Unlock()
	current := s.usable(time.Now())
	if current != nil {
		if keys := current.keys[kid]; keys != nil {
			return keys, current.generation, nil
		}
		if failure == nil {
			return nil, 0, ErrUnknownKey
		}
	}
	if failure == nil {
		failure = errors.New("no key set yet")
	}
	return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, failure)
}

// refresh starts a fetch in the background, unless one was tried lately.
func (s *KeySet) refresh(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil && now.Sub(s.attempted) >= unknownInterval {
		s.start(now, "")
	}
}

// demand joins the running fetch or starts one, if the allowance permits.
func (s *KeySet) demand(now time.Time, haveSet bool, kid string) (flight <-chan struct{}, allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight, true
	}
	if haveSet {
		if !s.takeAllowance(now) {
			return nil, false
		}
	} else if s.failure != nil && now.Sub(s.attempted) < failureInterval {
		return nil, false
	}
	s.start(now, kid)
	return s.flight, s.flight != nil
}

func (s *KeySet) takeAllowance(now time.Time) bool {
	s.allowance = min(unknownBurst, s.allowance+float64(now.Sub(s.refilled))/float64(unknownInterval))
	s.refilled = now
	if s.allowance < 1 {
		return false
	}
	s.allowance--
	return true
}

// start runs a fetch that belongs to no caller. The lock is held.
func (s *KeySet) start(now time.Time, wanted string) {
	if s.lifetime.Err() != nil {
		s.failure = errors.New("closed")
		return
	}
	done := make(chan struct{})
	s.flight, s.attempted = done, now
	s.running.Go(func() {
		first := s.usable(now) == nil
		err := s.fetch(wanted)
		s.mu.Lock()
		defer s.mu.Unlock()
		if current := s.current.Load(); first && err == nil && current.keys[wanted] == nil {
			s.takeAllowance(time.Now()) // the first fetch was for an unknown key too
		}
		s.failure, s.flight = err, nil
		close(done)
	})
}

// fetch gets the set from where the metadata says, and looks whether the
// metadata has changed if the set is not there or lacks the wanted key.
func (s *KeySet) fetch(wanted string) error {
	uri, err := s.location(s.metadata.Get)
	if err != nil {
		return err
	}
	found, err := s.fetchFrom(uri)
	if errors.Is(err, errMoved) || err == nil && wanted != "" && found.keys[wanted] == nil {
		moved, metadataErr := s.location(s.metadata.Renew)
		if metadataErr == nil && moved != uri {
			if elsewhere, elsewhereErr := s.fetchFrom(moved); elsewhereErr == nil {
				uri, found, err = moved, elsewhere, nil
			}
		}
	}
	if err != nil {
		return err
	}
	s.store(found, uri, time.Now().Round(0))
	return nil
}

func (s *KeySet) location(get func(context.Context) (*metadata.Document, error)) (string, error) {
	document, err := get(s.lifetime)
	if err != nil {
		// Without metadata, the place where the keys were found before serves.
		if current := s.current.Load(); current != nil && current.uri != "" {
			return current.uri, nil
		}
		return "", err
	}
	uri, err := document.Endpoint("jwks_uri")
	if err != nil { // whoever shares the metadata could do without it
		if document, renewErr := s.metadata.Renew(s.lifetime); renewErr == nil {
			uri, err = document.Endpoint("jwks_uri")
		}
	}
	if err != nil {
		return "", err
	}
	return uri.String(), nil
}

var errMoved = redact.Words("not there")

func (s *KeySet) fetchFrom(uri string) (*set, error) {
	ctx, cancel := context.WithTimeout(s.lifetime, fetchTimeout)
	defer cancel()
	resp, body, err := httpx.Get(ctx, s.client, uri, httpx.GetPolicy{Timeout: fetchTimeout})
	switch {
	case err != nil:
		return nil, fmt.Errorf("key set: %w", err)
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("key set: %s answered status %d: %w", uri, resp.StatusCode, errMoved)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("key set: %s answered status %d", uri, resp.StatusCode)
	}
	found, err := parseSet(body)
	if err != nil {
		return nil, fmt.Errorf("key set: %s: %w", uri, err)
	}
	return found, nil
}

func (s *KeySet) store(found *set, uri string, at time.Time) {
	generation := uint64(1)
	if old := s.current.Load(); old != nil {
		generation = old.generation
		if old.digest != found.digest {
			generation++
		}
	}
	now := time.Now()
	s.current.Store(&version{
		set: found, generation: generation, uri: uri,
		fetchedAt: at, storedAt: now, storedAge: max(0, now.Round(0).Sub(at)),
	})
}
