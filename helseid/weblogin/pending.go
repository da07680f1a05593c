package weblogin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// pendingLogin is a login under way. It is only kept in a sealed cookie of the
// browser that started it, so that thousands of logins take no memory on the server.
type pendingLogin struct {
	Version   int             `json:"version"`
	State     json.RawMessage `json:"state"`               // helseid.LoginState
	ReturnTo  string          `json:"return_to"`           // local path
	Level     int             `json:"level,omitempty"`     // that was asked for
	Assurance int             `json:"assurance,omitempty"` // likewise
	Subject   string          `json:"subject,omitempty"`   // whose session is to be stepped up
	Previous  string          `json:"previous,omitempty"`  // whose session there was
	Trace     string          `json:"trace,omitempty"`     // that the login is part of

	// After an answer of 503 the login can be tried again: see the method again.
	Tries   int    `json:"tries,omitempty"`
	Until   int64  `json:"until,omitempty"`   // Unix seconds
	Session string `json:"session,omitempty"` // hash of the session's cookie
}

const (
	pendingVersion = 1

	// maxTries is how often a callback may be answered 503 and tried again.
	maxTries = 3

	// triesLifetime is how long it may be tried again, from the first time.
	triesLifetime = time.Minute
)

// errNoPending means that the answer belongs to no login of this browser: the login
// is too old, has been used, or was started in another browser.
var errNoPending = redact.Words("no such login is under way in this browser")

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// sealLogin returns the value of the cookie with this name.
func (w *Web) sealLogin(ctx context.Context, cookie string, pending pendingLogin) (string, error) {
	pending.Version = pendingVersion
	data, err := json.Marshal(pending)
	if err != nil {
		return "", fmt.Errorf("weblogin: seal a login: %w", err)
	}
	text, err := w.seal(ctx, purpose{"login", cookie}, data)
	if err == nil && len(text) > maxSealedLogin { // unreachable: see fitsCookie
		err = fmt.Errorf("weblogin: a login of %d bytes does not fit a cookie", len(text))
	}
	return text, err
}

// loginRoom is the room for the part of a login that does not come from the
// configuration, in bytes: mostly the page to go back to.
const loginRoom = maxReturnTo + maxTrace + 512

// fitsCookie reports that any login fits into a cookie.
func (w *Web) fitsCookie(redirectURI string) bool {
	names := append([]string{redirectURI}, w.config.Login.Scopes...)
	names = append(names, w.config.Login.Resources...)
	names = append(names, detailsOf(w.config.Login.CodeExchange)...)
	return base64.RawURLEncoding.EncodedLen(len(w.deflate([]byte(strings.Join(names, `","`))))+loginRoom) <= maxSealedLogin
}

// detailsOf returns the details that a login carries until it is finished, as JSON.
func detailsOf(exchange helseid.CodeExchange) []string {
	var texts []string
	if exchange.Attest != nil {
		if detail, err := exchange.Attest.Detail(); err == nil {
			texts = append(texts, detail.String())
		}
	}
	for _, detail := range exchange.Details {
		texts = append(texts, detail.String())
	}
	return texts
}

// openLogin returns the login that was sealed into a cookie, with its state, if it
// can still be finished.
func (w *Web) openLogin(ctx context.Context, cookie, text string) (*pendingLogin, *helseid.LoginState, error) {
	data, err := w.open(ctx, purpose{"login", cookie}, text)
	if err != nil {
		return nil, nil, err
	}
	var pending pendingLogin
	if data == nil || json.Unmarshal(data, &pending) != nil || pending.Version != pendingVersion {
		return nil, nil, errNoPending
	}
	state, err := helseid.DecodeLoginState(pending.State)
	if err != nil || !younger(state.Expiry().Add(-helseid.LoginLifetime), time.Now(), helseid.LoginLifetime) {
		return nil, nil, errNoPending
	}
	return &pending, state, nil
}

// again returns a login whose callback could not be answered, to be tried again: by
// reloading the page within a minute, a few times, as long as nobody has logged in or
// out in this browser. Anyone who comes to the machine later must log in themselves.
func (p pendingLogin) again(session string, now time.Time) (next pendingLogin, ok bool) {
	if p.Tries == 0 {
		p.Until, p.Session = now.Add(triesLifetime).Unix(), hash(session)
	}
	p.Tries++
	return p, p.Tries <= maxTries && now.Unix() < p.Until
}

// isLate reports that a login must not be tried again any more.
func (p *pendingLogin) isLate(session string, now time.Time) bool {
	return p.Tries > 0 && (!younger(time.Unix(p.Until, 0).Add(-triesLifetime), now, triesLifetime) || p.Session != hash(session))
}

// storeError is a [helseid.ErrStore] that does not print the store's text, which may
// quote what was to be stored.
type storeError struct{ cause redact.Hidden[error] }

func (e *storeError) Error() string { return helseid.ErrStore.Error() }

// LogValue returns the category.
func (e *storeError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Unwrap returns the category and the cause.
func (e *storeError) Unwrap() []error { return []error{helseid.ErrStore, e.cause.Reveal()} }
