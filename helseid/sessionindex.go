package helseid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/idtoken"
)

// When HelseID reports that a user has logged out, it names its own session (sid) or
// the user (sub). The index maps these to sessions. It consists of separate rows in the
// session store, which are changed by compare-and-swap and never deleted, so that no
// writer loses what another has written.

// sessionIndex is one row of the index.
type sessionIndex struct {
	Version  int      `json:"version"`
	Sessions []string `json:"sessions"` // keys, the newest last

	// LoggedOut is when HelseID last reported that the user has logged out, in Unix
	// seconds. A login that was started earlier and has not finished fails.
	LoggedOut int64 `json:"logged_out,omitempty"`
}

func (i *sessionIndex) equal(other *sessionIndex) bool {
	return i.LoggedOut == other.LoggedOut && slices.Equal(i.Sessions, other.Sessions)
}

// sessionIndexes are the indexes of a client.
type sessionIndexes struct {
	clientIdentity
	store  Store
	logger *slog.Logger
}

const (
	indexVersion = 1

	// maxIndexed bounds how many sessions one user has: the oldest is ended.
	maxIndexed = 100

	indexTries = 20
)

func (i *sessionIndexes) sidKey(sid string) string { return i.storeKey("sid", sid) }
func (i *sessionIndexes) subKey(sub string) string { return i.storeKey("sub", sub) }

// subOnlyKey returns the key of the row for those of a user's sessions whose ID token
// has no sid.
func (i *sessionIndexes) subOnlyKey(sub string) string { return i.storeKey("subonly", sub) }

// keysOf returns the keys of the rows that a session is listed in.
func (i *sessionIndexes) keysOf(identity *identity.IDToken) []string {
	user := identity.User
	if user.SessionID == "" {
		return []string{i.subKey(user.Subject), i.subOnlyKey(user.Subject)}
	}
	return []string{i.subKey(user.Subject), i.sidKey(user.SessionID)}
}

// keysOfLogout returns the keys of the rows that a logout token concerns: those of
// its sid, or of its subject if it has no sid. A sid says nothing about sessions
// without a sid, so those of the subject end too.
func (i *sessionIndexes) keysOfLogout(claims *idtoken.LogoutClaims) []string {
	switch {
	case claims.SessionID == "":
		return []string{i.subKey(claims.Subject)}
	case claims.Subject == "":
		return []string{i.sidKey(claims.SessionID)}
	}
	return []string{i.sidKey(claims.SessionID), i.subOnlyKey(claims.Subject)}
}

// add lists a session in a row until a time, in Unix seconds. It returns when the
// user last logged out, in Unix seconds, and the sessions in excess of the limit,
// which must be ended because no logout would find them any more.
func (i *sessionIndexes) add(ctx context.Context, indexKey, key string, until int64) (loggedOut int64, tooMany []string, err error) {
	index, err := i.addToFirst(ctx, indexKey, time.Unix(until, 0), func(index *sessionIndex) {
		keys := append(without(index.Sessions, key), key)
		if len(keys) > maxIndexed {
			keys = i.existing(ctx, keys)
		}
		excess := max(0, len(keys)-maxIndexed)
		tooMany, index.Sessions = keys[:excess], keys[excess:]
	})
	if err != nil {
		return 0, nil, err
	}
	return index.LoggedOut, tooMany, nil
}

// remove removes ended sessions from a row. If the row cannot be read, they stay
// there and do no harm.
func (i *sessionIndexes) remove(ctx context.Context, rowKey string, ended ...string) error {
	_, err := i.change(ctx, rowKey, time.Time{}, func(index *sessionIndex) { index.Sessions = without(index.Sessions, ended...) })
	if errors.Is(err, ErrUnreadableRow) {
		return nil
	}
	return err
}

// noteLogout records in a row that HelseID has reported a logout of the user, so that
// unfinished logins fail. It returns the listed sessions.
func (i *sessionIndexes) noteLogout(ctx context.Context, rowKey string, at time.Time) ([]string, error) {
	index, err := i.change(ctx, rowKey, time.Now().Add(LoginLifetime+loginTimeout), func(index *sessionIndex) {
		index.LoggedOut = max(index.LoggedOut, at.Unix())
	})
	return index.Sessions, err
}

func without(keys []string, ended ...string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return slices.Contains(ended, key) })
}

// existing returns the sessions that still exist.
func (i *sessionIndexes) existing(ctx context.Context, keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		row, err := i.store.Load(ctx, key)
		return err == nil && row.Version == 0
	})
}

// indexRows returns the keys of the rows of one index. A process that cannot read the
// first row, because it lacks the encryption key, puts new sessions into the second.
// So it does not overwrite what other processes can still read and must find at a
// logout. The second row is usually empty.
func indexRows(indexKey string) [2]string { return [2]string{indexKey, indexKey + "-more"} }

// addToFirst changes the first row of an index that this process can read.
func (i *sessionIndexes) addToFirst(ctx context.Context, indexKey string, expiry time.Time, change func(*sessionIndex)) (sessionIndex, error) {
	rows := indexRows(indexKey)
	index, err := i.change(ctx, rows[0], expiry, change)
	if !errors.Is(err, ErrUnreadableRow) {
		return index, err
	}
	return i.write(ctx, rows[1], expiry, change, func(ctx context.Context, key string) (StoredRow, sessionIndex, error) {
		row, index, err := i.load(ctx, key)
		if errors.Is(err, ErrUnreadableRow) {
			i.logger.WarnContext(ctx, "earlier sessions may not be found when HelseID logs their user out: the index cannot be read")
			return row, sessionIndex{Version: indexVersion}, nil
		}
		return row, index, err
	})
}

// change changes a row by compare-and-swap and returns its new content. The row then
// lives at least until the given time. The error wraps [ErrUnreadableRow] if the row
// cannot be read; it is then left as it is.
func (i *sessionIndexes) change(ctx context.Context, indexKey string, expiry time.Time, change func(*sessionIndex)) (sessionIndex, error) {
	return i.write(ctx, indexKey, expiry, change, i.load)
}

func (i *sessionIndexes) write(ctx context.Context, indexKey string, expiry time.Time, change func(*sessionIndex),
	load func(context.Context, string) (StoredRow, sessionIndex, error),
) (sessionIndex, error) {
	for try := range indexTries {
		row, index, err := load(ctx, indexKey)
		if err != nil {
			return sessionIndex{}, err
		}
		before := index
		index.Sessions = slices.Clone(index.Sessions)
		if change(&index); index.equal(&before) && !row.Expiry.Before(expiry) {
			return index, nil
		}
		data, err := json.Marshal(index)
		if err != nil {
			return sessionIndex{}, fmt.Errorf("helseid: index a session: %w", err)
		}
		if expiry.Before(row.Expiry) {
			expiry = row.Expiry
		}
		saved, err := i.store.Save(ctx, indexKey, StoredRow{Version: row.Version, Data: data, Expiry: expiry})
		switch {
		case err != nil:
			return sessionIndex{}, storeError(err)
		case saved:
			return index, nil
		}
		// Another writer was faster.
		if !clock.Sleep(ctx, rand.N(time.Duration(try+1)*5*time.Millisecond)) {
			break
		}
	}
	return sessionIndex{}, fmt.Errorf("%w: the same user's sessions change too fast", ErrStore)
}

// load reads a row. The error wraps [ErrStore], and [ErrUnreadableRow] for a row that
// exists but cannot be read: then it is not known which sessions there are.
func (i *sessionIndexes) load(ctx context.Context, indexKey string) (StoredRow, sessionIndex, error) {
	index := sessionIndex{Version: indexVersion}
	row, err := i.store.Load(ctx, indexKey)
	if err != nil {
		return row, index, storeError(err)
	}
	if row.Version == 0 {
		return row, index, nil
	}
	var stored sessionIndex
	if err := json.Unmarshal(row.Data, &stored); err != nil || stored.Version != indexVersion {
		return row, index, storeError(ErrUnreadableRow) // written by another version of this library
	}
	return row, stored, nil
}
