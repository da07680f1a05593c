package bulkhead

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/metadata"
)

var errTold = errors.New("what others have found out")

func tellTrouble(time.Duration) error { return errTold }

func unavailable() Outcome { return Outcome{Verdict: Unavailable, Told: tellTrouble} }

func answered() Outcome { return Outcome{Verdict: Answered} }

func paused(wait time.Duration) Outcome {
	return Outcome{Verdict: Throttled, Wait: wait, Told: tellTrouble}
}

// taking is a round trip of this length.
func taking(d time.Duration, result Outcome) func() Outcome {
	return func() Outcome {
		if !clock.Sleep(context.Background(), d) {
			return Outcome{}
		}
		return result
	}
}

func testBulkhead(retries int) *Bulkhead {
	return New("test endpoint", Limits{Slots: 2, Line: 10}, retries)
}

// pass goes through a bulkhead with one round trip.
func (b *Bulkhead) pass(ctx context.Context, roundTrip func() Outcome) error {
	turn, err := b.Join()
	if err != nil {
		return err
	}
	defer turn.Leave()
	if err := turn.Await(ctx); err != nil {
		return err
	}
	return turn.Send(ctx, roundTrip)
}

func TestFirstOfAllGoesAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first time.Duration // how long its round trip takes
		wait  time.Duration
	}{"answered": {300 * time.Millisecond, 300 * time.Millisecond}, "hanging": {time.Hour, time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, start := testBulkhead(2), time.Now()
				var group sync.WaitGroup
				group.Go(func() { assert.NoError(t, b.pass(t.Context(), taking(test.first, answered()))) })
				synctest.Wait()
				for range 5 {
					group.Go(func() {
						assert.NoError(t, b.pass(t.Context(), func() Outcome {
							assert.Equal(t, test.wait, time.Since(start))
							return answered()
						}))
					})
				}
				group.Wait()
				require.NoError(t, b.pass(t.Context(), answered))
			})
		})
	}
}

// Waiting takes no slot, and neither does a request that has gone.
func TestSlotsAreForRoundTrips(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := testBulkhead(2)
		for _, result := range []Outcome{answered(), unavailable(), paused(3 * time.Second), {}} {
			turn, err := b.Join()
			require.NoError(t, err)
			require.NoError(t, turn.Await(t.Context()))
			require.NoError(t, turn.Send(t.Context(), func() Outcome {
				assert.Len(t, b.slots, 1)
				return result
			}))
			require.Empty(t, b.slots)
			done := make(chan struct{})
			go func() {
				assert.NoError(t, turn.Await(t.Context()))
				close(done)
			}()
			synctest.Wait()
			require.Empty(t, b.slots)
			<-done
			turn.Leave()
		}
		require.PanicsWithValue(t, "broken", func() { _ = b.pass(t.Context(), func() Outcome { panic("broken") }) })
		require.Empty(t, b.slots)
		require.Zero(t, b.inside.Load())
		require.NoError(t, b.pass(t.Context(), answered))
	})
}

func TestFullLine(t *testing.T) {
	t.Parallel()
	b := testBulkhead(2)
	var turns []*Turn
	for range 10 {
		turn, err := b.Join()
		require.NoError(t, err)
		turns = append(turns, turn)
	}
	_, err := b.Join()
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorIs(t, err, metadata.ErrUnavailable)
	turns[0].Leave()
	_, err = b.Join()
	require.NoError(t, err)
}

// What probes find out counts for all who wait, as if they had asked themselves,
// but not what was asked before they came.
func TestProbesCountForAll(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			b := testBulkhead(retries)
			require.NoError(t, b.pass(t.Context(), unavailable))
			var group sync.WaitGroup
			group.Go(func() { assert.NoError(t, b.pass(t.Context(), taking(time.Second, unavailable()))) })
			assert.True(t, clock.Sleep(t.Context(), 500*time.Millisecond)) // it is on its way
			sent := 0
			for range 3 {
				group.Go(func() {
					turn, err := b.Join()
					assert.NoError(t, err)
					defer turn.Leave()
					for err = turn.Await(t.Context()); err == nil; err = turn.Await(t.Context()) {
						assert.NoError(t, turn.Send(t.Context(), func() Outcome { sent++; return unavailable() }))
					}
					assert.ErrorIs(t, err, errTold)
				})
			}
			group.Wait()
			require.Equal(t, retries+1, sent, "of all three together")
		})
	}
}

// Failures of earlier troubles do not count against a request that has waited for
// a slot since.
func TestProbesOfAnotherTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := testBulkhead(2)
		old, err := b.Join()
		require.NoError(t, err)
		for range 3 {
			for range 2 {
				require.NoError(t, b.pass(t.Context(), unavailable))
			}
			require.NoError(t, b.pass(t.Context(), answered))
		}
		require.NoError(t, b.pass(t.Context(), unavailable))
		require.NoError(t, old.Await(t.Context()))
	})
}

// If the owner of a probe gives up, or does not send it in time, another request soon
// becomes the probe, and no request fails because of that.
func TestProbeIsNotLostWithItsOwner(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		owner func(ctx context.Context, t *testing.T, turn *Turn)
		wait  time.Duration // for the next, from when the owner was let through
	}{
		"leaves":  {func(context.Context, *testing.T, *Turn) {}, 0},
		"dawdles": {func(ctx context.Context, _ *testing.T, _ *Turn) { clock.Sleep(ctx, time.Hour) }, scoutGrace},
		"does not wait": {func(ctx context.Context, t *testing.T, turn *Turn) {
			assert.NoError(t, turn.Send(ctx, taking(time.Second, Outcome{})))
		}, time.Second + retryWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := testBulkhead(0)
				require.NoError(t, b.pass(t.Context(), unavailable))
				owner, err := b.Join()
				require.NoError(t, err)
				require.NoError(t, owner.Await(t.Context()))
				start := time.Now()
				var group sync.WaitGroup
				group.Go(func() {
					test.owner(t.Context(), t, owner)
					owner.Leave()
				})
				synctest.Wait()
				require.NoError(t, b.pass(t.Context(), answered))
				require.Equal(t, test.wait, time.Since(start))
				group.Wait()
			})
		})
	}
	t.Run("comes too late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := testBulkhead(2)
			require.NoError(t, b.pass(t.Context(), unavailable))
			late, err := b.Join()
			require.NoError(t, err)
			require.NoError(t, late.Await(t.Context()))
			assert.True(t, clock.Sleep(t.Context(), scoutGrace))
			var group sync.WaitGroup
			under := 0
			roundTrip := func() Outcome {
				under++
				assert.Equal(t, 1, under, "one at a time")
				assert.True(t, clock.Sleep(t.Context(), time.Second))
				under--
				return unavailable()
			}
			group.Go(func() { assert.NoError(t, b.pass(t.Context(), roundTrip)) })
			synctest.Wait()
			require.NoError(t, late.Send(t.Context(), roundTrip))
			group.Wait()
		})
	})
}

// An answer to a request that was sent before does not end a pause that was asked for,
// but it does end trouble that was only observed.
func TestAnswerFromBefore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result Outcome
		over   bool
	}{"pause": {paused(time.Minute), false}, "trouble": {unavailable(), true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := testBulkhead(2)
				require.NoError(t, b.pass(t.Context(), answered))
				var group sync.WaitGroup
				group.Go(func() { assert.NoError(t, b.pass(t.Context(), taking(100*time.Millisecond, answered()))) })
				synctest.Wait()
				require.NoError(t, b.pass(t.Context(), taking(0, test.result)))
				group.Wait()
				start := time.Now()
				err := b.pass(t.Context(), answered)
				if test.over {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, errTold)
				}
				require.Zero(t, time.Since(start))
			})
		})
	}
}

// Requests that fail together are one failure, and the longest pause counts.
func TestFailuresTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New("test endpoint", Limits{Slots: 20, Line: 20}, 2)
		require.NoError(t, b.pass(t.Context(), answered))
		fail := func(last Outcome) {
			var group sync.WaitGroup
			for i := range 10 {
				result := unavailable()
				if i == 9 {
					result = last
				}
				group.Go(func() {
					assert.NoError(t, b.pass(t.Context(), taking(time.Second+time.Duration(i)*time.Nanosecond, result)))
				})
			}
			group.Wait()
		}
		fail(unavailable())
		start := time.Now()
		require.NoError(t, b.pass(t.Context(), answered))
		require.LessOrEqual(t, time.Since(start), retryWait)
		fail(paused(time.Minute))
		require.ErrorIs(t, b.pass(t.Context(), answered), errTold)
	})
}

// A context that ends while a request waits, for its turn or for a slot, ends the
// wait, and that is told from the failures of others.
func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := testBulkhead(2)
		require.NoError(t, b.pass(t.Context(), answered))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { assert.NoError(t, b.pass(t.Context(), taking(time.Minute, unavailable()))) })
		}
		synctest.Wait()
		err := b.pass(ctx, answered) // there is no slot
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, metadata.ErrUnavailable)
		group.Wait()
		group.Go(func() { assert.NoError(t, b.pass(t.Context(), taking(time.Minute, answered()))) })
		assert.True(t, clock.Sleep(t.Context(), time.Second))
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = b.pass(ctx, answered) // there is a probe
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, errTold)
		group.Wait()
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for try, most := range map[int]time.Duration{
		0: 250 * time.Millisecond, 1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 4: 4 * time.Second, 5: 4 * time.Second, 20: 4 * time.Second,
	} {
		different := make(map[time.Duration]bool)
		for range 200 {
			wait := Backoff(try, 0)
			require.GreaterOrEqual(t, wait, most/2)
			require.Less(t, wait, most)
			different[wait] = true
		}
		require.Greater(t, len(different), 10, "not random")
		require.Equal(t, 4*time.Second, Backoff(try, time.Hour))
	}
	require.Equal(t, 3*time.Second, Backoff(0, 3*time.Second))
}

func TestBackoffOfManyTries(t *testing.T) {
	t.Parallel()
	for _, try := range []int{30, 40, 63, 64, 100} { // TokenRetries has no upper limit
		require.NotPanics(t, func() { Backoff(try, 0) }, "try %d", try)
		require.Positive(t, Backoff(try, 0), "try %d", try)
	}
}
