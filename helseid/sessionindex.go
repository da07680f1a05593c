package helseid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// When HelseID says that a user has logged out it names its own session (sid) or
// the user (sub). The index leads from there to sessions. It lies in the session
// store, in rows of its own, which are changed and never deleted: whoever writes
// one finds what others have written.

// sessionIndex is such a row.
type sessionIndex struct {
	Version  int      `json:"version"`
	Sessions []string `json:"sessions"` // keys, the newest last
}

const (
	indexVersion = 1

	// maxIndexed bounds how many sessions of one user are found.
	maxIndexed = 100

	indexTries = 20
)

func (c *Client) sidKey(sid string) string { return c.storeKey("sid", sid) }
func (c *Client) subKey(sub string) string { return c.storeKey("sub", sub) }

// indexKeys are the rows that a session stands in.
func (c *Client) indexKeys(identity *tokenvalidation.IDClaims) []string {
	keys := []string{c.subKey(identity.User.Subject)}
	if sid := identity.User.SessionID; sid != "" {
		keys = append(keys, c.sidKey(sid))
	}
	return keys
}

// indexSession makes a session be found until a time, in Unix seconds.
func (c *Client) indexSession(ctx context.Context, key string, identity *tokenvalidation.IDClaims, until int64) error {
	for _, indexKey := range c.indexKeys(identity) {
		err := c.changeIndex(ctx, indexKey, time.Unix(until, 0), func(keys []string) []string {
			keys = append(without(keys, key), key)
			if len(keys) > maxIndexed {
				keys = c.existing(ctx, keys)
			}
			return keys[max(0, len(keys)-maxIndexed):]
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unindexSession takes sessions that have ended out of a row.
func (c *Client) unindexSession(ctx context.Context, indexKey string, ended ...string) error {
	return c.changeIndex(ctx, indexKey, time.Time{}, func(keys []string) []string { return without(keys, ended...) })
}

func without(keys []string, ended ...string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return slices.Contains(ended, key) })
}

// existing leaves out the sessions that are not there any more.
func (c *Client) existing(ctx context.Context, keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		row, err := c.store.Load(ctx, key)
		return err == nil && row.Version == 0
	})
}

// changeIndex changes a row, which lives until the given time at least.
func (c *Client) changeIndex(ctx context.Context, indexKey string, expiry time.Time, change func([]string) []string) error {
	for try := range indexTries {
		row, index, err := c.loadIndex(ctx, indexKey)
		if err != nil {
			return err
		}
		changed := change(slices.Clone(index.Sessions))
		if slices.Equal(changed, index.Sessions) && !row.Expiry.Before(expiry) {
			return nil
		}
		index.Sessions = changed
		data, err := json.Marshal(index)
		if err != nil {
			return fmt.Errorf("helseid: index a session: %w", err)
		}
		if expiry.Before(row.Expiry) {
			expiry = row.Expiry
		}
		saved, err := c.store.Save(ctx, indexKey, StoredSession{Version: row.Version, Data: data, Expiry: expiry})
		switch {
		case err != nil:
			return storeError(err)
		case saved:
			return nil
		}
		// Somebody else has written in between.
		if !sleep(ctx, rand.N(time.Duration(try+1)*5*time.Millisecond)) {
			break
		}
	}
	return fmt.Errorf("%w: the same user's sessions change too fast", ErrSessionStore)
}

func (c *Client) loadIndex(ctx context.Context, indexKey string) (StoredSession, sessionIndex, error) {
	index := sessionIndex{Version: indexVersion}
	row, err := c.store.Load(ctx, indexKey)
	if errors.Is(err, ErrUnreadableSession) {
		c.config.Logger.WarnContext(ctx, "sessions of before will not be found when HelseID logs their user out: the index cannot be read")
		return row, index, nil
	}
	if err != nil {
		return row, index, storeError(err)
	}
	var stored sessionIndex
	if row.Version != 0 && json.Unmarshal(row.Data, &stored) == nil && stored.Version == indexVersion {
		index = stored
	}
	return row, index, nil
}
