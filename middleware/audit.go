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
	// API's own, or why a request is to no URL that a proof could be for. It is for the
	// operator; the caller does not see it. It quotes neither
	// the API's own errors nor those of a replay store or of the network, which may
	// name people: log them where they are made.
	Cause string

	// Expected is the origin and the path prefix that the proof should have named, such
	// as "https://api.example.no/journal", if the Reason is proof_htu. It is empty if
	// there is no such URL (see Cause).
	Expected string

	// Method and Route tell what was asked for: with Config.ForwardAuth of the original
	// request, if the proxy has told. Method is "other" if it is not
	// one of HTTP's own, since callers can make up any. Route is the pattern that
	// the router has matched (http.Request.Pattern), since paths may hold personal data.
	// It is empty when the guard stands outside of the router, and with a router that
	// does not set it: http.ServeMux, chi and echo 5 do.
	Method, Route string

	// ClientID, Organization, HPRNumber and TokenID (jti) tell who asked, and Subject
	// (sub) and SessionID (sid) which user, by pseudonyms, in which login at HelseID.
	// Texts of more than 256 bytes are cut off; HelseID's have 40 at most.
	ClientID     string
	Organization identity.Organization
	HPRNumber    identity.HPRNumber
	Subject      string
	SessionID    string
	TokenID      string

	// Unproven means that the token is genuine and that no proof shows that it is the
	// sender's: the record tells whose token it is, and somebody else may have sent it.
	Unproven bool

	// Nested means that a guard around this one has let the request in, and has made
	// a record of it, too.
	Nested bool

	// Duration is how long the decision took, with the requirements, and without the
	// handler.
	Duration time.Duration

	// Malformed names claims of the token that were left out because they are of
	// a wrong type, as Claims.Malformed of package tokenvalidation does.
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
