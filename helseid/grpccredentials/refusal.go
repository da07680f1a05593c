package grpccredentials

import (
	"fmt"

	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/helseid"
)

// RefusedError is the error of a call that the API has refused because of its token, its
// proof or its caller. Find it with [errors.As]; [status.Code] of the error is that of
// the API.
type RefusedError struct {
	// Reason is the API's code for the rule that was broken, such as "token_expired" or
	// "scope", if the API uses package grpcauth.
	Reason string

	// StepUp is the login that the API demands, if it demands one.
	StepUp *helseid.StepUp

	status *status.Status
}

// refusalOf returns the error of a refused call as a RefusedError, and others as they
// are. A refusal has a challenge.
func refusalOf(err error, got answer) error {
	if err == nil || len(got.values("www-authenticate")) == 0 {
		return err
	}
	refused := &RefusedError{status: status.Convert(err)}
	if reasons := got.values("reason"); len(reasons) == 1 {
		refused.Reason = reasons[0]
	}
	if wanted, ok := helseid.StepUpOf(got.http(err, nil)); ok { //nolint:bodyclose // it has no body
		refused.StepUp = &wanted
	}
	return refused
}

// Error returns the API's code, reason and message.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the API refused the call: %v: %s: %s", e.status.Code(), e.Reason, e.status.Message())
}

// GRPCStatus returns the API's status.
func (e *RefusedError) GRPCStatus() *status.Status { return e.status }
