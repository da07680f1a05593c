package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Record is one decision about a request, for the access log that Normen
// demands. It holds neither the token nor a national identity number. What it
// says of the caller is from a genuine token, and empty if there was none.
type Record struct {
	// Allowed reports whether the request was let in.
	Allowed bool

	// Status and Reason are those of the answer, if it was not.
	Status int
	Reason string

	// Cause is what kind of error is behind a 503 or behind a requirement of the
	// API's own, for the operator; the caller does not see it. It quotes neither
	// the API's own errors nor those of a replay store or of the network, which may
	// name people: log them where they are made.
	Cause string

	// Method and Route tell what was asked for. Method is "other" if it is not
	// one of HTTP's own, since callers can make up any. Route is the pattern that
	// http.ServeMux matched, since paths may hold personal data; it is empty for
	// other routers, and when the guard stands outside of the ServeMux.
	Method, Route string

	// ClientID, Organization, HPRNumber and TokenID (jti) tell who asked. Texts of
	// more than 256 bytes are cut off; HelseID's have 40 at most.
	ClientID     string
	Organization tokenvalidation.Organization
	HPRNumber    tokenvalidation.HPRNumber
	TokenID      string

	// Malformed names claims of the token that were left out because they are of
	// a wrong type, as Claims.Malformed of package tokenvalidation does.
	Malformed []string
}

func (m *Middleware) audit(r *http.Request, caller *caller, problem *Problem) {
	if m.config.Audit == nil {
		return
	}
	record := Record{Allowed: problem == nil, Method: methodName(r.Method), Route: r.Pattern}
	if problem != nil {
		record.Status, record.Reason = problem.Status, problem.Reason
		if problem.cause != nil {
			record.Cause = redact.Cause(problem.cause)
		}
	}
	if caller != nil {
		claims := caller.claims
		record.ClientID = cutOff(claims.ClientID)
		record.Organization = claims.Organization
		record.TokenID = cutOff(claims.ID)
		record.Malformed = claims.Malformed
		if claims.User != nil {
			record.HPRNumber = claims.User.HPRNumber
		}
	}
	m.config.Audit(r.Context(), record)
}

// maxRecorded is how long a text of a token may be in a record, in bytes.
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

// AuditLog returns an audit hook that writes to the logger: allowed requests at
// level Info, refused ones at level Warn.
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
			slog.String("client_id", record.ClientID),
			slog.String("parent", string(record.Organization.Parent)),
			slog.String("child", string(record.Organization.Child)),
			slog.String("supplier", string(record.Organization.Supplier)),
			slog.String("hpr_number", string(record.HPRNumber)),
			slog.String("jti", record.TokenID),
			slog.String("malformed_claims", strings.Join(record.Malformed, " ")),
		} {
			if attribute.Value.String() != "" {
				attributes = append(attributes, attribute)
			}
		}
		logger.LogAttrs(ctx, level, message, attributes...)
	}
}
