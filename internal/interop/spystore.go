package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

// A spyStore is a store in memory that keeps a copy of everything it has ever held, so that a scenario
// can put back what should be of no use any more.
type spyStore struct {
	helseid.MemoryStore
	latency time.Duration // of each operation, as of a database
	mu      sync.Mutex
	seen    []spiedRow
}

type spiedRow struct {
	key string
	row helseid.StoredRow
}

func newSpyStore() *spyStore { return &spyStore{} }

// Load implements helseid.Store.
func (s *spyStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	row, err := s.MemoryStore.Load(ctx, key)
	time.Sleep(s.latency) //nolint:forbidigo // what was read is old when it arrives
	return row, err
}

// Save implements helseid.Store.
func (s *spyStore) Save(ctx context.Context, key string, row helseid.StoredRow) (bool, error) {
	time.Sleep(s.latency) //nolint:forbidigo // a store far away, in real time
	saved, err := s.MemoryStore.Save(ctx, key, row)
	if saved {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, spiedRow{key, row})
	}
	return saved, err
}

// sessions are the rows so far that a session with a refresh token was stored in, while none was
// being used.
func (s *spyStore) sessions() ([]spiedRow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []spiedRow
	for _, spied := range s.seen {
		if !strings.HasPrefix(spied.key, "session-") {
			continue
		}
		var record struct {
			RefreshToken string `json:"refresh_token"`
			Refreshing   int64
		}
		if err := json.Unmarshal(spied.row.Data, &record); err != nil {
			return nil, err
		}
		if record.RefreshToken != "" && record.Refreshing == 0 {
			found = append(found, spied)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no session with a refresh token has been stored")
	}
	return found, nil
}

// putBack stores a row again in place of what is there now.
func (s *spyStore) putBack(ctx context.Context, spied spiedRow) error {
	if err := s.Delete(ctx, spied.key); err != nil {
		return err
	}
	spied.row.Version = 0
	saved, err := s.MemoryStore.Save(ctx, spied.key, spied.row)
	if err == nil && !saved {
		err = errors.New("the row could not be put back")
	}
	return err
}
