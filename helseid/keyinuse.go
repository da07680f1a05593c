package helseid

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
)

// keyInUse is what has been told of the key that the client signs with.
type keyInUse struct {
	current func(context.Context) string // the kid of the key that would sign now, or ""

	waiting atomic.Int64 // calls of tellKey; the first one works for those that follow
	keyID   string       // this and expiry belong to the first one
	expiry  time.Time
}

// is reports that this has been told already.
func (k *keyInUse) is(keyID string, expiry time.Time) bool {
	return keyID == k.keyID && expiry.Equal(k.expiry)
}

// tellKey tells which key is in use and when it expires, unless that has been told. The
// kid is that of a key that has signed, or empty. It can be that of a former key, when an
// answer comes late: the key that would sign now counts.
//
// Of calls at the same time, the first one tells everything, so that the events come in
// their order. OnEvent may call the client.
func (r *reporter) tellKey(ctx context.Context, signed string) {
	k := &r.inUse
	if k.waiting.Add(1) > 1 {
		return
	}
	for n := int64(1); n > 0; n = k.waiting.Add(-n) {
		r.tellKeyOnce(ctx, signed)
		ctx, signed = lifecycle.Unattended(), "" // for others
	}
}

func (r *reporter) tellKeyOnce(ctx context.Context, signed string) {
	k := &r.inUse
	keyID, expiry := signed, r.expiries.of(signed)
	if signed == "" || !k.is(keyID, expiry) {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultRequestTimeout)
		defer cancel()
		if keyID = cmp.Or(k.current(asking), signed, k.keyID); keyID == "" {
			return
		}
		expiry = r.expiries.of(keyID)
	}
	if !k.is(keyID, expiry) {
		k.keyID, k.expiry = keyID, expiry
		r.emit(ctx, Event{Kind: EventKeyInUse, KeyID: keyID, Expiry: expiry})
	}
	r.tellExpiry(ctx, keyID)
}
