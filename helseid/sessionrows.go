package helseid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// sessionRow is a session as it was read from the store or written to it.
type sessionRow struct {
	version uint64
	record  sessionRecord
	noted   int64 // the last stored use

	// unconfirmed says that the session may have ended: see [StoredRow].
	unconfirmed bool
}

// sessionRows are the sessions in the store.
type sessionRows struct {
	clientIdentity
	store  Store
	places sessionPlaces
	logger *slog.Logger
}

// load reads a session that has not ended.
func (r *sessionRows) load(ctx context.Context, key string) (sessionRow, error) {
	stored, err := r.store.Load(ctx, key)
	switch {
	case errors.Is(err, ErrUnreadableRow):
		r.logger.WarnContext(ctx, "a stored session cannot be read and counts as ended: has an encryption key been dropped?")
		return sessionRow{}, errSessionEnded
	case err != nil:
		return sessionRow{}, storeError(err)
	case stored.Version == 0:
		return sessionRow{}, errSessionEnded
	}
	record, err := r.decode(stored.Data)
	if err != nil {
		return sessionRow{version: stored.Version, record: record}, err
	}
	noted := record.LastUsed
	if place := r.places.find(key); place != nil {
		record.usedAt(place.used.Load())
	}
	switch now := time.Now(); {
	case record.hasEnded(now):
		err = errSessionEnded
	case !now.Before(record.expiry()):
		err = ErrSessionExpired
	}
	return sessionRow{version: stored.Version, record: record, noted: noted, unconfirmed: stored.Unconfirmed}, err
}

// create stores a new session.
func (r *sessionRows) create(ctx context.Context, key string, record sessionRecord) error {
	data, err := record.encode()
	if err != nil {
		return err
	}
	saved, err := r.store.Save(ctx, key, StoredRow{Data: data, Expiry: record.keptUntil()})
	switch {
	case err != nil:
		return storeError(err)
	case !saved:
		return fmt.Errorf("%w: it holds a session under a new key", ErrStore)
	}
	return nil
}

// save writes a record if the stored version is the given one. An unconfirmed session
// (StoredRow.Unconfirmed) stays so unless confirmed is set.
func (r *sessionRows) save(ctx context.Context, place *sessionPlace, version uint64, record sessionRecord, confirmed bool) (bool, error) {
	record.usedAt(place.used.Load())
	data, err := record.encode()
	if err != nil {
		return false, err
	}
	expiry := record.keptUntil()
	if end := time.Now().Add(refreshTimeout); record.Refreshing != 0 && expiry.Before(end) {
		expiry = end // the row must still exist when the refresh ends
	}
	saved, err := r.store.Save(ctx, place.key, StoredRow{Version: version, Data: data, Expiry: expiry, Confirmed: confirmed})
	if err != nil {
		return false, storeError(err)
	}
	if saved {
		place.noted.Store(time.Now().UnixMilli())
	}
	return saved, nil
}
