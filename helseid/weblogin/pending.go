package weblogin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// pendingLogin is a login under way, as it is stored.
type pendingLogin struct {
	Version  int             `json:"version"`
	State    json.RawMessage `json:"state"`             // helseid.LoginState
	Browser  string          `json:"browser"`           // hash of the login's cookie
	ReturnTo string          `json:"return_to"`         // local path
	Level    int             `json:"level,omitempty"`   // that was asked for
	Subject  string          `json:"subject,omitempty"` // whose session is to be stepped up
}

const pendingVersion = 1

// errNoPending means that the answer is to no login that this browser has under
// way: it is too old, has been used, or was started in another browser.
var errNoPending = redact.Words("no such login is under way in this browser")

// pendingKey is a hash, so that whoever reads the store cannot end the login.
func pendingKey(state string) string { return "weblogin-" + hash(state) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// keep stores a login that has been started.
func (w *Web) keep(ctx context.Context, state *helseid.LoginState, pending pendingLogin) error {
	encoded, err := state.Encode()
	if err != nil {
		return err
	}
	pending.Version, pending.State = pendingVersion, encoded
	data, err := json.Marshal(pending)
	if err != nil {
		return fmt.Errorf("weblogin: store a login: %w", err)
	}
	saved, err := w.config.Client.SessionStore().Save(ctx, pendingKey(state.ID()), helseid.StoredSession{Data: data, Expiry: state.Expiry()})
	if err == nil && !saved {
		err = errors.New("it holds a login under a new key")
	}
	if err != nil {
		return &storeError{redact.Hide(err)}
	}
	return nil
}

// take finds a login by its state and the browser's cookie, and removes it. Only
// one of several that try gets it, and who has not the cookie changes nothing.
func (w *Web) take(ctx context.Context, state, cookie string) (*pendingLogin, error) {
	store := w.config.Client.SessionStore()
	key := pendingKey(state)
	row, err := store.Load(ctx, key)
	if errors.Is(err, helseid.ErrUnreadableSession) {
		return nil, errNoPending
	}
	if err != nil {
		return nil, &storeError{redact.Hide(err)}
	}
	var pending pendingLogin
	if row.Version == 0 || json.Unmarshal(row.Data, &pending) != nil || pending.Version != pendingVersion ||
		subtle.ConstantTimeCompare([]byte(pending.Browser), []byte(hash(cookie))) != 1 {
		return nil, errNoPending
	}
	// The row is overwritten first: to delete does not tell who was first.
	saved, err := store.Save(ctx, key, helseid.StoredSession{Version: row.Version, Data: []byte("{}"), Expiry: row.Expiry})
	switch {
	case err != nil:
		return nil, &storeError{redact.Hide(err)}
	case !saved:
		return nil, errNoPending
	}
	_ = store.Delete(ctx, key) // used up in any case
	return &pending, nil
}

// storeError is a helseid.ErrSessionStore that does not say what the store said:
// it may quote what was to be stored.
type storeError struct{ cause redact.Hidden[error] }

func (e *storeError) Error() string { return helseid.ErrSessionStore.Error() }

// LogValue gives the category.
func (e *storeError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Unwrap gives the category and the cause.
func (e *storeError) Unwrap() []error { return []error{helseid.ErrSessionStore, e.cause.Reveal()} }
