package helseid

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/redact"
)

// reporter reports what the client does: as events, if the configuration asks for
// them, and as log lines.
type reporter struct {
	logger      *slog.Logger
	onEvent     func(context.Context, Event) // or nil
	tracer      Tracer                       // or nil
	clientID    string
	environment string
	keyID       func() string // the kid of the client's key
	expiries    keyExpiries
	inUse       keyInUse
	limit       logLimit
}

func (r *reporter) emit(ctx context.Context, event Event) {
	if r.onEvent != nil { // small enough to be inlined, so that a cached token stays cheap
		r.tell(ctx, event)
	}
}

func (r *reporter) tell(ctx context.Context, event Event) {
	r.onEvent(ctx, r.complete(ctx, event))
}

// complete fills in what all events have in common.
func (r *reporter) complete(ctx context.Context, event Event) Event {
	event.ClientID = r.clientID
	event.Shared = lifecycle.FlightOf(ctx) != nil
	event.Err = withoutDescription(event.Err)
	return event
}

// withoutDescription leaves out HelseID's explanation of a refusal: it may name an
// organisation.
func withoutDescription(err error) error {
	var refusal *TokenError
	if !errors.As(err, &refusal) {
		return err
	}
	bare := *refusal
	bare.Description = ""
	return &bare
}

// logToken logs that a token was fetched.
func (r *reporter) logToken(ctx context.Context, token *Token, took time.Duration) {
	r.logger.DebugContext(ctx, "token fetched", slog.Duration("took", took), slog.Time("expiry", token.Expiry))
	if len(token.RejectedScopes) > 0 {
		r.logger.WarnContext(ctx, "HelseID rejected scopes: the organisation has not accepted the API's terms",
			slog.Any("scopes", namesOf(token.RejectedScopes)))
	}
}

// namesOf returns the scopes of an answer that are valid scopes.
func namesOf(scopes []string) []string {
	var names []string
	for _, scope := range scopes {
		if validScope(scope) && redact.Text(scope) == scope {
			names = append(names, scope)
		}
	}
	return names
}

// NonceChallenge implements [exchange.Observer].
func (r *reporter) NonceChallenge(ctx context.Context, endpoint string) {
	r.emit(ctx, Event{Kind: EventNonceChallenge, Endpoint: endpoint})
}

// Retry implements [exchange.Observer].
func (r *reporter) Retry(ctx context.Context, endpoint string, err error, wait time.Duration) {
	r.logger.WarnContext(ctx, "a request to HelseID failed and is retried",
		slog.Duration("wait", wait), cause(err))
	r.emit(ctx, Event{Kind: EventRetry, Endpoint: endpoint})
}

// KeyRetry implements [exchange.Observer].
func (r *reporter) KeyRetry(ctx context.Context, endpoint string) {
	r.emit(ctx, Event{Kind: EventRetry, Endpoint: endpoint})
}

// Failed implements [exchange.Observer].
func (r *reporter) Failed(ctx context.Context, endpoint string, err error) {
	r.logRefusal(ctx, endpoint, err)
}

// keyFailed tells that a key did not sign. If there is a wait, the key is tried again
// after it, which the request tells as a retry.
func (r *reporter) keyFailed(ctx context.Context, err error, wait time.Duration) {
	if wait == 0 {
		event := Event{Kind: EventKeyFailed, Err: err}
		if about, ok := errors.AsType[*exchange.KeyError](err); ok {
			event.KeyID = about.KeyID
		}
		r.emit(ctx, event)
		r.logLimited(ctx, slog.LevelError, r.keyOf(err), "", "a key did not sign", cause(err))
		return
	}
	r.logLimited(ctx, slog.LevelWarn, r.keyOf(err), "", "a key did not sign and is tried again", slog.Duration("wait", wait), cause(err))
}

// logRefusal logs that HelseID has refused a request, if that is what the error says.
// A refusal of the client as a whole is an error; a code or a refresh token that is
// used up or has expired is nothing unusual.
func (r *reporter) logRefusal(ctx context.Context, endpoint string, err error) {
	var refusal *TokenError
	if !errors.As(err, &refusal) {
		return
	}
	level := slog.LevelWarn
	if _, whole := isRefusal(refusal); whole {
		level = slog.LevelError
	} else if refusal.Code == "invalid_grant" && !leavesRefreshToken[refusal.HID] {
		level = slog.LevelInfo
	}
	attributes := []slog.Attr{slog.String("endpoint", endpoint), cause(refusal)}
	if isInvalidClient(err) {
		attributes = append(attributes, slog.String("environment", r.environment))
	}
	r.logLimited(ctx, level, r.keyOf(err), endpoint+" "+errorKind(err), "HelseID refused a request", attributes...)
}

// logRenewal logs that a token could not be renewed in the background. The old token
// can still be used for a while.
func (r *reporter) logRenewal(ctx context.Context, err error) {
	r.logLimited(ctx, slog.LevelWarn, r.keyOf(err), errorKind(err), "a token was not renewed, and the old one is near its end", cause(err))
}

// logAPIRefusal logs that an API has refused a token or a proof.
func (r *reporter) logAPIRefusal(ctx context.Context, host, code string) {
	r.logLimited(ctx, slog.LevelWarn, r.keyID(), host+" "+code, "an API refused a token or its proof", slog.String("host", host), slog.String("cause", code))
}

// cause returns what may be logged of an error.
func cause(err error) slog.Attr { return slog.String("cause", redact.Cause(err)) }

// errorKind returns the kind of an error. The rate of log lines is limited for each
// kind separately.
func errorKind(err error) string {
	if refusal, ok := errors.AsType[*TokenError](err); ok {
		return refusalCodes(refusal.Code, refusal.HID)
	}
	for _, category := range []error{ErrKey, ErrLoginRequired, ErrStore, ErrUnavailable, ErrIssuerMismatch, ErrInvalidResponse, ErrScopeNotGranted} {
		if errors.Is(err, category) {
			return category.Error()
		}
	}
	return ""
}

// keyOf is the kid of the key that an error is about: the one that was used, not the
// one that may have replaced it since.
func (r *reporter) keyOf(err error) string {
	if about, ok := errors.AsType[*exchange.KeyError](err); ok {
		return about.KeyID
	}
	return r.keyID()
}

// logLimited writes a line that names the client and its key, unless one of the same
// kind has been written within the last minute.
func (r *reporter) logLimited(ctx context.Context, level slog.Level, keyID, kind, message string, attributes ...slog.Attr) {
	if !r.logger.Enabled(ctx, level) {
		return
	}
	omitted, ok := r.limit.allow(message+" "+kind, time.Now())
	if !ok {
		return
	}
	attributes = append(attributes, slog.String("client_id", r.clientID), slog.String("kid", keyID))
	if omitted > 0 {
		attributes = append(attributes, slog.Int("omitted", omitted))
	}
	r.logger.LogAttrs(ctx, level, message, attributes...)
}

// logCache logs that the cache failed, without its error, which may quote what was to
// be stored.
func (r *reporter) logCache(ctx context.Context, operation string, _ error) {
	r.logger.WarnContext(ctx, "the shared token cache failed", slog.String("operation", operation))
}
