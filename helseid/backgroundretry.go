package helseid

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

const (
	maxTrying    = 24 * time.Hour
	firstTryWait = 100 * time.Millisecond
	maxTryWait   = 30 * time.Second
	tryTimeout   = 2 * time.Second
)

// keepTrying calls try at growing intervals until it is done, for a day at most, and
// once more when the client is closed.
func keepTrying(work *lifecycle.Lifecycle, try func(context.Context) (done bool)) {
	until := time.Now().Add(maxTrying)
	for wait := firstTryWait; time.Now().Before(until); wait = min(2*wait, maxTryWait) {
		closing := !clock.Sleep(work.Context(), wait/2+rand.N(wait/2))
		ctx, cancel := context.WithTimeout(lifecycle.Unattended(), tryTimeout)
		done := try(ctx)
		cancel()
		if done || closing {
			return
		}
	}
}
