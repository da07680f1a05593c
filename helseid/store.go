package helseid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

// Store keeps what the processes of a client share about logged-in users: sessions,
// logins under way, the index by which a logout at HelseID finds sessions, and the
// data of package weblogin. [Config.Store] shares it between processes and keeps it
// over a restart. It is a table with one atomic operation, a compare-and-swap: a row
// has a version, and Save writes a row only if its version has not changed.
//
//	UPDATE rows SET data = $1, version = version + 1, expiry = $2
//	WHERE key = $3 AND version = $4
//
// The data is a JSON object of this library with a version of its own; later versions
// of the library can read it. It contains the refresh token and the ID token, and so
// a national identity number: encrypt it. Keys are hashes that do not reveal session
// IDs.
//
// The mark that a refresh is under way is part of the data. So the store also serves
// as the lock that keeps two processes from using the same refresh token. The clocks
// of the processes must agree within half a minute.
type Store interface {
	// Load returns the row under a key, or the zero StoredRow if there is none or it
	// has expired. It must return what any process has last saved: a replica that
	// lags behind will not do. For a row that exists but cannot be read, such as one
	// encrypted with a key that has been removed, it returns the row's version and an
	// error that wraps [ErrUnreadableRow]: such a session counts as ended.
	Load(ctx context.Context, key string) (StoredRow, error)

	// Save stores the row under a key with the version after row.Version, provided
	// that the stored version is row.Version. Zero means that nothing may be stored
	// under the key. It reports whether it has stored the row. The check and the
	// write are one atomic step.
	Save(ctx context.Context, key string, row StoredRow) (saved bool, err error)

	// Delete removes the row under a key, if there is one.
	Delete(ctx context.Context, key string) error
}

// StoredRow is one row of a [Store]. It prints without its data and does not marshal
// itself, so that nobody stores it unencrypted by mistake: a store saves its fields.
type StoredRow struct {
	unprintable

	// Version counts how often the row has been written. Zero means that there is no
	// row.
	Version uint64

	// Data is only for this library.
	Data []byte

	// Expiry is when the row can be removed.
	Expiry time.Time

	// Unconfirmed is set by Load if the store may have gone back to an earlier state
	// since the row was written, for instance because it was restored from a
	// snapshot, or replaced by a replica that lagged behind. What was written after
	// the row, such as the end of the session, may then be lost. Such a session is
	// only used after a refresh that HelseID accepts. A store that never loses what
	// it has confirmed always leaves it false. Save ignores it.
	Unconfirmed bool

	// Confirmed tells Save that HelseID has accepted the session in the meantime: the
	// row is no longer unconfirmed. Any other Save of an existing row leaves that
	// state as it was, and a row under a new key is not unconfirmed. Load does not
	// set it.
	Confirmed bool
}

// Format prints only the version, for every verb.
func (s StoredRow) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "stored row, version %d", s.Version)
}

// LogValue returns only the version.
func (s StoredRow) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// MarshalText fails: a store saves the fields.
func (s StoredRow) MarshalText() ([]byte, error) {
	return nil, errors.New("helseid: a StoredRow is stored by its fields, with Data encrypted")
}

// ErrStore is wrapped by the errors of a [Store] that failed. The session may still
// be valid: trying again later can help.
var ErrStore = words("the store failed")

// ErrUnreadableRow means that a stored row cannot be read, now or later: see
// [Store.Load].
var ErrUnreadableRow = words("the stored row cannot be read")

// MemoryStore is a [Store] in this process's memory, which ends with the process. A
// client without [Config.Store] has one of its own: leave that field out to keep
// sessions in memory. The zero value is ready to use, and it is safe for concurrent use.
type MemoryStore struct {
	unprintable

	mu    sync.Mutex
	rows  map[string]redact.Hidden[memoryRow]
	sweep sweeper
}

// memoryRow is a row. It ends at its Expiry by the wall clock, or after the same
// lifetime by the monotonic clock, in case the wall clock is set back.
type memoryRow struct {
	StoredRow
	end time.Time // has a monotonic reading
}

func (r memoryRow) isLive(now time.Time) bool {
	return now.Before(r.end) && now.Round(0).Before(r.Expiry.Round(0))
}

// Load implements [Store].
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

// Save implements [Store].
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

// Delete implements [Store].
func (m *MemoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, key)
	return nil
}
