package otelhelseid

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"

	"github.com/helseid-go/sdk/helseid"
)

// errorKinds are the kinds of errors that are not a refusal with a known code, in the
// order in which they are looked for. No text of an error gets into an attribute.
var errorKinds = []struct {
	err  error
	kind string
}{
	{helseid.ErrLoginRequired, "login_required"},
	{helseid.ErrLoginFinished, "login_finished"},
	{helseid.ErrKey, "key"},
	{helseid.ErrStore, "store"},
	{helseid.ErrBusy, "busy"},
	{helseid.ErrLevelTooLow, "level_too_low"},
	{helseid.ErrLoginTooOld, "login_too_old"},
	{helseid.ErrIDToken, "id_token"},
	{helseid.ErrIssuerMismatch, "issuer_mismatch"},
	{helseid.ErrInvalidResponse, "invalid_response"},
	{helseid.ErrScopeNotGranted, "scope_not_granted"},
	{helseid.ErrClosed, "closed"},
	{helseid.ErrConfig, "configuration"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "timeout"},
	{os.ErrDeadlineExceeded, "timeout"},
	{helseid.ErrUnavailable, "unavailable"},
}

// refusalCodes are the error codes of HelseID's answers that are told apart.
var refusalCodes = map[string]bool{
	"access_denied":           true,
	"invalid_client":          true,
	"invalid_dpop_proof":      true,
	"invalid_grant":           true,
	"invalid_request":         true,
	"invalid_scope":           true,
	"invalid_target":          true,
	"server_error":            true,
	"temporarily_unavailable": true,
	"unauthorized_client":     true,
	"unsupported_grant_type":  true,
	"use_dpop_nonce":          true,
}

// errorKind returns the kind of an error, one of a few, or "" for nil.
func errorKind(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, helseid.ErrLoginRequired) {
		return "login_required"
	}
	if refusal, ok := errors.AsType[*helseid.TokenError](err); ok {
		switch {
		case refusal.ClockDifference != 0:
			return "clock"
		case refusalCodes[refusal.Code]:
			return refusal.Code
		case refusal.StatusCode == http.StatusTooManyRequests:
			return "too_many_requests"
		}
		return other
	}
	if _, ok := errors.AsType[*helseid.AuthorizationError](err); ok {
		return "authorization"
	}
	for _, known := range errorKinds {
		if errors.Is(err, known.err) {
			return known.kind
		}
	}
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		return "timeout"
	}
	return other
}

// hid returns HelseID's number for its refusal, or "".
func hid(err error) string {
	if refusal, ok := errors.AsType[*helseid.TokenError](err); ok {
		return refusal.HID
	}
	return ""
}
