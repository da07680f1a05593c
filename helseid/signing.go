package helseid

import (
	"context"
	"errors"
)

// sign calls do, which signs, until it succeeds: a KMS may throttle. A repetition
// costs no credential, since nothing has been sent with the signature that failed.
// The tries end with the context, and together they take no longer than one request
// to HelseID may.
func (c *Client) sign(ctx context.Context, event Event, do func(ctx context.Context) error) error {
	if waits := flightOf(ctx); waits != nil {
		waits.signing.Add(1)
		defer waits.signing.Add(-1)
	}
	limited, cancel := context.WithTimeout(ctx, c.config.RequestTimeout)
	defer cancel()
	for try := 0; ; try++ {
		err := do(limited)
		if !errors.Is(err, ErrKey) {
			return err
		}
		wait := backoff(try, 0)
		if try >= c.config.TokenRetries || limited.Err() != nil || c.lifetime.Err() != nil || !sleep(limited, wait) {
			c.logKey(ctx, err)
			return err
		}
		c.logKeyRetry(ctx, err, wait)
		event.Kind = EventRetry
		c.emit(ctx, event)
	}
}
