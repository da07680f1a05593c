package helseid

import "time"

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
