package weblogin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// browserSession is the row that says which session a browser was last given. A
// successful login writes it, and it lives as long as other logins can be under way.
type browserSession struct {
	Version int    `json:"version"`
	Session string `json:"session"` // its id, sealed
}

const (
	browserVersion = 1
	browserTries   = 10
)

var errManyLogins = redact.Words("the browser's session changes all the time")

// onlySession is for several logins of one browser that finish at once: it ends all
// but one of their sessions, and returns the remaining one. So whichever answer the
// browser reads last, its cookie leads to a live session. before is the id of the
// browser's earlier session, or "". The first session remains if both belong to the
// same person; a session's id is never given to another person.
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

// otherSession returns the session of the row, if it is alive and not the browser's
// earlier one.
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
