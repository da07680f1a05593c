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
	// Duration is from start to end, Err is nil on success.
	EventTokenRequest EventKind = "token_request"

	// EventRoundTrip: an endpoint of HelseID's that the client authenticates at
	// (token, pushed authorization request, revocation) answered or failed to.
	// Status is zero without an answer; Duration and Err are set.
	EventRoundTrip EventKind = "round_trip"

	// EventNonceChallenge: a server demanded a DPoP nonce, or a newer one. API
	// tells whether it was an API rather than HelseID.
	EventNonceChallenge EventKind = "nonce_challenge"

	// EventRetry: a request was made anew after a failure. API tells whether it
	// was one to an API rather than to HelseID.
	EventRetry EventKind = "retry"

	// EventCacheHit, EventCacheStale, EventCacheMiss: a token was handed out
	// from memory, from memory while a new one is fetched, or was not there.
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
	API      bool          // it is about an API, not HelseID
	Status   int           // of the HTTP answer, or zero
	Duration time.Duration // where the kind says so, or zero
	Err      error         // without what HelseID said in words, or nil
}

func (c *Client) emit(event Event) {
	if c.config.OnEvent == nil {
		return
	}
	event.Err = withoutDescription(event.Err)
	c.config.OnEvent(event)
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
		slog.Duration("wait", wait), slog.String("cause", redact.Cause(err)))
}
