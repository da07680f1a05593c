package redisstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var changes []bool
		b := breaker{onChange: func(alive bool) { changes = append(changes, alive) }}
		try := func(result outcome) {
			t.Helper()
			end, ok := b.begin()
			require.True(t, ok)
			end(result)
		}
		requireShut := func() {
			t.Helper()
			_, ok := b.begin()
			require.False(t, ok)
		}

		for range 3 { // an answer in between resets the count
			for range breakerLimit - 1 {
				try(unanswered)
			}
			try(answered)
		}
		for range 100 { // those who give up count for nothing
			try(unknown)
		}
		require.Empty(t, changes)

		for range breakerLimit {
			try(unanswered)
		}
		require.Equal(t, []bool{false}, changes)
		requireShut()
		time.Sleep(breakerPause - time.Millisecond)
		requireShut()

		time.Sleep(time.Millisecond)
		end, ok := b.begin()
		require.True(t, ok, "one finds out")
		requireShut()
		end(unanswered)
		requireShut()

		time.Sleep(breakerPause)
		try(unknown)
		try(answered) // the one before did not find out
		require.Equal(t, []bool{false, true}, changes)
		for range breakerLimit - 1 {
			try(unanswered)
		}
		try(answered)
	})
}

// Of uses that wait for an answer at the same time one counts: it is one silence.
func TestBreakerAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var changes []bool
		b := breaker{onChange: func(alive bool) { changes = append(changes, alive) }}
		silence := func() {
			t.Helper()
			for range 10 * breakerLimit {
				end, ok := b.begin()
				require.True(t, ok)
				time.AfterFunc(time.Second, func() { end(unanswered) })
				time.Sleep(time.Millisecond)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		for range breakerLimit - 1 {
			silence()
			require.Empty(t, changes)
		}
		silence()
		require.Equal(t, []bool{false}, changes)
		_, ok := b.begin()
		require.True(t, ok, "to find out")
		_, ok = b.begin()
		require.False(t, ok)
	})
}

// One silence that is shorter than the longest limit does not make Redis count as
// dead, however many uses with a shorter limit give up in it. One that is longer does,
// and so does a server that is not there, at once.
func TestBreakerOnShortSilences(t *testing.T) {
	t.Parallel()
	const limit, longest = 250 * time.Millisecond, 2 * time.Second
	for name, test := range map[string]struct {
		result outcome
		uses   int
		dead   bool
	}{
		"shorter":       {unanswered, 7, false},
		"as long":       {unanswered, 8, true},
		"nothing there": {unreachable, breakerLimit, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := breaker{longest: longest, onChange: func(bool) {}}
				for range test.uses {
					end, ok := b.begin()
					require.True(t, ok)
					time.Sleep(limit)
					end(test.result)
				}
				_, ok := b.begin()
				require.Equal(t, !test.dead, ok)
			})
		})
	}
}
