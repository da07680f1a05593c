package clock

import (
	"math"
	"time"
)

// Tolerance is how far in the future a moment may seem to lie after a small
// correction of the wall clock.
const Tolerance = 5 * time.Second

// Moment is the time of an event by both clocks. The zero value has the greatest
// possible age.
type Moment struct {
	Wall time.Time // without a monotonic reading
	Own  time.Time // with one
}

// At returns the moment of a result of [time.Now].
func At(now time.Time) Moment { return Moment{Wall: now.Round(0), Own: now} }

// Stored returns a moment from a stored reading of the wall clock, by this process or
// another one. The process's own clock counts from now on.
func Stored(wall, now time.Time) Moment {
	wall = wall.Round(0)
	return Moment{Wall: wall, Own: now.Add(-max(0, now.Round(0).Sub(wall)))}
}

// Age returns how long ago the moment was, by the clock that shows the longer time. A
// moment in the future gets the greatest possible age, because the wall clock was wrong
// then or is wrong now.
func (m Moment) Age(now time.Time) time.Duration {
	wall := now.Round(0).Sub(m.Wall)
	if wall < -Tolerance {
		return math.MaxInt64
	}
	return max(wall, now.Sub(m.Own))
}
