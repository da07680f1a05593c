package selvbetjening

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

const (
	defaultBefore        = 30 * 24 * time.Hour
	defaultSettle        = 20 * time.Second
	defaultVerifyTimeout = 2 * time.Minute
)

// RotationConfig says whose keys are replaced, where they are kept, and when. Client and
// Store are enough in HelseID's test and production environments.
type RotationConfig struct {
	// Client is the configuration of the client. Its Key is used unless the store has
	// one; its KeySource must be nil. The rotation uses its Logger and OnEvent, too.
	// Required.
	Client helseid.Config

	// Store keeps the keys. Required.
	Store KeyStore

	// Selvbetjening says how the API is called. Its Client must be nil: it is the
	// rotation's.
	Selvbetjening Config

	// Kind is the kind of the new keys. Empty means RSA-4096, as HelseID Selvbetjening
	// hands out.
	Kind clientassertion.KeyKind

	// Before is how long before its expiry a key is replaced, up to a tenth earlier at
	// random. It is a third of the key's lifetime at most, if that is known. Zero means
	// 30 days.
	Before time.Duration

	// Settle is how long to wait after a new key was registered before it is tried, since
	// HelseID takes a while to accept it. The wait ends early if HelseID refuses the old
	// key. Zero means 20 seconds, a negative duration none.
	Settle time.Duration

	// VerifyTimeout is how long after that token requests with the new key are tried
	// until one succeeds. Zero means 2 minutes.
	VerifyTimeout time.Duration

	// Lock, if set, is held while a key is made, registered and tried, so that instances
	// with one store do not do the same work at the same time. KeyLock of package
	// redisstore is such a lock. It waits until ctx ends. That only one key is made
	// depends on Store and not on Lock, so a lock may expire before its holder is done.
	Lock func(ctx context.Context) (unlock func(), err error)
}

func (c RotationConfig) checked() (RotationConfig, error) {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("field Store is required: a new key must be kept before it is registered, such as in a FileStore"))
	}
	if c.Client.KeySource != nil {
		errs = append(errs, errors.New("field Client.KeySource must be nil: the rotation is the source"))
	}
	if c.Selvbetjening.Client != nil {
		errs = append(errs, errors.New("field Selvbetjening.Client must be nil: the rotation makes the client"))
	}
	switch c.Kind {
	case "", clientassertion.RSA4096, clientassertion.RSA3072, clientassertion.P256, clientassertion.P384, clientassertion.P521:
	default:
		errs = append(errs, errors.New("field Kind is none of clientassertion's kinds of keys"))
	}
	if c.Before < 0 || c.VerifyTimeout < 0 {
		errs = append(errs, errors.New("field Before or VerifyTimeout is negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("selvbetjening: %w: %w", helseid.ErrConfig, err)
	}
	if c.Before == 0 {
		c.Before = defaultBefore
	}
	if c.Settle == 0 {
		c.Settle = defaultSettle
	}
	if c.VerifyTimeout == 0 {
		c.VerifyTimeout = defaultVerifyTimeout
	}
	if c.Client.Logger == nil {
		c.Client.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
