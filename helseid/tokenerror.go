package helseid

import (
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
)

// TokenError is HelseID's refusal of a request to its token endpoint, or to another
// endpoint at which a client authenticates (RFC 6749 section 5.2). Find it with
// [errors.As].
type TokenError struct {
	// Code is the OAuth error code, for instance "invalid_client". It is empty if an
	// answer of 429 asks for a pause (RetryAfter) without a code.
	Code string

	// Description is HelseID's explanation, shortened to 300 characters. Anything
	// that looks like a token or a national identity number has been removed. It may
	// be empty.
	Description string

	// HID is HelseID's own number for the error, such as "HID-1001", or "".
	HID string

	// StatusCode is the HTTP status of the answer.
	StatusCode int

	// Temporary reports that a later attempt may succeed without any change.
	Temporary bool

	// RetryAfter is the pause that HelseID asks for, or zero. After an answer of 429
	// (up to five minutes), requests of the same kind fail with this error until the
	// pause is over, without being sent. Requests that would wait for four seconds at
	// most wait instead.
	RetryAfter time.Duration

	// ClockDifference is how far this machine's clock is ahead of HelseID's, or
	// behind if it is negative. It is set when it is more than five seconds and the
	// error is one that a wrong clock can cause.
	ClockDifference time.Duration

	exchange bool // of a token exchange
}

// refuser returns the errors for refusals of one client.
type refuser struct{ issuer, clientID string }

func (r refuser) tokenError(refusal exchange.Refusal) error {
	refused := &TokenError{
		Code:            refusal.Code,
		Description:     refusal.Description,
		HID:             refusal.HID,
		StatusCode:      refusal.StatusCode,
		Temporary:       refusal.Temporary,
		RetryAfter:      refusal.RetryAfter,
		ClockDifference: refusal.ClockDifference,
	}
	if refusal.Code != "invalid_client" {
		return refused
	}
	return &clientRefusal{refused, r.clientID, environmentText(r.issuer), refusal.KeyID}
}

// clientRefusal is a refusal of the client, and names what may be mistaken.
type clientRefusal struct {
	*TokenError
	clientID, environment, keyID string
}

func (e *clientRefusal) Unwrap() error { return e.TokenError }

func (e *clientRefusal) Error() string { return e.TokenError.Error() + e.whose() }

// LogValue is the error for a log line.
func (e *clientRefusal) LogValue() slog.Value {
	return slog.StringValue(e.TokenError.LogValue().String() + e.whose())
}

func (e *clientRefusal) whose() string {
	return fmt.Sprintf(" (client %s, key %s, %s)", e.clientID, cmp.Or(e.keyID, "unknown"), e.environment)
}

// environmentText names the environment with an issuer.
func environmentText(issuer string) string {
	switch issuer {
	case Production.Issuer():
		return "production, " + issuer
	case Test.Issuer():
		return "the test environment, " + issuer
	}
	return issuer
}

// Error returns what HelseID answered and what to do about it.
func (e *TokenError) Error() string {
	var text strings.Builder
	if e.Code == "" {
		fmt.Fprintf(&text, "HelseID refused the request with status %d", e.StatusCode)
	} else {
		fmt.Fprintf(&text, "HelseID refused the request: %s (status %d)", e.Code, e.StatusCode)
	}
	if e.Description != "" {
		fmt.Fprintf(&text, ": %s", e.Description)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&text, ": it asks for a pause of %v", e.RetryAfter.Round(time.Second))
	}
	if advice := e.Advice(); advice != "" {
		fmt.Fprintf(&text, ": %s", advice)
	}
	return text.String()
}

// LogValue returns the error for a log line: the codes and the advice, without
// HelseID's explanation, which may name people and organisations. Code that logs an
// error wrapping this one must leave the explanation out itself.
func (e *TokenError) LogValue() slog.Value {
	text := fmt.Sprintf("HelseID refused the request: %s (status %d)", refusalCodes(e.Code, e.HID), e.StatusCode)
	if advice := e.Advice(); advice != "" {
		text += ": " + advice
	}
	return slog.StringValue(text)
}

// codeForm is the form of all known error codes.
var codeForm = regexp.MustCompile(`^[a-z][a-z_0-9]{0,40}$`)

// refusalCodes returns the codes of a refusal, as far as they have that form.
func refusalCodes(code, hid string) string {
	if !codeForm.MatchString(code) {
		code = "another code"
	}
	return strings.TrimSuffix(code+" "+hid, " ")
}

// Is reports that a temporary TokenError is an [ErrUnavailable].
func (e *TokenError) Is(target error) bool { return target == ErrUnavailable && e.Temporary }

// Advice returns what to do about the error, or "" if that is not known.
func (e *TokenError) Advice() string {
	if e.ClockDifference != 0 {
		side := "ahead of"
		if e.ClockDifference < 0 {
			side = "behind"
		}
		return fmt.Sprintf("this machine's clock is %v %s HelseID's: synchronise it", e.ClockDifference.Abs().Round(time.Second), side)
	}
	if advice, ok := hidAdvice[e.HID]; ok {
		return advice
	}
	if e.exchange && e.Code == "invalid_request" {
		return "HelseID does not exchange this token: it must be valid and for this API, this client's registration must permit the " +
			"exchange, and so must that of the client that the token belongs to"
	}
	return codeAdvice[e.Code]
}

var codeAdvice = map[string]string{
	"invalid_request": "HelseID cannot make sense of the request: check the organisation numbers and the other details, and at a login " +
		"the redirect URI and the other options",
	"invalid_client": "check the client id, that the public key is registered in HelseID Selvbetjening and not expired, and the " +
		"machine's clock; a new client or key takes up to 20 seconds to be known",
	"invalid_scope":          "check the spelling, that the scope is granted to the client, and that no identity scope is asked for by a system",
	"invalid_dpop_proof":     "check the machine's clock",
	"use_dpop_nonce":         "HelseID demanded another nonce right after giving one: try again",
	"unauthorized_client":    "the client is not registered for this grant type",
	"unsupported_grant_type": "the client is not registered for this grant type",
	"invalid_target":         "check the resource: it is the short name of an API",
	"invalid_grant":          "the credential has expired or been used before: log in again",
	"access_denied":          "HelseID refuses the details: an attest must be in the request object or in the assertion, not in both",
}

// hidAdvice follows HelseID's list of error numbers and its page on delegation
// to a data processor.
var hidAdvice = map[string]string{
	"HID-1001": "check the number; if it is right, the parent organisation has not delegated to the supplier: its main unit must do so in Altinn, with the service " +
		`"La din databehandler innhente helseopplysninger på dine vegne (HelseID)" to the supplier's organisation number, logged in ` +
		"more strongly than with MinID; it takes up to an hour to be known",
	"HID-1002": "the child organisation is not on the client's whitelist: add it in HelseID Selvbetjening",
	"HID-1003": "a whitelist of children under the parent leaves this child out: remove that whitelist",
	"HID-1004": "an organisation number has nine digits",
	"HID-1005": "the client may not name parent organisations: it is not a multi-tenant client",
	"HID-1006": "the client may not name a child organisation, or not without its parent",
	"HID-1007": "a multi-tenant client must name its organisation: with ForOrganization or TokenRequest.Organization (Config.Tenancy finds that " +
		"before anything is sent), and for its own keys and registration with selvbetjening.Config.Organization alone; details of your own must " +
		"follow HelseID's specification",
	"HID-1008": "a client with a shared secret may not name organisations",
	"HID-1009": "an organisation may not be named in the assertion of the code grant: name it when the token is refreshed",
	"HID-1010": "the client's registration contradicts itself: static claims and an enterprise certificate",
}

// leavesRefreshToken are the error numbers that concern the organisation, the details
// or the client's registration, and not the refresh token that was sent with them: it
// can still be used. HelseID answers invalid_grant in both cases. Any other number,
// including new ones, means that the token can no longer be used.
var leavesRefreshToken = map[string]bool{
	"HID-1001": true, // the parent has not delegated
	"HID-1002": true, // the child is not on the whitelist
	"HID-1003": true, // a whitelist under the parent leaves the child out
	"HID-1004": true, // not a number
	"HID-1005": true, // the client may not name parents
	"HID-1006": true, // the client may not name children
	"HID-1007": true, // the details do not follow the specification
	"HID-1008": true, // a client with a shared secret
	"HID-1009": true, // an organisation in the assertion of a code grant
	"HID-1010": true, // the registration contradicts itself
}
