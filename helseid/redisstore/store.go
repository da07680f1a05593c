package redisstore

import (
	"context"

	"github.com/helseid-go/sdk/helseid"
)

// Store keeps tokens, sessions and used proofs. It is safe for concurrent use.
type Store struct {
	connection *connection
	sealer     sealer
	replays    *Replays
}

// New checks the configuration and reports all its mistakes at once; the error wraps
// [ErrConfig]. It makes no network call, so a process can start while Redis is down.
// Close the store.
func New(config Config) (*Store, error) {
	config, err := config.checked(true)
	if err != nil {
		return nil, err
	}
	sealer, err := newSealer(config.EncryptionKeys)
	if err != nil {
		return nil, err
	}
	connection, err := newConnection(config)
	if err != nil {
		return nil, err
	}
	return &Store{connection, sealer, newReplays(connection)}, nil
}

// TokenCache returns a cache that shares tokens between processes, for
// [helseid.Config.TokenCache]. Its errors wrap [ErrUnavailable] or [ErrDecrypt], and
// cost the client a token request each.
func (s *Store) TokenCache() helseid.TokenCache { return tokenCache{s.connection, s.sealer} }

// Rows returns a store for the sessions of logged-in users and everything else that a
// client shares, for [helseid.Config.Store]. Its errors wrap [helseid.ErrStore], and
// [ErrUnavailable] or [ErrDecrypt]; a row that cannot be decrypted is also a
// [helseid.ErrUnreadableRow].
func (s *Store) Rows() helseid.Store {
	return rows{s.connection.within(s.connection.config.SessionTimeout), s.sealer}
}

// Replays returns a store for used proofs, for an API that shares more than those. It
// ends with the store.
func (s *Store) Replays() *Replays { return s.replays }

// Check finds out at start-up what would go wrong later: Redis cannot be reached,
// refuses the user or is too old ([ErrUnavailable]), or is configured to evict what
// it should keep ([ErrEviction]). It writes a key that expires within seconds, and
// the key that says since when used proofs are remembered.
func (s *Store) Check(ctx context.Context) error { return s.replays.Check(ctx) }

// Close closes the connections to Redis. Later uses fail. A [Config.Client] stays
// open.
func (s *Store) Close() error { return s.replays.Close() }
