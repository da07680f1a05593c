package helseid

import "time"

// EventKind says what happened.
type EventKind string

// What a client tells of. The strings are stable and fit for metric labels.
const (
	// EventTokenRequest: a token was fetched, with all its round trips.
	// Duration is from start to end, Err is nil on success.
	EventTokenRequest EventKind = "token_request"

	// EventRoundTrip: HelseID's token endpoint answered or failed to. Status is
	// zero without an answer.
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

	// EventTokenDropped: an API refused a token and it was forgotten.
	EventTokenDropped EventKind = "token_dropped"
)

// Event is one thing a client did. It carries no token, no organisation and
// nothing about a person.
type Event struct {
	Kind     EventKind
	API      bool
	Status   int
	Duration time.Duration
	Err      error
}

func (c *Client) emit(event Event) {
	if c.config.OnEvent != nil {
		c.config.OnEvent(event)
	}
}
