package helseid

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
)

// ErrKeyExpiry means that the client's key expires within 30 days, or has expired: it
// must be replaced, or every call fails from then on.
var ErrKeyExpiry = words("the client's key expires")

const day = 24 * time.Hour

// expirySteps are how long before its end a key is reported.
var expirySteps = []time.Duration{30 * day, 14 * day, 7 * day, day, 0}

// expiryStep is how many of the steps have passed.
func expiryStep(left time.Duration) (passed int) {
	for _, step := range expirySteps {
		if left <= step {
			passed++
		}
	}
	return passed
}

// maxExpiries bounds for how many keys an expiry is kept. When there are more, all are
// forgotten, that of the key in use among them: a client has fewer.
const maxExpiries = 1000

// keyExpiries are when the client's keys expire, as far as that is known.
type keyExpiries struct {
	source func(keyID string) time.Time // or nil

	mu   sync.Mutex
	set  map[string]time.Time
	told map[string]toldExpiry
}

// toldExpiry is what has been reported about a key.
type toldExpiry struct {
	expiry time.Time
	step   int
}

// SetKeyExpiry says when HelseID stops accepting the key with that kid
// ([clientassertion.Key.ID]). Package selvbetjening calls it with what HelseID
// Selvbetjening states; call it for an expiry that is known in another way. The zero time
// means that it is not known.
//
// The client warns about the key in use, in the log ([Config.Logger]) and with an event
// ([EventKeyExpiry]), 30, 14, 7 and 1 days before it expires, and when it has expired: in
// this call if one of these has passed already, and later when it makes a request to
// HelseID. The event [EventKeyInUse] tells of any expiry, however far away.
func (c *Client) SetKeyExpiry(keyID string, expiry time.Time) {
	c.report.expiries.put(keyID, expiry)
	c.report.tellKey(lifecycle.Unattended(), "")
}

// KeyExpiry returns the kid of the key that the client signs with now, and when HelseID
// stops accepting it, as far as [Client.SetKeyExpiry] or the key's source has said so. The
// time is zero if it is not known.
func (c *Client) KeyExpiry(ctx context.Context) (keyID string, expiry time.Time) {
	if keyID = c.standing.keyID(ctx); keyID != "" {
		c.report.tellKey(ctx, keyID)
	}
	return keyID, c.report.expiries.of(keyID)
}

func (c *Client) checkKeyExpiry(ctx context.Context) error {
	keyID, expiry := c.KeyExpiry(ctx)
	left := time.Until(expiry)
	switch {
	case expiry.IsZero() || expiryStep(left) == 0:
		return nil
	case left <= 0:
		return fmt.Errorf("%w: the key %s of the client %s has expired at %s: register a new one in HelseID Selvbetjening",
			ErrKeyExpiry, keyID, c.config.ClientID, expiry.UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("%w: the key %s of the client %s expires at %s, in %d days: register a new one, or let package selvbetjening do it",
		ErrKeyExpiry, keyID, c.config.ClientID, expiry.UTC().Format(time.RFC3339), int(left/day))
}

func (e *keyExpiries) put(keyID string, expiry time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.set == nil || len(e.set) >= maxExpiries {
		e.set = make(map[string]time.Time)
	}
	e.set[keyID] = expiry
}

// of is when a key expires, or zero.
func (e *keyExpiries) of(keyID string) time.Time {
	e.mu.Lock()
	expiry := e.set[keyID]
	e.mu.Unlock()
	if expiry.IsZero() && e.source != nil && keyID != "" {
		expiry = e.source(keyID)
	}
	return expiry
}

// due returns when a key expires, if it is time to tell of that.
func (e *keyExpiries) due(keyID string, now time.Time) (expiry time.Time, due bool) {
	if expiry = e.of(keyID); expiry.IsZero() {
		return expiry, false
	}
	step := expiryStep(expiry.Sub(now))
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.told[keyID]
	if step == 0 || told.expiry.Equal(expiry) && step <= told.step {
		return expiry, false
	}
	if e.told == nil || len(e.told) >= maxExpiries {
		e.told = make(map[string]toldExpiry)
	}
	e.told[keyID] = toldExpiry{expiry, step}
	return expiry, true
}

// tellExpiry tells that the key in use comes to its end, when it is time for that.
func (r *reporter) tellExpiry(ctx context.Context, keyID string) {
	now := time.Now()
	expiry, due := r.expiries.due(keyID, now)
	if !due {
		return
	}
	level, message, left := slog.LevelWarn, "the client's key expires soon", expiry.Sub(now)
	if left <= day {
		level = slog.LevelError
	}
	if left <= 0 {
		message = "the client's key has expired"
	}
	r.logger.LogAttrs(ctx, level, message, slog.Time("expiry", expiry), slog.Int("days", max(0, int(left/day))),
		slog.String("client_id", r.clientID), slog.String("kid", keyID))
	r.emit(ctx, Event{Kind: EventKeyExpiry, KeyID: keyID, Expiry: expiry})
}
