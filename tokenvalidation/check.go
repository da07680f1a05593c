package tokenvalidation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

// ErrClock means that this machine's clock differs from HelseID's by more than the
// leeway.
var ErrClock = errClock

// errClock keeps the name of an internal package out of the documentation of ErrClock.
var errClock = metadata.ErrClock

const (
	// clockInterval is how often HelseID is asked for the time, and clockRetry how often
	// while the clock is off or the answer has no time.
	clockInterval = 10 * time.Minute
	clockRetry    = 30 * time.Second

	// clockRounding is the error of a measurement: the header Date has whole seconds.
	clockRounding = time.Second
)

// noKey is a kid that no key has: asking for it fetches the set.
const noKey = "\x00"

// Check reports what prevents tokens from being validated, for a readiness probe:
// HelseID's keys are not known, the metadata is of another issuer, or the clock
// differs from HelseID's by more than [Config.Leeway] and a second. It fetches keys if
// there are none, and asks for the time every ten minutes, or every half minute while
// the clock is off. While HelseID is down, keys that are known are enough.
//
// The error wraps [ErrUnavailable], [ErrConfig] or [ErrClock].
func (v *Validator) Check(ctx context.Context) error {
	if v.rules.Keys.Generation() == 0 {
		_, _, err := v.rules.Keys.Keys(ctx, noKey)
		if v.rules.Keys.Generation() == 0 {
			if errors.Is(err, metadata.ErrIssuerMismatch) {
				return fmt.Errorf("%w: field Issuer: %w", ErrConfig, err)
			}
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	ahead, err := v.clock.ahead(ctx, v.keys.source, v.isOff)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !v.isOff(ahead) {
		return nil
	}
	direction := "ahead of"
	if v.offset(ahead) < 0 {
		direction = "behind"
	}
	return fmt.Errorf("%w: it is %v %s HelseID's: synchronise it", ErrClock, v.offset(ahead).Abs().Round(time.Second), direction)
}

// offset is how far Config.Time is ahead of HelseID's clock if this machine's clock is
// ahead by the given duration.
func (v *Validator) offset(ahead time.Duration) time.Duration {
	return ahead + time.Until(v.rules.Now())
}

func (v *Validator) isOff(ahead time.Duration) bool {
	return v.offset(ahead).Abs() > time.Duration(v.rules.Leeway)*time.Second+clockRounding
}

// clockCheck remembers the last measurement of the clock.
type clockCheck struct {
	turn  chan struct{} // holds one element during a request
	last  time.Duration
	asked time.Time
	told  bool
}

func newClockCheck() *clockCheck { return &clockCheck{turn: make(chan struct{}, 1)} }

// ahead is how far this machine's clock was ahead at the last measurement, or zero
// without one. Concurrent callers wait for the same answer, or until their context
// ends, which is an error.
func (c *clockCheck) ahead(ctx context.Context, source *metadata.Source, isOff func(time.Duration) bool) (time.Duration, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	interval := clockInterval
	if !c.told || isOff(c.last) {
		interval = clockRetry
	}
	now := time.Now()
	if !c.asked.IsZero() && now.Sub(c.asked) < interval {
		return c.last, nil
	}
	c.asked = now
	last, told := source.MeasureClock(ctx)
	if c.told = told; told {
		c.last = last
	}
	return c.last, nil
}
