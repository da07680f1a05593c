package helseid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

// Store is what the processes of a client share of its logged-in users: their
// sessions, logins under way, the index by which a logout at HelseID finds them, and
// what package weblogin keeps. Config.Store puts it where several processes, or one
// after a restart, find it. It is a table with one atomic operation: a row has a
// version, and Save writes it only if nobody else has in between.
//
//	UPDATE rows SET data = $1, version = version + 1, expiry = $2
//	WHERE key = $3 AND version = $4
//
// The data is a JSON object of this library's with a version of its own, which
// later versions of the library can read. It holds the refresh token and the ID
// token, and with it a national identity number: encrypt it. Keys are hashes,
// from which no session's id can be told.
//
// The mark that a refresh is under way is part of the data. So the store is the
// lock, too, that keeps two processes from using one refresh token. The clocks of
// the processes must agree within half a minute.
type Store interface {
	// Load returns the row under a key, or the zero StoredRow if there is none or
	// it has expired. It must see what was last saved, by
	// whichever process: a replica that lags behind will not do. For a row that
	// is there and cannot be read, such as one encrypted with a key that has been
	// dropped, it returns the row's version and an error that wraps
	// ErrUnreadableRow: a session has ended then.
	Load(ctx context.Context, key string) (StoredRow, error)

	// Save stores the row under a key with the version after row.Version, provided
	// that the stored version is row.Version: zero for a key under which nothing may
	// be stored. It reports whether it did. The check and the writing are one step.
	Save(ctx context.Context, key string, row StoredRow) (saved bool, err error)

	// Delete removes the row under a key, if there is one.
	Delete(ctx context.Context, key string) error
}

// StoredRow is one row of a Store. It is printed without its data, and does not
// marshal itself, so that nobody stores it unencrypted by mistake: a store takes its
// fields.
type StoredRow struct {
	unprintable

	// Version counts how often the row has been written. Zero means that there
	// is none.
	Version uint64

	// Data is for this library alone.
	Data []byte

	// Expiry is when the row can be removed.
	Expiry time.Time

	// Unconfirmed is for Load to say that the store may have gone back to an earlier
	// state since the row was written, as one that is restored from a snapshot or
	// taken over by a replica that lagged behind: what was written after the row, such
	// as the end of the session, may be lost. Such a session is believed only after a
	// refresh that HelseID accepts. A store that never forgets what it has confirmed
	// leaves it false. Save does not look at it.
	Unconfirmed bool

	// Confirmed is for Save to know that HelseID has accepted the session since the
	// doubt arose: the row is not unconfirmed any more. Any other Save over a row leaves
	// it as it was, and a row under a new key is not unconfirmed. Load does not set it.
	Confirmed bool
}

// Format prints the version alone, for every verb.
func (s StoredRow) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "stored row, version %d", s.Version)
}

// LogValue prints the version alone.
func (s StoredRow) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// MarshalText fails: a store takes the fields.
func (s StoredRow) MarshalText() ([]byte, error) {
	return nil, errors.New("helseid: a StoredRow is stored by its fields, with Data encrypted")
}

// ErrStore is wrapped by the errors of a Store that failed. The session may be good:
// trying later can help.
var ErrStore = words("the store failed")

// ErrUnreadableRow says that what is stored under a key cannot be read, now or
// later: see Store.Load.
var ErrUnreadableRow = words("the stored row cannot be read")

// MemoryStore is a Store in this process's memory, which ends with the process. A
// client without Config.Store has one of its own. The zero value is ready to use,
// and it is safe for concurrent use.
type MemoryStore struct {
	mu    sync.Mutex
	rows  map[string]redact.Hidden[memoryRow]
	sweep sweeper
}

// memoryRow is a row that ends with its Expiry by the wall clock, or as much time
// later as it was to live by the process's own, in case the wall clock is set back.
type memoryRow struct {
	StoredRow
	end time.Time // has a monotonic reading
}

func (r memoryRow) isLive(now time.Time) bool {
	return now.Before(r.end) && now.Round(0).Before(r.Expiry.Round(0))
}

// Format prints what it is, for every verb.
func (m *MemoryStore) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "store in memory")
}

// Load implements Store.
func (m *MemoryStore) Load(_ context.Context, key string) (StoredRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live(key, time.Now()), nil
}

func (m *MemoryStore) live(key string, now time.Time) StoredRow {
	row := m.rows[key].Reveal()
	if !row.isLive(now) {
		return StoredRow{}
	}
	return row.StoredRow
}

// Save implements Store.
func (m *MemoryStore) Save(_ context.Context, key string, row StoredRow) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.live(key, now).Version != row.Version {
		return false, nil
	}
	if m.rows == nil {
		m.rows = make(map[string]redact.Hidden[memoryRow])
	}
	if m.sweep.due(len(m.rows), now) {
		for key, stored := range m.rows {
			if !stored.Reveal().isLive(now) {
				delete(m.rows, key)
			}
		}
		m.sweep.done(len(m.rows), now)
	}
	row.Version++
	row.Unconfirmed, row.Confirmed = false, false
	m.rows[key] = redact.Hide(memoryRow{row, now.Add(row.Expiry.Round(0).Sub(now.Round(0)))})
	return true, nil
}

// Delete implements Store.
func (m *MemoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, key)
	return nil
}
