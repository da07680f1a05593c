package clock

import (
	"math"
	"time"
)

// Tolerance is how far in the future a moment may seem to lie after a small
// correction of the wall clock.
const Tolerance = 5 * time.Second

// Moment is when something happened, by both clocks. The zero value is so long ago
// that nothing is young.
type Moment struct {
	Wall time.Time // without a monotonic reading
	Own  time.Time // with one
}

// At is the moment of a result of time.Now.
func At(now time.Time) Moment { return Moment{Wall: now.Round(0), Own: now} }

// Stored is a moment of which the wall clock's reading has been stored, by this
// process or another one. From now on this process's own clock counts, too.
func Stored(wall, now time.Time) Moment {
	wall = wall.Round(0)
	return Moment{Wall: wall, Own: now.Add(-max(0, now.Round(0).Sub(wall)))}
}

// Age is how long ago the moment was, as the clock says that shows more. What
// claims to lie in the future is not young: the wall clock was wrong then or is
// now, and the age is the greatest there is.
func (m Moment) Age(now time.Time) time.Duration {
	wall := now.Round(0).Sub(m.Wall)
	if wall < -Tolerance {
		return math.MaxInt64
	}
	return max(wall, now.Sub(m.Own))
}
