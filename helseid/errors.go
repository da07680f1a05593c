package helseid

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

// Errors by category. Test for them with errors.Is.
var (
	// ErrUnavailable means that HelseID could not be reached, did not answer in
	// time or answered that it is in trouble (429, 5xx). Trying later can help.
	ErrUnavailable = metadata.ErrUnavailable

	// ErrInvalidResponse means that what was answered is not what HelseID
	// answers: another server, a proxy or a login page may stand in the way.
	ErrInvalidResponse = metadata.ErrInvalid

	// ErrIssuerMismatch means that the metadata is that of another issuer.
	ErrIssuerMismatch = metadata.ErrIssuerMismatch

	// ErrScopeNotGranted means that HelseID gave a token without a scope that
	// was asked for.
	ErrScopeNotGranted = errors.New("scope not granted")

	// ErrInsecureURL means that a request with a token was about to go over
	// plain http to a host that is not loopback.
	ErrInsecureURL = httpx.ErrInsecureURL

	// ErrOriginRefused means that a request with a token was about to go to an
	// origin it is not meant for: one outside TokenRequest.AllowedOrigins, or
	// one that an API redirects to.
	ErrOriginRefused = errors.New("origin refused")

	// ErrClosed means that the client has been closed.
	ErrClosed = errors.New("the client is closed")
)

// TokenError is HelseID's answer that it gives no token (RFC 6749 section
// 5.2). Find it with errors.As.
type TokenError struct {
	// Code is the OAuth error code, for instance "invalid_client".
	Code string

	// Description is HelseID's explanation, cut to 300 characters, with anything
	// that looks like a token or a national identity number taken out. It may be
	// empty.
	Description string

	// HID is HelseID's own number for the error, such as "HID-1001", or "".
	HID string

	// StatusCode is the HTTP status of the answer.
	StatusCode int
}

// Error tells what HelseID answered and what to do about it.
func (e *TokenError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "HelseID gave no token: %s (status %d)", e.Code, e.StatusCode)
	if e.Description != "" {
		fmt.Fprintf(&text, ": %s", e.Description)
	}
	if advice := e.advice(); advice != "" {
		fmt.Fprintf(&text, ": %s", advice)
	}
	return text.String()
}

// Is makes a TokenError that trying later may cure an ErrUnavailable.
func (e *TokenError) Is(target error) bool {
	return target == ErrUnavailable && temporaryStatus(e.StatusCode)
}

func (e *TokenError) advice() string {
	switch e.Code {
	case "invalid_client":
		return "check the client id, that the public key is registered in HelseID Selvbetjening and not expired, and the machine's clock; " +
			"a new client or key takes up to 20 seconds to be known"
	case "invalid_scope":
		return "check the spelling, that the scope is granted to the client, and that no identity scope is asked for by a system"
	case "invalid_dpop_proof":
		return "check the machine's clock"
	case "use_dpop_nonce":
		return "HelseID demanded another nonce right after giving one: try again"
	case "unauthorized_client", "unsupported_grant_type":
		return "the client is not registered for this grant type"
	case "invalid_target":
		return "check the resource: it is the short name of an API"
	case "invalid_grant":
		return "the credential has expired or been used before"
	}
	return ""
}

var hidNumber = regexp.MustCompile(`\bHID-[0-9]{4}\b`)

func temporaryStatus(status int) bool { return status == 429 || status >= 500 }
