package helseid

import (
	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/apicall"
	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// Errors by category. Test for them with [errors.Is].
var (
	// ErrUnavailable means that HelseID could not be reached, did not answer in time
	// or answered that it is in trouble (429, 5xx). Trying again later can help.
	ErrUnavailable = errUnavailable

	// ErrBusy means that a request was not sent because too many of its kind are
	// already waiting for HelseID. The kinds are login starts, code exchanges, token
	// requests and revocations; each has a queue of its own. It wraps ErrUnavailable.
	ErrBusy = errBusy

	// ErrKey means that [Config.Key] or [Config.DPoPKey] cannot be used: it cannot be
	// read, or its signer (a KMS or an HSM) failed or did not sign in time. HelseID
	// is not the cause, and nothing that needed the signature was sent. It is
	// [clientassertion.ErrKey] and [dpop.ErrKey].
	ErrKey = clientassertion.ErrKey

	// ErrNoToken means that an API was not called, because there was no token or no
	// proof for the call: no part of the request has reached the API. It wraps the
	// cause.
	ErrNoToken = words("the API was not called: no token for it")

	// ErrInvalidResponse means that an answer is not one that HelseID gives: another
	// server, a proxy or a login page may be in the way.
	ErrInvalidResponse = errInvalidResponse

	// ErrIssuerMismatch means that the metadata names another issuer than
	// [Config.Issuer].
	ErrIssuerMismatch = errIssuerMismatch

	// ErrIDToken means that an ID token or a logout token of HelseID's broke a rule of
	// OpenID Connect; the text names it. A login then fails with [ErrLogin], too, and a
	// session ends at a refresh with [ErrLoginRequired].
	ErrIDToken = errIDToken

	// ErrLevelTooLow means that the user was authenticated with a lower security level
	// or assurance level than [LoginRequest] asks for. It goes with [ErrIDToken].
	ErrLevelTooLow = errLevelTooLow

	// ErrLoginTooOld means that the user logged in earlier than [LoginRequest] asks for
	// with MaxAge or Prompt. It goes with [ErrIDToken].
	ErrLoginTooOld = errLoginTooOld

	// ErrScopeNotGranted means that HelseID issued a token without a scope that was
	// asked for.
	ErrScopeNotGranted = words("scope not granted")

	// ErrInsecureURL means that a request with a token would have been sent over
	// plain http to a host that is not loopback.
	ErrInsecureURL = errInsecureURL

	// ErrOriginRefused means that a request with a token would have been sent to an
	// origin that is not allowed: one outside [Config.AllowedOrigins] or
	// [TokenRequest.AllowedOrigins], or one that an API redirects to.
	ErrOriginRefused = errOriginRefused

	// ErrClosed means that the client has been closed.
	ErrClosed = errClosed
)

// The same in the packages below, whose names the documentation of the errors above
// does not show.
var (
	errUnavailable     = metadata.ErrUnavailable
	errBusy            = bulkhead.ErrBusy
	errInvalidResponse = metadata.ErrInvalid
	errIssuerMismatch  = metadata.ErrIssuerMismatch
	errInsecureURL     = httpx.ErrInsecureURL
	errOriginRefused   = apicall.ErrOriginRefused
	errClosed          = lifecycle.ErrClosed
	errIDToken         = idtoken.ErrInvalid
	errLevelTooLow     = idtoken.ErrLevelTooLow
	errLoginTooOld     = idtoken.ErrLoginTooOld
)

// words makes an error whose text may stand in a log. It keeps the name of an
// internal package out of the documentation of the errors above.
func words(text string) error { return redact.Words(text) }
