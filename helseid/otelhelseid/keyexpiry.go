package otelhelseid

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/helseid-go/sdk/helseid"
)

// expiries are when the clients' keys expire, as far as events have said so.
type expiries struct {
	mu   sync.Mutex
	keys map[string]keyExpiry // by the client's name
}

type keyExpiry struct {
	keyID  string
	expiry time.Time
	used   bool // the key has signed since
}

// put notes what an event says about the key of a client with that name.
func (e *expiries) put(client string, event helseid.Event) {
	if client == "" || client == other {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if event.Expiry.IsZero() {
		delete(e.keys, client)
		return
	}
	if e.keys == nil {
		e.keys = make(map[string]keyExpiry)
	}
	e.keys[client] = keyExpiry{keyID: event.KeyID, expiry: event.Expiry}
}

// used notes that a client has signed with a key. If it is another key than before,
// nothing is known of its expiry.
func (e *expiries) used(event helseid.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key, known := e.keys[event.ClientID]
	switch {
	case !known:
	case key.keyID == event.KeyID:
		key.used = true
		e.keys[event.ClientID] = key
	case key.used: // not by a request that was under way when the key was replaced
		delete(e.keys, event.ClientID)
	}
}

// observe is the gauge's callback.
func (e *expiries) observe(_ context.Context, gauge metric.Float64Observer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for client, key := range e.keys {
		gauge.Observe(time.Until(key.expiry).Seconds(), metric.WithAttributes(attrClientID.String(client)))
	}
	return nil
}
