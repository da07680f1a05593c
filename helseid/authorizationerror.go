package helseid

import (
	"fmt"
	"log/slog"
	"strings"
)

// AuthorizationError is HelseID's refusal of a login (RFC 6749 section 4.1.2.1),
// which the browser brings back. It is an [ErrLogin]. Find it with [errors.As].
type AuthorizationError struct {
	// Code is the error code, such as "access_denied" when the user has
	// cancelled.
	Code string

	// Description is HelseID's explanation, shortened and cleaned like that of a
	// [TokenError]. It may be empty.
	Description string

	// HID is HelseID's own number for the error, such as "HID-1001", or "".
	HID string
}

// Error returns what HelseID answered and what to do about it.
func (e *AuthorizationError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "HelseID logged nobody in: %s", e.Code)
	if e.Description != "" {
		fmt.Fprintf(&text, ": %s", e.Description)
	}
	if advice := e.Advice(); advice != "" {
		fmt.Fprintf(&text, ": %s", advice)
	}
	return text.String()
}

// LogValue returns the error for a log line: see [TokenError.LogValue].
func (e *AuthorizationError) LogValue() slog.Value {
	text := "HelseID logged nobody in: " + refusalCodes(e.Code, e.HID)
	if advice := e.Advice(); advice != "" {
		text += ": " + advice
	}
	return slog.StringValue(text)
}

// Is reports that the error is an [ErrLogin], and an [ErrUnavailable] if HelseID
// answered that it is in trouble.
func (e *AuthorizationError) Is(target error) bool {
	return target == ErrLogin || target == ErrUnavailable && (e.Code == "temporarily_unavailable" || e.Code == "server_error")
}

// Advice returns what to do about the error, or "" if that is not known.
func (e *AuthorizationError) Advice() string {
	if advice, ok := hidAdvice[e.HID]; ok {
		return advice
	}
	return authorizationAdvice[e.Code]
}

var authorizationAdvice = map[string]string{
	"access_denied":              "the user has cancelled, or HelseID refuses the details: offer to log in again",
	"login_required":             "there is no session at HelseID: log in without PromptNone",
	"interaction_required":       "HelseID must show the user something: log in without PromptNone",
	"account_selection_required": "the user must choose an account: log in without PromptNone",
	"consent_required":           "log in without PromptNone",
	"invalid_request":            "the login page was open for too long, or used twice: start a new login",
	"temporarily_unavailable":    "HelseID is in trouble: try again later",
	"server_error":               "HelseID is in trouble: try again later",
}
