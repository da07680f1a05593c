package helseid

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errTold = errors.New("what others have found out")

func tellTrouble(time.Duration) error { return errTold }

func unavailable() outcome { return outcome{verdict: verdictUnavailable, told: tellTrouble} }

func answered() outcome { return outcome{verdict: verdictAnswered} }

func paused(wait time.Duration) outcome {
	return outcome{verdict: verdictThrottled, wait: wait, told: tellTrouble}
}

// taking is a round trip of this length.
func taking(d time.Duration, result outcome) func() outcome {
	return func() outcome {
		if !sleep(context.Background(), d) {
			return outcome{}
		}
		return result
	}
}

func testBulkhead(retries int) *bulkhead {
	return newBulkhead("test endpoint", bulkheadLimits{slots: 2, line: 10}, retries)
}

// pass goes through a bulkhead with one round trip.
func (b *bulkhead) pass(ctx context.Context, roundTrip func() outcome) error {
	turn, err := b.join()
	if err != nil {
		return err
	}
	defer turn.leave()
	if err := turn.await(ctx); err != nil {
		return err
	}
	return turn.send(ctx, roundTrip)
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
						assert.NoError(t, b.pass(t.Context(), func() outcome {
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
		for _, result := range []outcome{answered(), unavailable(), paused(3 * time.Second), {}} {
			turn, err := b.join()
			require.NoError(t, err)
			require.NoError(t, turn.await(t.Context()))
			require.NoError(t, turn.send(t.Context(), func() outcome {
				assert.Len(t, b.slots, 1)
				return result
			}))
			require.Empty(t, b.slots)
			done := make(chan struct{})
			go func() {
				assert.NoError(t, turn.await(t.Context()))
				close(done)
			}()
			synctest.Wait()
			require.Empty(t, b.slots)
			<-done
			turn.leave()
		}
		require.PanicsWithValue(t, "broken", func() { _ = b.pass(t.Context(), func() outcome { panic("broken") }) })
		require.Empty(t, b.slots)
		require.Zero(t, b.inside.Load())
		require.NoError(t, b.pass(t.Context(), answered))
	})
}

func TestFullLine(t *testing.T) {
	t.Parallel()
	b := testBulkhead(2)
	var turns []*turn
	for range 10 {
		turn, err := b.join()
		require.NoError(t, err)
		turns = append(turns, turn)
	}
	_, err := b.join()
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorIs(t, err, ErrUnavailable)
	turns[0].leave()
	_, err = b.join()
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
			assert.True(t, sleep(t.Context(), 500*time.Millisecond)) // it is on its way
			sent := 0
			for range 3 {
				group.Go(func() {
					turn, err := b.join()
					assert.NoError(t, err)
					defer turn.leave()
					for err = turn.await(t.Context()); err == nil; err = turn.await(t.Context()) {
						assert.NoError(t, turn.send(t.Context(), func() outcome { sent++; return unavailable() }))
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
		old, err := b.join()
		require.NoError(t, err)
		for range 3 {
			for range 2 {
				require.NoError(t, b.pass(t.Context(), unavailable))
			}
			require.NoError(t, b.pass(t.Context(), answered))
		}
		require.NoError(t, b.pass(t.Context(), unavailable))
		require.NoError(t, old.await(t.Context()))
	})
}

// A probe whose owner goes away, or does not get round to sending it, is soon
// somebody else's, and nobody fails for it.
func TestProbeIsNotLostWithItsOwner(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		owner func(ctx context.Context, t *testing.T, turn *turn)
		wait  time.Duration // for the next, from when the owner was let through
	}{
		"leaves":  {func(context.Context, *testing.T, *turn) {}, 0},
		"dawdles": {func(ctx context.Context, _ *testing.T, _ *turn) { sleep(ctx, time.Hour) }, scoutGrace},
		"does not wait": {func(ctx context.Context, t *testing.T, turn *turn) {
			assert.NoError(t, turn.send(ctx, taking(time.Second, outcome{})))
		}, time.Second + retryWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := testBulkhead(0)
				require.NoError(t, b.pass(t.Context(), unavailable))
				owner, err := b.join()
				require.NoError(t, err)
				require.NoError(t, owner.await(t.Context()))
				start := time.Now()
				var group sync.WaitGroup
				group.Go(func() {
					test.owner(t.Context(), t, owner)
					owner.leave()
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
			late, err := b.join()
			require.NoError(t, err)
			require.NoError(t, late.await(t.Context()))
			assert.True(t, sleep(t.Context(), scoutGrace))
			var group sync.WaitGroup
			under := 0
			roundTrip := func() outcome {
				under++
				assert.Equal(t, 1, under, "one at a time")
				assert.True(t, sleep(t.Context(), time.Second))
				under--
				return unavailable()
			}
			group.Go(func() { assert.NoError(t, b.pass(t.Context(), roundTrip)) })
			synctest.Wait()
			require.NoError(t, late.send(t.Context(), roundTrip))
			group.Wait()
		})
	})
}

// A pause that was asked for is not over because a request from before it is
// answered; a trouble that was found is.
func TestAnswerFromBefore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result outcome
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
		b := newBulkhead("test endpoint", bulkheadLimits{slots: 20, line: 20}, 2)
		require.NoError(t, b.pass(t.Context(), answered))
		fail := func(last outcome) {
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
		require.ErrorIs(t, err, ErrUnavailable)
		group.Wait()
		group.Go(func() { assert.NoError(t, b.pass(t.Context(), taking(time.Minute, answered()))) })
		assert.True(t, sleep(t.Context(), time.Second))
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = b.pass(ctx, answered) // there is a probe
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, errTold)
		group.Wait()
	})
}

// Those who share a refusal have an error each, and the time that is left.
func TestSharedRefusal(t *testing.T) {
	t.Parallel()
	refusal := &TokenError{Code: "slow_down", StatusCode: 429, Temporary: true, RetryAfter: time.Minute}
	told := shared(refusal)
	var one, other *TokenError
	require.ErrorAs(t, told(30*time.Second), &one)
	require.ErrorAs(t, told(20*time.Second), &other)
	require.NotSame(t, one, other)
	require.Equal(t, 30*time.Second, one.RetryAfter)
	require.Equal(t, 20*time.Second, other.RetryAfter)
	require.Equal(t, time.Minute, refusal.RetryAfter)
	require.Equal(t, "HelseID refused the request with status 429: it asks for a pause of 1m0s",
		(&TokenError{StatusCode: 429, Temporary: true, RetryAfter: time.Minute}).Error())
}

// What a round trip says about HelseID.
func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	broken := &attemptError{err: errors.Join(errOutcomeUnknown, ErrUnavailable), cause: context.DeadlineExceeded}
	for name, test := range map[string]struct {
		ctx    context.Context
		status int
		err    error
		want   verdict
	}{
		"success":            {t.Context(), 200, nil, verdictAnswered},
		"refusal":            {t.Context(), 400, nil, verdictAnswered},
		"redirect":           {t.Context(), 302, nil, verdictAnswered},
		"429":                {t.Context(), 429, nil, verdictThrottled},
		"429, caller gone":   {gone, 429, nil, verdictThrottled},
		"503":                {t.Context(), 503, nil, verdictUnavailable},
		"broken":             {t.Context(), 0, broken, verdictUnavailable},
		"broken by caller":   {gone, 0, broken, verdictNone},
		"could not be built": {t.Context(), 0, errors.New("no key"), verdictNone},
	} {
		got := outcomeOf(test.ctx, answer{status: test.status, endpoint: tokenEndpoint}, test.err)
		require.Equal(t, test.want, got.verdict, name)
		if test.err == broken && got.told != nil { // another request's fate is not this one's
			err := got.told(0)
			require.ErrorIs(t, err, ErrUnavailable)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, errOutcomeUnknown)
		}
	}
}
