package otelhelseid

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/helseid-go/sdk/helseid"
)

// expiries are the keys that clients have said to be in use, and when those expire.
type expiries struct {
	mu   sync.Mutex
	keys map[string]keyExpiry // by the client's name
}

type keyExpiry struct {
	keyID  string
	expiry time.Time // or zero if it is not known
	from   *teller   // who has said so
}

// teller tells apart the clients that have one id. It is a configuration that
// [Telemetry.Client] has returned.
type teller struct{ _ byte }

// put notes what a client with that name says about the key in use. One that does not
// know when the key expires contradicts itself only.
func (e *expiries) put(client string, event helseid.Event, from *teller) {
	if client == "" || client == other {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if key := e.keys[client]; event.Expiry.IsZero() && event.KeyID == key.keyID && from != key.from {
		return
	}
	if e.keys == nil {
		e.keys = make(map[string]keyExpiry)
	}
	e.keys[client] = keyExpiry{keyID: event.KeyID, expiry: event.Expiry, from: from}
}

// observe is the gauge's callback.
func (e *expiries) observe(_ context.Context, gauge metric.Float64Observer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for client, key := range e.keys {
		if !key.expiry.IsZero() {
			gauge.Observe(time.Until(key.expiry).Seconds(), metric.WithAttributes(attrClientID.String(client)))
		}
	}
	return nil
}
