package helseid

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// When HelseID says that a user has logged out it names its own session (sid) or
// the user (sub). The index leads from there to sessions. It lies in the session
// store, in rows of its own.

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

// indexSession makes a session be found until a time, in Unix seconds.
func (c *Client) indexSession(ctx context.Context, key string, identity *tokenvalidation.IDClaims, until int64) error {
	expiry := time.Unix(until, 0)
	if sid := identity.User.SessionID; sid != "" {
		if err := c.addToIndex(ctx, c.sidKey(sid), key, expiry); err != nil {
			return err
		}
	}
	return c.addToIndex(ctx, c.subKey(identity.User.Subject), key, expiry)
}

func (c *Client) addToIndex(ctx context.Context, indexKey, key string, expiry time.Time) error {
	for try := range indexTries {
		row, index, err := c.loadIndex(ctx, indexKey)
		if err != nil {
			return err
		}
		index.Sessions = slices.DeleteFunc(index.Sessions, func(other string) bool { return other == key })
		index.Sessions = append(index.Sessions, key)
		index.Sessions = index.Sessions[max(0, len(index.Sessions)-maxIndexed):]
		data, err := json.Marshal(index)
		if err != nil {
			return fmt.Errorf("helseid: index a session: %w", err)
		}
		if row.Expiry.After(expiry) {
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
	if err != nil {
		return row, index, storeError(err)
	}
	if row.Version == 0 {
		return row, index, nil
	}
	var stored sessionIndex
	if json.Unmarshal(row.Data, &stored) == nil && stored.Version == indexVersion {
		index = stored
	}
	return row, index, nil
}
