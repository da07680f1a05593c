package tokenvalidation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/internal/metadata"
)

// ErrClock means that this machine's clock differs from HelseID's by more than is
// forgiven.
var ErrClock = words("the clock is off")

const (
	// clockInterval is how often HelseID is asked for the time, and clockRetry how often
	// while the clock is off or HelseID does not tell.
	clockInterval = 10 * time.Minute
	clockRetry    = 30 * time.Second

	// clockRounding is what a measurement may be off by: HelseID tells whole seconds.
	clockRounding = time.Second
)

// noKey is the name of no key: to ask for it fetches the set.
const noKey = "\x00"

// Check reports what keeps tokens from being validated, for a readiness probe: there
// are no keys of HelseID's, the configured issuer is another one's, or the clock
// differs from HelseID's by more than Config.Leeway and a second. It fetches keys if
// there are none, and asks for the time every ten minutes, or every half minute while
// the clock is off. While HelseID is down, keys that are known are enough.
//
// The error wraps ErrUnavailable, ErrConfig or ErrClock.
func (v *Validator) Check(ctx context.Context) error {
	if v.keys.Generation() == 0 {
		_, _, err := v.keys.Keys(ctx, noKey)
		if v.keys.Generation() == 0 {
			if errors.Is(err, metadata.ErrIssuerMismatch) {
				return fmt.Errorf("%w: field Issuer: %w", ErrConfig, err)
			}
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	ahead, err := v.clock.ahead(ctx, v.userInfo.metadata, v.isOff)
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

// offset is how far Config.Time is ahead of HelseID's if this machine's clock is so
// much.
func (v *Validator) offset(ahead time.Duration) time.Duration { return ahead + time.Until(v.now()) }

func (v *Validator) isOff(ahead time.Duration) bool {
	return v.offset(ahead).Abs() > time.Duration(v.leeway)*time.Second+clockRounding
}

// clockCheck remembers what HelseID has said about the time.
type clockCheck struct {
	turn  chan struct{} // holds one while somebody asks
	last  time.Duration
	asked time.Time
	told  bool
}

func newClockCheck() *clockCheck { return &clockCheck{turn: make(chan struct{}, 1)} }

// ahead is how far this machine's clock was ahead when HelseID last told the time, or
// zero if it never has. Callers at the same time wait for one answer, or until their
// context ends, which is an error.
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
