package weblogin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// browserSession is the row that says which session a browser has got last. It is
// written by logins that have ended well, and lasts as long as others can be under
// way.
type browserSession struct {
	Version int    `json:"version"`
	Session string `json:"session"` // its id, sealed
}

const (
	browserVersion = 1
	browserTries   = 10
)

var errManyLogins = redact.Words("the browser's session changes all the time")

// onlySession ends all but one of the sessions that a browser gets from several
// logins at once, and returns that one: whichever answer the browser reads last,
// its cookie is the one that lives. before is the id of the session that it came
// with, or "". The first session stays if both are the same person's; the id of one
// person's is never given to another.
func (w *Web) onlySession(ctx context.Context, browser, before string, session *helseid.Session) (*helseid.Session, error) {
	if browser == "" {
		return session, nil
	}
	store, key := w.config.Client.Sessions().Store(), "weblogin-browser-"+hash(string(w.binding(purpose{"browser", browser})))
	sealed, err := w.seal(ctx, purpose{"session", key}, []byte(session.ID().Reveal()))
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(browserSession{browserVersion, sealed})
	if err != nil {
		return nil, err
	}
	for range browserTries {
		row, err := store.Load(ctx, key)
		if err != nil && !errors.Is(err, helseid.ErrUnreadableRow) {
			return nil, &storeError{redact.Hide(err)}
		}
		other, err := w.otherSession(ctx, key, row.Data, before)
		if err != nil {
			return nil, err
		}
		if other != nil && other.User().Subject == session.User().Subject {
			return other, nil
		}
		saved, err := store.Save(ctx, key, helseid.StoredRow{Version: row.Version, Data: data, Expiry: time.Now().Add(helseid.LoginLifetime)})
		if err != nil {
			return nil, &storeError{redact.Hide(err)}
		}
		if saved {
			if other != nil {
				w.end(ctx, other.ID().Reveal(), helseid.EndedByLogin)
			}
			return session, nil
		}
	}
	return nil, &storeError{redact.Hide(errManyLogins)}
}

// otherSession is the session of the row, if it lives and is not the one that the
// browser came with.
func (w *Web) otherSession(ctx context.Context, key string, data []byte, before string) (*helseid.Session, error) {
	var row browserSession
	if json.Unmarshal(data, &row) != nil || row.Version != browserVersion {
		return nil, nil
	}
	id, err := w.open(ctx, purpose{"session", key}, row.Session)
	if err != nil || id == nil || string(id) == before {
		return nil, err
	}
	session, _, err := w.session(ctx, string(id))
	return session, err
}
