package helseid

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/internal/redact"
)

// EventKind says what happened.
type EventKind string

// What a client tells of. The strings are stable and fit for metric labels.
const (
	// EventTokenRequest: a token was fetched, with all its round trips.
	// Duration is from start to end, Err is nil on success. Its endpoint is the token
	// endpoint.
	EventTokenRequest EventKind = "token_request"

	// EventRoundTrip: an endpoint of HelseID's that the client authenticates at
	// (token, pushed authorization request, revocation) answered or failed to.
	// Status is zero without an answer; Duration and Err are set.
	EventRoundTrip EventKind = "round_trip"

	// EventNonceChallenge: a server demanded a DPoP nonce, or a newer one. API
	// tells whether it was an API rather than HelseID.
	EventNonceChallenge EventKind = "nonce_challenge"

	// EventRetry: a request, or a signature for it, was made anew after a failure. API
	// tells whether it was one to an API rather than to HelseID.
	EventRetry EventKind = "retry"

	// EventCacheHit, EventCacheStale, EventCacheMiss: a token was handed out
	// from memory, from memory while a new one is fetched, or was not there. They
	// have no endpoint.
	EventCacheHit   EventKind = "cache_hit"
	EventCacheStale EventKind = "cache_stale"
	EventCacheMiss  EventKind = "cache_miss"

	// EventProof: a DPoP proof was made for a call of an API. Duration tells how
	// long the key took.
	EventProof EventKind = "proof"

	// EventTokenDropped: an API refused a token and it was forgotten.
	EventTokenDropped EventKind = "token_dropped"
)

// Event is one thing a client did. It carries no token, no organisation and
// nothing about a person.
type Event struct {
	Kind     EventKind
	ClientID string // Config.ClientID
	API      bool   // it is about an API, not HelseID

	// Endpoint is the endpoint's name in HelseID's metadata, such as
	// "token_endpoint", or the host of an API without its port. It may be empty.
	Endpoint string

	// Shared says that the work was done for all who wanted it, or when nobody waited.
	// The context is then the work's own, and holds no values of any caller's.
	Shared bool

	Status   int           // of the HTTP answer, or zero
	Duration time.Duration // where the kind says so, or zero
	Err      error         // without what HelseID said in words, or nil
}

func (c *Client) emit(ctx context.Context, event Event) {
	if c.config.OnEvent != nil { // small enough to be inlined: a cached token costs little more
		c.tell(ctx, event)
	}
}

func (c *Client) tell(ctx context.Context, event Event) {
	event.ClientID = c.config.ClientID
	event.Shared = flightOf(ctx) != nil
	event.Err = withoutDescription(event.Err)
	c.config.OnEvent(ctx, event)
}

// withoutDescription leaves out what HelseID wrote in a refusal: it may name an
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

// logToken tells of a token that was fetched.
func (c *Client) logToken(ctx context.Context, token *Token, took time.Duration) {
	c.config.Logger.DebugContext(ctx, "token fetched", slog.Duration("took", took), slog.Time("expiry", token.Expiry))
	if len(token.RejectedScopes) > 0 {
		c.config.Logger.WarnContext(ctx, "HelseID rejected scopes: the organisation has not accepted the API's terms",
			slog.Any("scopes", namesOf(token.RejectedScopes)))
	}
}

// namesOf are the scopes of an answer as far as they are such.
func namesOf(scopes []string) []string {
	var names []string
	for _, scope := range scopes {
		if validScope(scope) && redact.Text(scope) == scope {
			names = append(names, scope)
		}
	}
	return names
}

// logRetry tells of a request to HelseID that is made anew.
func (c *Client) logRetry(ctx context.Context, err error, wait time.Duration) {
	c.config.Logger.WarnContext(ctx, "a request to HelseID failed and is made anew",
		slog.Duration("wait", wait), cause(err))
}

// logKeyRetry tells of a key that did not sign and is asked anew.
func (c *Client) logKeyRetry(ctx context.Context, err error, wait time.Duration) {
	c.logLimited(ctx, slog.LevelWarn, "", "a key did not sign and is asked anew", slog.Duration("wait", wait), cause(err))
}

// logKey tells of a key that did not sign.
func (c *Client) logKey(ctx context.Context, err error) {
	c.logLimited(ctx, slog.LevelError, "", "a key did not sign", cause(err))
}

// logRefusal tells of a request that HelseID has refused, if the error says so. What
// goes for the client as a whole is an error; that a code or a refresh token has
// come to its end is usual.
func (c *Client) logRefusal(ctx context.Context, endpoint string, err error) {
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
	c.logLimited(ctx, level, endpoint+" "+errorKind(err), "HelseID refused a request", slog.String("endpoint", endpoint), cause(refusal))
}

// logRenewal tells of a token that could not be renewed in the background. The old
// one is still good for a while.
func (c *Client) logRenewal(ctx context.Context, err error) {
	c.logLimited(ctx, slog.LevelWarn, errorKind(err), "a token was not renewed, and the old one is near its end", cause(err))
}

// logAPIRefusal tells of an API that has refused a token or a proof.
func (c *Client) logAPIRefusal(ctx context.Context, host, code string) {
	c.logLimited(ctx, slog.LevelWarn, host+" "+code, "an API refused a token or its proof", slog.String("host", host), slog.String("cause", code))
}

// cause is an error as far as it may be logged.
func cause(err error) slog.Attr { return slog.String("cause", redact.Cause(err)) }

// errorKind tells errors apart that are worth a line of their own in the log.
func errorKind(err error) string {
	var refusal *TokenError
	if errors.As(err, &refusal) {
		return refusalCodes(refusal.Code, refusal.HID)
	}
	for _, category := range []error{ErrKey, ErrLoginRequired, ErrSessionStore, ErrUnavailable, ErrIssuerMismatch, ErrInvalidResponse, ErrScopeNotGranted} {
		if errors.Is(err, category) {
			return category.Error()
		}
	}
	return ""
}
