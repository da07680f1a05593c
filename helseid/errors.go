package helseid

import (
	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/internal/apicall"
	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// Errors by category. Test for them with [errors.Is].
var (
	// ErrUnavailable means that HelseID could not be reached, did not answer in time
	// or answered that it is in trouble (429, 5xx). Trying again later can help.
	ErrUnavailable = metadata.ErrUnavailable

	// ErrBusy means that a request was not sent because too many of its kind are
	// already waiting for HelseID. The kinds are login starts, code exchanges, token
	// requests and revocations; each has a queue of its own. It wraps ErrUnavailable.
	ErrBusy = bulkhead.ErrBusy

	// ErrKey means that [Config.Key] or [Config.DPoPKey] cannot be used: it cannot be
	// read, or its signer (a KMS or an HSM) failed or did not sign in time. HelseID
	// is not the cause, and nothing that needed the signature was sent. It is
	// [clientassertion.ErrKey] and [dpop.ErrKey].
	ErrKey = clientassertion.ErrKey

	// ErrNoToken means that an API was not called, because there was no token or no
	// proof for the call: no part of the request has reached the API. It wraps the
	// cause.
	ErrNoToken = redact.Words("the API was not called: no token for it")

	// ErrInvalidResponse means that an answer is not one that HelseID gives: another
	// server, a proxy or a login page may be in the way.
	ErrInvalidResponse = metadata.ErrInvalid

	// ErrIssuerMismatch means that the metadata names another issuer than
	// [Config.Issuer].
	ErrIssuerMismatch = metadata.ErrIssuerMismatch

	// ErrScopeNotGranted means that HelseID issued a token without a scope that was
	// asked for.
	ErrScopeNotGranted = redact.Words("scope not granted")

	// ErrInsecureURL means that a request with a token would have been sent over
	// plain http to a host that is not loopback.
	ErrInsecureURL = httpx.ErrInsecureURL

	// ErrOriginRefused means that a request with a token would have been sent to an
	// origin that is not allowed: one outside [Config.AllowedOrigins] or
	// [TokenRequest.AllowedOrigins], or one that an API redirects to.
	ErrOriginRefused = apicall.ErrOriginRefused

	// ErrClosed means that the client has been closed.
	ErrClosed = lifecycle.ErrClosed
)
