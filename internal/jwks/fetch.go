package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

const fetchTimeout = 5 * time.Second

// flight is a fetch that all callers share who wait for a key.
type flight struct {
	number uint64        // among the set's fetches
	stored chan struct{} // closed when a set has come, and when the fetch has ended
	done   chan struct{} // closed when the fetch has ended

	// Set before done is closed.
	err      error
	complete bool // what the set lacks, the issuer did not have when the fetch started or later
}

// start runs a fetch with a context of its own. The lock is held, and the set is not
// closed.
func (s *KeySet) start(now time.Time, wanted string) {
	s.flights++
	f := &flight{number: s.flights, stored: make(chan struct{}), done: make(chan struct{})}
	s.flight, s.attempted = f, now
	s.running.Go(func() {
		first := s.usable(now) == nil
		comes := sync.OnceFunc(func() { close(f.stored) })
		defer comes()
		complete, err := s.fetch(wanted, comes)
		s.mu.Lock()
		defer s.mu.Unlock()
		switch ended := time.Now(); {
		case err != nil:
			s.pace.failed(ended)
		case wanted == "":
			s.pace.succeeded()
		default:
			s.pace.succeeded()
			if !first || s.known(wanted) == nil { // the first fetch is needed by everybody
				s.pace.spend(ended)
			}
		}
		s.failure, s.flight = err, nil
		f.err, f.complete = err, complete
		close(f.done)
	})
}

// fetch gets the set from where the metadata says. If it is not there or lacks the
// wanted key, the metadata is fetched again to see whether it has moved, so that the
// result is complete or an error. comes is called when the first set has been stored,
// which can be used in any case.
func (s *KeySet) fetch(wanted string, comes func()) (complete bool, err error) {
	start := time.Now()
	place, err := s.place()
	if err != nil {
		return false, err
	}
	found, err := s.fetchFrom(place)
	switch {
	case err == nil:
		s.store(found, place, time.Now().Round(0))
		comes()
		if wanted == "" || found.keys[wanted] != nil {
			return false, nil
		}
	case !errors.Is(err, errMoved):
		return false, err
	}
	moved, metadataErr := s.placeSince(start)
	switch {
	case metadataErr != nil:
		return false, metadataErr
	case moved == place:
		return err == nil, err
	}
	found, err = s.fetchFrom(moved)
	if err != nil {
		return false, err
	}
	s.store(found, moved, time.Now().Round(0))
	return true, nil
}

// place is where the metadata says that the keys are. Without metadata, the place
// where they were found before serves.
func (s *KeySet) place() (string, error) {
	start := time.Now()
	document, err := s.metadata.Get(s.lifetime)
	if err != nil {
		if current := s.current.Load(); current != nil && current.uri != "" {
			return current.uri, nil
		}
		return "", err
	}
	uri, err := document.Endpoint("jwks_uri")
	if err != nil { // other users of the metadata can do without it
		return s.placeSince(start)
	}
	return uri.String(), nil
}

// placeSince is what the metadata says at that time or later.
func (s *KeySet) placeSince(at time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(s.lifetime, fetchTimeout)
	defer cancel()
	document, err := s.metadata.Renew(ctx, at)
	if err != nil {
		return "", err
	}
	uri, err := document.Endpoint("jwks_uri")
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
