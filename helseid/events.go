package helseid

import "time"

// EventKind is the kind of an [Event].
type EventKind string

// The kinds of events. The strings are stable and fit for metric labels.
const (
	// EventTokenRequest: a token was fetched, with all round trips that it took, or
	// that failed. Duration is the total time, Err is nil on success. Its endpoint is
	// the token endpoint. Renewal says that nobody waits for it.
	EventTokenRequest EventKind = "token_request"

	// EventRoundTrip: an endpoint at which the client authenticates (token, pushed
	// authorization request, revocation) answered or did not. Status is zero without
	// an answer; URL, Duration and Err are set.
	EventRoundTrip EventKind = "round_trip"

	// EventNonceChallenge: a server required a DPoP nonce, or a newer one. API says
	// whether it was an API rather than HelseID.
	EventNonceChallenge EventKind = "nonce_challenge"

	// EventRetry: a request, or a signature for it, was retried after a failure. API
	// says whether it was a request to an API rather than to HelseID.
	EventRetry EventKind = "retry"

	// EventCacheHit, EventCacheStale, EventCacheMiss: a token was returned from
	// memory, was returned from memory while a new one is fetched, or was not in
	// memory. They have no endpoint.
	EventCacheHit   EventKind = "cache_hit"
	EventCacheStale EventKind = "cache_stale"
	EventCacheMiss  EventKind = "cache_miss"

	// EventProof: a DPoP proof was made for a call of an API. Duration is how long
	// the key took.
	EventProof EventKind = "proof"

	// EventKeyInUse: the client signs with the key KeyID, which expires at Expiry, or zero
	// if that is not known. It comes after the first request with a key, and when the
	// expiry of the key in use becomes known, is another one, or is not known any more.
	EventKeyInUse EventKind = "key_in_use"

	// EventKeyExpiry: the client's key KeyID expires at Expiry, which is 30, 14, 7 or 1
	// days away, or has expired. It comes once for each of these, with a request to
	// HelseID, and for the last that has passed as soon as the expiry becomes known.
	EventKeyExpiry EventKind = "key_expiry"

	// EventKeyFailed: a key did not sign, or not in time, and what needed the signature
	// failed; or a key that was to replace the client's could not be used, and the old
	// one stays in use. Err says why, and wraps [ErrKey] in the first case. KeyID is
	// empty if the DPoP key did not sign.
	EventKeyFailed EventKind = "key_failed"

	// EventKeyReplaced: KeyID is the client's key from now on.
	EventKeyReplaced EventKind = "key_replaced"

	// EventKeyOrphan: the key KeyID is registered at HelseID until Expiry, and does not
	// work, is given up, or is not in the store of a rotation that lists the client's keys.
	// Somebody else may use it; otherwise remove it in HelseID Selvbetjening.
	EventKeyOrphan EventKind = "key_orphan"

	// EventTokenDropped: an API refused a token, and it was removed from memory.
	EventTokenDropped EventKind = "token_dropped"
)

// Event is something that a client did. It carries no token, no organisation and
// nothing about a person.
type Event struct {
	Kind     EventKind
	ClientID string // Config.ClientID
	API      bool   // it is about an API, not HelseID

	// Endpoint is the endpoint's name in HelseID's metadata, such as
	// "token_endpoint", or the host of an API without its port. It may be empty.
	Endpoint string

	// URL is the address of the endpoint in a round trip, without a query, or "".
	URL string

	// Shared says that the work was done for several callers, or in the background.
	// The context is then that of the work and holds no values of any caller's
	// context.
	Shared bool

	// Renewal says that the token request renews a token in the background, while the
	// old one is still in use.
	Renewal bool

	KeyID  string    // the kid of the client's key, of a round trip or where the kind says so
	Expiry time.Time // where the kind says so, or zero

	Status   int           // of the HTTP answer, or zero
	Duration time.Duration // where the kind says so, or zero
	Err      error         // without what HelseID said in words, or nil
}
