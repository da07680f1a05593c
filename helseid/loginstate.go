package helseid

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/redact"
)

// LoginLifetime is how long a login may take, from StartLogin to FinishLogin.
const LoginLifetime = 15 * time.Minute

// LoginState must be kept between [Client.StartLogin] and [Client.FinishLogin]. Keep
// it where only the browser that started the login can reach it: under an id in a
// cookie of that browser, or in a cookie that is encrypted and authenticated. If the
// state parameter alone were enough to find it, an attacker could make a victim's
// browser finish the attacker's login. It is for one login, and FinishLogin accepts
// it once.
//
// It holds secrets, so it prints "[redacted]" in every form and does not marshal
// itself; use [LoginState.Encode].
type LoginState struct {
	unprintable
	hidden redact.Hidden[*loginStateWire]
}

func newLoginState(wire *loginStateWire) *LoginState {
	return &LoginState{hidden: redact.Hide(wire)}
}

// wire returns the stored form, or nil.
func (s *LoginState) wire() *loginStateWire { return s.hidden.Reveal() }

// loginStateWire is the stored form.
type loginStateWire struct {
	Version  int    `json:"version"`
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	JKT      string `json:"jkt"` // of the key that the login was started with

	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE

	Application   string   `json:"application,omitempty"`
	RedirectURI   string   `json:"redirect_uri"`
	Scopes        []string `json:"scopes"`
	Resources     []string `json:"resources,omitempty"`
	SecurityLevel int      `json:"security_level,omitempty"`

	AssuranceLevel int `json:"assurance_level,omitempty"`

	MaxAge    int64 `json:"max_age,omitempty"`   // seconds
	NewLogin  bool  `json:"new_login,omitempty"` // prompt=login
	Details   bool  `json:"details,omitempty"`   // in a request object
	Organized bool  `json:"organized,omitempty"` // an organisation among them
	Attested  bool  `json:"attested,omitempty"`

	CodeDetails []json.RawMessage `json:"code_details,omitempty"`

	MaxSessionAge int64 `json:"max_session_age,omitempty"` // seconds
	IdleTimeout   int64 `json:"idle_timeout,omitempty"`    // seconds

	Started int64 `json:"started"` // Unix seconds
}

const loginStateVersion = 1

// ErrLogin is wrapped by every error of a login after it has been started, such as an
// answer to another login, an expired login or a forged ID token. Start a new login.
var ErrLogin = words("the login failed")

// ErrLoginFinished means that the login has already been finished, or is being
// finished now, as when a page is loaded twice: its user may have a session. It is an
// [ErrLogin].
var ErrLoginFinished = fmt.Errorf("%w: it has been finished before: start a new login", ErrLogin)

var errNoLoginState = fmt.Errorf("%w: there is no login state: start a new login", ErrLogin)

// ID returns the login's state parameter, which HelseID sends back with the browser
// (RFC 6749 section 4.1.1). It distinguishes the logins of one browser, such as those
// of two tabs. It does not prove which browser sent it.
func (s *LoginState) ID() string {
	if s == nil || s.wire() == nil {
		return ""
	}
	return s.wire().State
}

// Expiry is when the login must be finished.
func (s *LoginState) Expiry() time.Time {
	if s == nil || s.wire() == nil {
		return time.Time{}
	}
	return time.Unix(s.wire().Started, 0).Add(LoginLifetime)
}

// Encode returns the state for storage that nobody else can read or write.
func (s *LoginState) Encode() ([]byte, error) {
	if s == nil || s.wire() == nil {
		return nil, errNoLoginState
	}
	return json.Marshal(s.wire())
}

// DecodeLoginState reads what [LoginState.Encode] has written. Nobody must have been
// able to change the data. A client in another process can finish the login if it has
// the same [Config.DPoPKey]. The error wraps [ErrLogin].
func DecodeLoginState(data []byte) (*LoginState, error) {
	var wire loginStateWire
	if err := json.Unmarshal(data, &wire); err != nil || wire.Version != loginStateVersion {
		return nil, fmt.Errorf("%w: the login state is not one of this library's: start a new login", ErrLogin)
	}
	return newLoginState(&wire), nil
}

// MarshalText fails: use [LoginState.Encode].
func (s LoginState) MarshalText() ([]byte, error) {
	return nil, errors.New("helseid: a LoginState is stored with Encode")
}

// check refuses a state that this client cannot finish.
func (s *LoginState) check(identity clientIdentity, now time.Time) error {
	switch {
	case s == nil || s.wire() == nil || s.wire().State == "" || s.wire().Nonce == "" || s.wire().Verifier == "":
		return errNoLoginState
	case s.wire().Issuer != identity.issuer || s.wire().ClientID != identity.clientID:
		return fmt.Errorf("%w: it was started by another client: start a new login", ErrLogin)
	case s.wire().JKT != identity.thumbprint:
		return fmt.Errorf("%w: it was started with another DPoP key: start a new login; to survive a restart, set Config.DPoPKey", ErrLogin)
	case !now.Before(s.Expiry()):
		return fmt.Errorf("%w: it took longer than %v: start a new login", ErrLogin, LoginLifetime)
	case isFuture(s.wire().Started, now, clockTolerance):
		return fmt.Errorf("%w: it was started in the future, so a clock is or was wrong: start a new login", ErrLogin)
	}
	return nil
}

// expectation returns what the login's ID token must say.
func (s *LoginState) expectation(accessToken string) idtoken.Expectation {
	expected := idtoken.Expectation{
		Nonce:         s.wire().Nonce,
		AccessToken:   accessToken,
		MaxAge:        time.Duration(s.wire().MaxAge) * time.Second,
		SecurityLevel: identity.SecurityLevel(s.wire().SecurityLevel),

		AssuranceLevel: identity.AssuranceLevel(s.wire().AssuranceLevel),
	}
	if s.wire().NewLogin {
		expected.LoggedInSince = time.Unix(s.wire().Started, 0)
	}
	return expected
}
