package otelhelseid

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/helseid-go/sdk/helseid"
)

// maxClients is how many clients are told apart. A process has one or two.
const maxClients = 10

// The values of attributes.
const (
	lookupHit, lookupStale, lookupMiss   = "hit", "stale", "miss"
	retryFailure, retryNonce, retryToken = "failure", "nonce", "token"
	peerHelseID, peerAPI                 = "helseid", "api"

	keyReplaced, keyNotReplaced, keyNotSigned, keyOrphaned = "replaced", "not_replaced", "not_signed", "orphaned"
)

// clientMetrics counts what clients do.
type clientMetrics struct {
	*instruments
	names    clientNames
	expiries expiries

	hit, stale, miss, proof labels
	retry                   map[retry]labels
}

// retry is a reason to send a request again. API is whether it goes to an API.
type retry struct {
	kind helseid.EventKind
	api  bool
}

// retryReasons are the reasons by the kinds of events.
var retryReasons = map[helseid.EventKind]string{
	helseid.EventRetry:          retryFailure,
	helseid.EventNonceChallenge: retryNonce,
	helseid.EventTokenDropped:   retryToken,
}

func (m *clientMetrics) make(instruments *instruments) {
	m.instruments = instruments
	m.hit = labelled(attrLookup.String(lookupHit))
	m.stale = labelled(attrLookup.String(lookupStale))
	m.miss = labelled(attrLookup.String(lookupMiss))
	m.proof = labelled()
	m.retry = make(map[retry]labels)
	for kind, reason := range retryReasons {
		m.retry[retry{kind, false}] = labelled(attrRetryReason.String(reason), attrPeer.String(peerHelseID))
		m.retry[retry{kind, true}] = labelled(attrRetryReason.String(reason), attrPeer.String(peerAPI))
	}
}

// count counts an event. Nothing is allocated for those that a call with a token from
// memory has.
func (m *clientMetrics) count(ctx context.Context, event helseid.Event, from *teller) {
	switch event.Kind {
	case helseid.EventCacheHit:
		m.lookups.Add(ctx, 1, m.hit.add...)
	case helseid.EventCacheStale:
		m.lookups.Add(ctx, 1, m.stale.add...)
	case helseid.EventCacheMiss:
		m.lookups.Add(ctx, 1, m.miss.add...)
	case helseid.EventProof:
		m.proofs.Record(ctx, event.Duration.Seconds(), m.proof.record...)
	case helseid.EventRetry, helseid.EventNonceChallenge, helseid.EventTokenDropped:
		m.retries.Add(ctx, 1, m.retry[retry{event.Kind, event.API}].add...)
	case helseid.EventTokenRequest:
		attributes := append(withClient(m.name(ctx, event)), attrRenewal.Bool(event.Renewal))
		m.tokens.Record(ctx, event.Duration.Seconds(), metric.WithAttributes(withError(attributes, errorKind(event.Err))...))
	case helseid.EventRoundTrip:
		m.requests.Record(ctx, event.Duration.Seconds(), metric.WithAttributes(append(requestAttributes(event), answerAttributes(event)...)...))
	case helseid.EventKeyInUse:
		m.expiries.put(m.name(ctx, event), event, from)
	case helseid.EventKeyReplaced:
		m.key(ctx, event, keyReplaced)
	case helseid.EventKeyFailed:
		if errors.Is(event.Err, helseid.ErrKey) {
			m.key(ctx, event, keyNotSigned)
		} else {
			m.key(ctx, event, keyNotReplaced)
		}
	case helseid.EventKeyOrphan:
		m.key(ctx, event, keyOrphaned)
	}
}

func (m *clientMetrics) key(ctx context.Context, event helseid.Event, what string) {
	attributes := append(withClient(m.name(ctx, event)), attrKeyEvent.String(what))
	m.keys.Add(ctx, 1, metric.WithAttributes(attributes...))
}

// name returns the name that an event's client has in metrics. Events
// of keys are rare: when a client is seen first, their counts begin with zero, so that
// the first event is an increase.
func (m *clientMetrics) name(ctx context.Context, event helseid.Event) string {
	name, first := m.names.of(event.ClientID)
	if first {
		for _, event := range []string{keyReplaced, keyNotReplaced, keyNotSigned, keyOrphaned} {
			m.keys.Add(ctx, 0, metric.WithAttributes(append(withClient(name), attrKeyEvent.String(event))...))
		}
	}
	return name
}

func withClient(name string) []attribute.KeyValue {
	if name == "" {
		return nil
	}
	return []attribute.KeyValue{attrClientID.String(name)}
}

func withError(attributes []attribute.KeyValue, kind string) []attribute.KeyValue {
	if kind == "" {
		return attributes
	}
	return append(attributes, attrErrorType.String(kind))
}

// requestAttributes are those of a round trip that are known before it.
func requestAttributes(event helseid.Event) []attribute.KeyValue {
	attributes := []attribute.KeyValue{attrMethod.String(http.MethodPost), attrEndpoint.String(event.Endpoint)}
	if address, err := url.Parse(event.URL); err == nil && address.Host != "" {
		attributes = append(attributes, attrServer.String(address.Hostname()))
		port, err := strconv.Atoi(address.Port())
		switch {
		case err == nil:
		case address.Scheme == "http":
			port = 80
		default:
			port = 443
		}
		attributes = append(attributes, attrPort.Int(port))
	}
	return attributes
}

// answerAttributes are the others.
func answerAttributes(event helseid.Event) []attribute.KeyValue {
	var attributes []attribute.KeyValue
	if isStatus(event.Status) {
		attributes = append(attributes, attrStatus.Int(event.Status))
	}
	return withError(attributes, tripError(event))
}

// isStatus bounds the values of an attribute.
func isStatus(status int) bool { return status >= 100 && status < 600 }

// tripError is the kind of error of a round trip: as the semantic conventions have it,
// the status if that says it.
func tripError(event helseid.Event) string {
	switch kind := errorKind(event.Err); {
	case kind == other:
		return "connection"
	case kind != "":
		return kind
	case isStatus(event.Status) && event.Status >= http.StatusBadRequest:
		return strconv.Itoa(event.Status)
	}
	return ""
}

// clientNames are the ids of the clients that are told apart: a vendor may have one for
// each customer.
type clientNames struct {
	limit int

	mu    sync.Mutex
	known map[string]bool
}

// of returns the client's id, or what stands for those of further clients, and whether
// the client is a new one.
func (n *clientNames) of(id string) (name string, first bool) {
	if id == "" {
		return "", false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[id] {
		return id, false
	}
	if len(n.known) >= n.limit {
		return other, false
	}
	if n.known == nil {
		n.known = make(map[string]bool)
	}
	n.known[id] = true
	return id, true
}
