package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/helseid-go/sdk/helseid"
)

// A session is a Redis hash with a version, its sealed data and an origin: the
// replication id when it was last confirmed, which changes with each restart and each
// failover. A row with another origin than the present one may come from a snapshot, and
// what was written after it may be lost.
var (
	// loadScript takes whether origins matter. Without a row the origin is not read.
	loadScript = newScript(replicationLua + `
local row = redis.call('HMGET', KEYS[1], 'version', 'data', 'origin')
local present = ''
if row[1] and ARGV[1] == '1' then
	present = replication()
end
return {row[1], row[2], redis.call('PTTL', KEYS[1]), row[3] or '', present}`)

	// saveScript takes the version that must be stored, the version to write, the
	// data, the milliseconds to keep it (zero or less removes it), whether origins
	// matter, and whether an existing row becomes confirmed. Sealed data never occurs
	// twice, so a row that already has it was written by this very call, whose answer
	// was lost.
	saveScript = newScript(replicationLua + `
local row = redis.call('HMGET', KEYS[1], 'version', 'data', 'origin')
if row[1] == ARGV[2] and row[2] == ARGV[3] then
	return 1
end
if (row[1] or '0') ~= ARGV[1] then
	return 0
end
local origin = row[3] or ''
if ARGV[5] == '1' and (not row[1] or ARGV[6] == '1') then
	origin = replication()
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3], 'origin', origin)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`)
)

// rows is a [helseid.Store].
type rows struct {
	connection *connection
	sealer     sealer
}

// Load implements [helseid.Store]. The expiry is that of Redis, converted to this
// process's clock. A session from before the last restart or failover is unconfirmed.
func (r rows) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	place := r.place(key)
	var row []any
	err := r.connection.use(ctx, func(ctx context.Context) (err error) {
		row, err = loadScript.Run(ctx, r.connection.client, []string{place}, flag(r.doubts())).Slice()
		return err
	})
	if err != nil {
		return helseid.StoredRow{}, sessionError(err)
	}
	if len(row) == 5 && row[0] != nil && row[4] == "" && r.doubts() {
		return helseid.StoredRow{}, sessionError(errNoReplication)
	}
	session, err := r.read(place, row)
	if err != nil {
		return session, sessionError(fmt.Errorf("%w: %w", helseid.ErrUnreadableRow, err))
	}
	return session, nil
}

// read reads the answer of loadScript. If the data cannot be read it still returns
// the version.
func (r rows) read(place string, row []any) (helseid.StoredRow, error) {
	if len(row) != 5 {
		return helseid.StoredRow{}, ErrDecrypt
	}
	if row[0] == nil && row[1] == nil {
		return helseid.StoredRow{}, nil
	}
	text, _ := row[0].(string)
	sealed, _ := row[1].(string)
	left, _ := row[2].(int64)
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil || version == 0 || left < 0 {
		return helseid.StoredRow{}, ErrDecrypt
	}
	data, err := r.sealer.open(place, version, []byte(sealed))
	if err != nil {
		return helseid.StoredRow{Version: version}, err
	}
	origin, _ := row[3].(string)
	present, _ := row[4].(string)
	return helseid.StoredRow{
		Version:     version,
		Data:        data,
		Expiry:      r.connection.now().Add(time.Duration(left) * time.Millisecond),
		Unconfirmed: r.doubts() && (origin == "" || origin != present),
	}, nil
}

// doubts reports whether Redis may forget what it has confirmed.
func (r rows) doubts() bool { return !r.connection.config.TrustPersistence }

// Save implements [helseid.Store].
func (r rows) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	place, next := r.place(key), session.Version+1
	sealed, err := r.sealer.seal(place, next, session.Data)
	if err != nil {
		return false, sessionError(err)
	}
	var saved bool
	err = r.connection.use(ctx, func(ctx context.Context) (err error) {
		saved, err = saveScript.Run(ctx, r.connection.client, []string{place},
			strconv.FormatUint(session.Version, 10), strconv.FormatUint(next, 10), sealed,
			session.Expiry.Sub(r.connection.now()).Milliseconds(), flag(r.doubts()), flag(session.Confirmed)).Bool()
		return err
	})
	if err != nil {
		return false, sessionError(err)
	}
	return saved, nil
}

// Delete implements [helseid.Store].
func (r rows) Delete(ctx context.Context, key string) error {
	err := r.connection.use(ctx, func(ctx context.Context) error {
		return r.connection.client.Del(ctx, r.place(key)).Err()
	})
	if err != nil {
		return sessionError(err)
	}
	return nil
}

func (r rows) place(key string) string { return r.connection.config.KeyPrefix + "session:" + key }

func sessionError(err error) error {
	if errors.Is(err, redis.Nil) {
		err = ErrUnavailable
	}
	return fmt.Errorf("%w: %w", helseid.ErrStore, err)
}
