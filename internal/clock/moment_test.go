package clock

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	moment := func(wall, own time.Duration) Moment {
		return Moment{Wall: now.Add(-wall).Round(0), Own: now.Add(-own)}
	}
	for name, test := range map[string]struct {
		moment Moment
		want   time.Duration
	}{
		"now":                              {At(now), 0},
		"a minute ago":                     {moment(time.Minute, time.Minute), time.Minute},
		"the machine has slept":            {moment(time.Hour, time.Minute), time.Hour},
		"the clock has been set back":      {moment(time.Minute, time.Hour), time.Hour},
		"it has been corrected a little":   {moment(-4*time.Second, time.Minute), time.Minute},
		"the moment is in the future":      {moment(-2*time.Hour, time.Second), math.MaxInt64},
		"as far as is forgiven":            {moment(-Tolerance, 0), 0},
		"a little more":                    {moment(-Tolerance-1, 0), math.MaxInt64},
		"never":                            {Moment{}, math.MaxInt64},
		"stored a minute ago":              {Stored(now.Add(-time.Minute), now), time.Minute},
		"stored by a clock that is ahead":  {Stored(now.Add(2*time.Hour), now), math.MaxInt64},
		"stored a minute ago, set back":    {Moment{Wall: now, Own: Stored(now.Add(-time.Minute), now).Own}, time.Minute},
		"stored by a clock a little ahead": {Stored(now.Add(3*time.Second), now), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, test.moment.Age(now))
		})
	}
}
