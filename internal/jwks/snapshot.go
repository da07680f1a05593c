package jwks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const snapshotVersion = 1

// maxClockStep is how far the clock may have been set back since a snapshot was
// made: an API must be able to start after a small correction.
const maxClockStep = 5 * time.Minute

// ErrNoSnapshot means that there is no set yet to be saved.
var ErrNoSnapshot = redact.Words("no key set has been fetched yet")

// Snapshot returns the current set, for [KeySet.Restore] in a later process.
func (s *KeySet) Snapshot(issuer string) ([]byte, error) {
	current := s.current.Load()
	if current == nil {
		return nil, ErrNoSnapshot
	}
	return json.Marshal(map[string]any{
		"version":    snapshotVersion,
		"issuer":     issuer,
		"jwks_uri":   current.uri,
		"fetched_at": current.fetchedAt.Unix(),
		"jwks":       json.RawMessage(current.raw),
	})
}

// Restore uses the set of a snapshot. A snapshot that is too old is no error and has
// no effect.
func (s *KeySet) Restore(snapshot []byte, issuer string) error {
	object, err := jose.ParseObject(snapshot)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	version, _ := object.Get("version").Int()
	if version != snapshotVersion {
		return errors.New("snapshot: of another version of this library")
	}
	if of, _ := object.Get("issuer").Text(); of != issuer {
		return errors.New("snapshot: of another issuer")
	}
	fetchedAt, ok := object.Get("fetched_at").Int()
	if !ok {
		return errors.New("snapshot: fetched_at is missing")
	}
	uri, _ := object.Get("jwks_uri").Text()
	u, err := url.Parse(uri)
	if err != nil || httpx.CheckSecure(u) != nil {
		return errors.New("snapshot: jwks_uri is not usable")
	}
	if err := s.metadata.CheckLocation(u); err != nil {
		return fmt.Errorf("snapshot: jwks_uri %w", err)
	}
	found, err := parseSet([]byte(object.Get("jwks").Raw()))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	at, now := time.Unix(fetchedAt, 0), time.Now()
	if at.After(now) {
		if at.Sub(now) > maxClockStep {
			return errors.New("snapshot: dated in the future")
		}
		at = now
	}
	s.store(found, uri, at)
	return nil
}
