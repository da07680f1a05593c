package desk

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/middleware"
)

// echoPath is below the issuer.
const echoPath = "/api/echo"

// echo is an API that answers what it was called with.
type echo struct {
	guarded atomic.Pointer[guardedEcho] // set when the server has started
}

type guardedEcho struct {
	http.Handler
	middleware *middleware.Middleware
}

// guard protects the API with tokens of the server.
func (e *echo) guard(server *helseidtest.Server, audience string) error {
	issuer, err := url.Parse(server.Issuer())
	if err != nil {
		return err
	}
	config := middleware.Config{Issuer: server.Issuer(), Audience: audience, PublicURL: issuer.Scheme + "://" + issuer.Host}
	config.Token.HTTPClient = server.HTTPClient()
	guard, err := middleware.New(config)
	if err != nil {
		return err
	}
	e.guarded.Store(&guardedEcho{guard.Require(serveEcho), guard})
	return nil
}

func (e *echo) close() {
	if guarded := e.guarded.Load(); guarded != nil {
		guarded.middleware.Close()
	}
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guarded := e.guarded.Load()
	if guarded == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	guarded.ServeHTTP(w, r)
}

// echoAnswer says what the API was called with. Its types mask identity numbers.
type echoAnswer struct {
	Method       string                 `json:"method"`
	Path         string                 `json:"path"`
	BodyBytes    int64                  `json:"body_bytes"`
	ClientID     string                 `json:"client_id"`
	Audience     []string               `json:"audience"`
	Scopes       []string               `json:"scopes"`
	Organization *identity.Organization `json:"organization"`
	User         *echoUser              `json:"user"`
}

type echoUser struct {
	PersonalIdentityNumber identity.PersonalIdentityNumber `json:"personal_identity_number"`
	Name                   string                          `json:"name"`
	HPRNumber              identity.HPRNumber              `json:"hpr_number"`
	SecurityLevel          identity.SecurityLevel          `json:"security_level"`
}

// maxEcho bounds the body of a request, in bytes.
const maxEcho = 64 << 20

func serveEcho(w http.ResponseWriter, r *http.Request) {
	length, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxEcho))
	if err != nil {
		http.Error(w, "the body is too large or broken", http.StatusBadRequest)
		return
	}
	claims := middleware.Claims(r.Context())
	answer := echoAnswer{
		Method: r.Method, Path: redact.Text(r.URL.Path), BodyBytes: length,
		ClientID: claims.ClientID, Audience: claims.Audience, Scopes: claims.Scopes,
	}
	if !claims.Organization.IsZero() {
		answer.Organization = &claims.Organization
	}
	if user := claims.User; user != nil {
		answer.User = &echoUser{user.PersonalIdentityNumber, user.Name, user.HPRNumber, user.SecurityLevel}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer)
}
