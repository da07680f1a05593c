package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// Record is one decision about a request, for the access log that Normen requires. It
// holds neither the token nor a national identity number. The fields about the caller
// come from a genuine token and are empty if there was none.
type Record struct {
	// Allowed reports whether the request was accepted.
	Allowed bool

	// Status and Reason are those of the refusal. They are zero if the request was
	// accepted.
	Status int
	Reason string

	// Cause is the kind of error behind a 503 or behind a [Requirement] of the API's
	// own, what is wrong if Reason is misconfigured, or the reason why no proof can match
	// the request's URL. It is for the
	// operator; the caller does not see it. It quotes neither the API's own errors nor
	// those of a replay store or the network, since these may name people. Log such
	// errors where they occur.
	Cause string

	// Expected is the origin and path prefix that the proof should have named, such as
	// "https://api.example.no/journal", if Reason is proof_htu. It is empty if there is
	// no such URL (see Cause).
	Expected string

	// Method and Route describe the request; with Config.ForwardAuth, the original
	// request if the proxy has reported it. Method is "other" if it is not one of
	// HTTP's standard methods, since callers can invent any. Route is the pattern that
	// the router matched ([http.Request].Pattern), not the path, since paths may hold
	// personal data. It is empty if the guard wraps the router, and with a router that
	// does not set Pattern; [http.ServeMux], chi and echo 5 set it.
	Method, Route string

	// ClientID, Organization, HPRNumber and TokenID (jti) identify the caller. Subject
	// (sub) and SessionID (sid) identify the user and the login at HelseID by
	// pseudonyms. Texts longer than 256 bytes are truncated; those of HelseID have 40
	// at most.
	ClientID     string
	Organization identity.Organization
	HPRNumber    identity.HPRNumber
	Subject      string
	SessionID    string
	TokenID      string

	// Unproven means that the token is genuine, but no proof shows that the sender owns
	// it. The record then names the owner of the token, and somebody else may have sent
	// it.
	Unproven bool

	// Nested means that an outer guard had already accepted the request. The outer
	// guard writes a record, too.
	Nested bool

	// Duration is the time that the decision took, including the requirements and
	// excluding the handler.
	Duration time.Duration

	// Malformed names claims of the token that were left out because they have the
	// wrong type, like Malformed of [tokenvalidation.Claims].
	Malformed []string
}

func (m *Middleware) audit(ctx context.Context, caller *caller, problem *Problem, start time.Time) {
	if m.config.Audit == nil {
		return
	}
	method, route := m.location.asked(caller.request.http)
	record := Record{
		Allowed: problem == nil, Method: methodName(method), Route: route,
		Nested: caller.nested, Duration: time.Since(start),
	}
	if problem != nil {
		record.Status, record.Reason, record.Expected = problem.Status, problem.Reason, problem.expected
		if problem.cause != nil {
			record.Cause = redact.Cause(problem.cause)
		}
	}
	if claims := caller.claims; claims != nil {
		record.Unproven = !caller.proven
		record.ClientID = cutOff(claims.ClientID)
		record.Organization = claims.Organization
		record.TokenID = cutOff(claims.ID)
		record.Malformed = claims.Malformed
		if claims.User != nil {
			record.HPRNumber = claims.User.HPRNumber
			record.Subject, record.SessionID = cutOff(claims.User.Subject), cutOff(claims.User.SessionID)
		}
	}
	m.config.Audit(ctx, record)
}

// maxRecorded is the longest text from a token in a record, in bytes.
const maxRecorded = 256

func cutOff(text string) string {
	if len(text) <= maxRecorded {
		return text
	}
	return strings.ToValidUTF8(text[:maxRecorded], "")
}

func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

// AuditLog returns a function for Config.Audit that writes to the logger: accepted
// requests at level Info, refused ones at level Warn.
func AuditLog(logger *slog.Logger) func(context.Context, Record) {
	return func(ctx context.Context, record Record) {
		level, message := slog.LevelInfo, "request allowed"
		if !record.Allowed {
			level, message = slog.LevelWarn, "request refused"
		}
		attributes := []slog.Attr{
			slog.String("method", record.Method),
			slog.String("route", record.Route),
		}
		if !record.Allowed {
			attributes = append(attributes, slog.Int("status", record.Status))
		}
		for _, attribute := range []slog.Attr{
			slog.String("reason", record.Reason),
			slog.String("cause", record.Cause),
			slog.String("expected", record.Expected),
			slog.String("client_id", record.ClientID),
			slog.String("parent", string(record.Organization.Parent)),
			slog.String("child", string(record.Organization.Child)),
			slog.String("supplier", string(record.Organization.Supplier)),
			slog.String("hpr_number", string(record.HPRNumber)),
			slog.String("sub", record.Subject),
			slog.String("sid", record.SessionID),
			slog.String("jti", record.TokenID),
			slog.String("malformed_claims", strings.Join(record.Malformed, " ")),
		} {
			if attribute.Value.String() != "" {
				attributes = append(attributes, attribute)
			}
		}
		if record.Unproven {
			attributes = append(attributes, slog.Bool("unproven", true))
		}
		if record.Nested {
			attributes = append(attributes, slog.Bool("nested", true))
		}
		if record.Duration > 0 {
			attributes = append(attributes, slog.Duration("duration", record.Duration))
		}
		logger.LogAttrs(ctx, level, message, attributes...)
	}
}
