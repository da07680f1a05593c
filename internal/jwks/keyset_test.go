package jwks

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/metadata"
)

// A set is used as it is for ten minutes, and then renewed in the background,
// while callers go on with the old one.
func TestFreshness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		require.Zero(t, set.Generation())
		requireKnown(t, set, "a")
		require.Equal(t, 1, i.count(keysURL))
		wait(freshness - time.Second)
		requireKnown(t, set, "a")
		synctest.Wait()
		require.Equal(t, 1, i.count(keysURL))

		i.change(func() { i.delay = 3 * time.Second })
		wait(time.Second)
		start := time.Now()
		requireKnown(t, set, "a")
		require.Zero(t, time.Since(start), "a caller of a known key had to wait")
		requireKnown(t, set, "a")
		wait(4 * time.Second)
		requireKnown(t, set, "a")
		require.Equal(t, 2, i.count(keysURL))
		wait(freshness - 5*time.Second)
		requireKnown(t, set, "a")
		synctest.Wait()
		require.Equal(t, 2, i.count(keysURL))
		set.Close()
	})
}

// Who does not rely on the keys learns their generation, and causes no request.
func TestLastGeneration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		require.Zero(t, set.LastGeneration())
		generation := requireKnown(t, set, "a")
		requests := i.total()
		wait(maxStale - time.Second)
		require.Equal(t, generation, set.LastGeneration())
		wait(time.Second)
		require.Zero(t, set.LastGeneration())
		synctest.Wait()
		require.Equal(t, requests, i.total())
		set.Close()
	})
}

// A key that has been added is found by the first who needs it.
func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		first := requireKnown(t, set, "a")
		require.Equal(t, first, set.Generation())
		wait(time.Minute)
		i.change(func() { i.sets[keysURL] = jwkSet("a", "b") })
		second := requireKnown(t, set, "b")
		require.Greater(t, second, first)
		require.Equal(t, second, requireKnown(t, set, "a"))
		require.Equal(t, 2, i.count(keysURL))

		// A key that has been taken away is unknown from the next fetch on, and
		// an unchanged set stays the same generation.
		i.change(func() { i.sets[keysURL] = jwkSet("b") })
		wait(freshness)
		requireKnown(t, set, "b")
		synctest.Wait()
		third := requireKnown(t, set, "b")
		require.Greater(t, third, second)
		requireError(t, set, "a", ErrUnknownKey)
		require.Equal(t, third, set.Generation())
		set.Close()
	})
}

// A set that has moved is found: when the old place is empty, and when it lacks
// the key.
func TestMoved(t *testing.T) {
	t.Parallel()
	const elsewhere = issuerURL + "/other-keys"
	for name, prepare := range map[string]func(i *issuer){
		"404":         func(i *issuer) { delete(i.sets, keysURL) },
		"410":         func(i *issuer) { i.status[keysURL] = http.StatusGone },
		"unknown kid": func(*issuer) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer("a")
				set := i.keySet(t)
				requireKnown(t, set, "a")
				i.change(func() {
					i.jwksURI = elsewhere
					i.sets[elsewhere] = jwkSet("a", "b")
					prepare(i)
				})
				wait(time.Minute)
				requireKnown(t, set, "b")
				require.Equal(t, 2, i.count(metadataURL))
				require.Equal(t, 1, i.count(elsewhere))
				// From now on only the new place is asked.
				old := i.count(keysURL)
				wait(freshness)
				requireKnown(t, set, "b")
				synctest.Wait()
				require.Equal(t, old, i.count(keysURL))
				require.Equal(t, 2, i.count(elsewhere))
				set.Close()
			})
		})
	}
	t.Run("in the background", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			i := newIssuer("a")
			set := i.keySet(t)
			requireKnown(t, set, "a")
			i.change(func() {
				i.jwksURI = elsewhere
				delete(i.sets, keysURL)
				i.sets[elsewhere] = jwkSet("a")
			})
			wait(freshness)
			requireKnown(t, set, "a")
			synctest.Wait()
			require.Equal(t, 1, i.count(elsewhere))
			set.Close()
		})
	})
	t.Run("a new place that does not work", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			i := newIssuer("a")
			set := i.keySet(t)
			requireKnown(t, set, "a")
			i.change(func() { i.jwksURI = elsewhere })
			wait(6 * time.Minute)
			requireError(t, set, "b", ErrUnavailable)
			requireKnown(t, set, "a")
			set.Close()
		})
	})
}

// An outage does not touch known keys for a day; whether an unknown one exists
// cannot be told.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(i *issuer){
		"status 500": func(i *issuer) { i.status[keysURL] = http.StatusInternalServerError },
		"status 403": func(i *issuer) { i.status[keysURL] = http.StatusForbidden },
		"redirect":   func(i *issuer) { i.status[keysURL] = http.StatusFound; i.sets[keysURL+"/elsewhere"] = jwkSet("b") },
		"not JSON":   func(i *issuer) { i.sets[keysURL] = "<html>" },
		"no keys":    func(i *issuer) { i.sets[keysURL] = `{"keys":[]}` },
		"timeout":    func(i *issuer) { i.delay = time.Minute },
		"not found":  func(i *issuer) { delete(i.sets, keysURL) },
		"too large":  func(i *issuer) { i.sets[keysURL] = `{"keys":[],"x":"` + string(make([]byte, 1<<20)) + `"}` },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer("a")
				set := i.keySet(t)
				requireKnown(t, set, "a")
				i.change(func() { outage(i) })
				for range 23 {
					wait(time.Hour)
					start := time.Now()
					requireKnown(t, set, "a")
					require.Zero(t, time.Since(start))
					requireError(t, set, "b", ErrUnavailable)
				}
				require.Zero(t, i.count(keysURL+"/elsewhere"), "a redirect was followed")
				wait(58*time.Minute - 23*10*time.Second) // timeouts took their time
				requireKnown(t, set, "a")
				wait(10 * time.Minute)
				requireError(t, set, "a", ErrUnavailable)
				require.Zero(t, set.Generation())
				i.change(func() {
					i.delay = 0
					i.status = map[string]int{}
					i.sets[keysURL] = jwkSet("a", "b")
				})
				wait(time.Minute)
				requireKnown(t, set, "b")
				set.Close()
			})
		})
	}
}

// While HelseID is down and there are no keys, it is asked after one second, two
// and then every four, however many tokens come.
func TestColdOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		i.status[keysURL] = http.StatusInternalServerError
		set := i.keySet(t)
		stop := crowd(set, func() string { return "a" })
		defer stop()
		for _, pause := range []time.Duration{0, 1, 2, 4, 4, 4} {
			before := i.count(keysURL)
			if pause > 0 {
				wait(pause*time.Second - time.Millisecond)
				synctest.Wait()
				require.Equal(t, before, i.count(keysURL))
				wait(time.Millisecond)
			}
			synctest.Wait()
			require.Equal(t, max(1, before+min(1, int(pause))), i.count(keysURL))
		}
		i.change(func() { delete(i.status, keysURL) })
		wait(time.Second)
		requireKnown(t, set, "a")
		stop()
		set.Close()
	})
}

// A failed renewal in the background is not tried again at once.
func TestRenewalBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		i.change(func() { i.status[keysURL] = http.StatusInternalServerError })
		wait(freshness)
		for range 30 {
			requireKnown(t, set, "a")
			synctest.Wait()
			wait(time.Second)
		}
		require.Equal(t, 2, i.count(keysURL))
		requireKnown(t, set, "a")
		synctest.Wait()
		require.Equal(t, 3, i.count(keysURL))
		set.Close()
	})
}

// A hundred callers at once share one fetch; those of known keys do not wait.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a", "b")
		i.delay = time.Second
		set := i.keySet(t)
		var found atomic.Int64
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				if keys, _, err := set.Keys(context.Background(), []string{"a", "b"}[n%2]); err == nil && len(keys) == 1 {
					found.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 100, found.Load())
		require.Equal(t, 1, i.count(keysURL))
		require.Equal(t, 1, i.count(metadataURL))

		go func() { _, _, _ = set.Keys(context.Background(), "unknown") }()
		synctest.Wait()
		start := time.Now()
		requireKnown(t, set, "a")
		require.Zero(t, time.Since(start))
		set.Close()
	})
}

// A caller who gives up gets an answer at once that is not about its token, and
// does not end the fetch for the others.
func TestCancelledCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		i.delay = 2 * time.Second
		set := i.keySet(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := set.Keys(ctx, "a")
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		requireKnown(t, set, "a")
		require.Equal(t, 1, i.count(keysURL))

		cancelled, stop := context.WithCancel(t.Context())
		stop()
		keys, _, err := set.Keys(cancelled, "a")
		require.NoError(t, err, "a known key needs no time")
		require.Len(t, keys, 1)
		set.Close()
	})
}

// The fetch is no caller's: it ends after five seconds.
func TestFetchTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		i.change(func() { i.delay = time.Hour })
		start := time.Now()
		requireError(t, set, "b", ErrUnavailable)
		require.Equal(t, fetchTimeout, time.Since(start))
		require.Equal(t, 2, i.count(keysURL), "there are no retries here")
		set.Close()
	})
}

// Close ends the fetch and leaves nothing running; a closed set starts nothing.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		i.delay = time.Hour
		set := i.keySet(t)
		failed := make(chan error)
		go func() {
			_, _, err := set.Keys(context.Background(), "a")
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		go set.Close()
		require.ErrorIs(t, <-failed, ErrUnavailable)
		require.Zero(t, time.Since(start))
		set.Close()
		requests := i.total()
		requireError(t, set, "a", ErrUnavailable)
		wait(firstPause)
		requireError(t, set, "a", ErrUnavailable)
		require.Equal(t, requests, i.total())
	})
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		set.Close()
		requests := i.total()
		requireError(t, set, "unknown", ErrUnavailable)
		wait(freshness)
		requireKnown(t, set, "a")
		synctest.Wait()
		require.Equal(t, requests, i.total())
	})
}

// Close waits for a fetch that does not end at once.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := &http.Client{Transport: stubborn{}}
		set := New(metadata.NewSource(issuerURL, client), client)
		go func() { _, _, _ = set.Keys(context.Background(), "a") }()
		synctest.Wait()
		start := time.Now()
		set.Close()
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

// stubborn takes three seconds to notice that nobody waits any more.
type stubborn struct{}

func (stubborn) RoundTrip(request *http.Request) (*http.Response, error) {
	<-request.Context().Done()
	wait(3 * time.Second)
	return nil, request.Context().Err()
}

// Close in the middle of the traffic leaves nothing running either.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	for range 300 {
		i := newIssuer("a")
		set := i.keySet(t)
		gate := make(chan struct{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				<-gate
				_, _, _ = set.Keys(context.Background(), "a")
			})
		}
		all.Go(func() { <-gate; set.Close() })
		close(gate)
		all.Wait()
		set.Close()
		requests := i.total()
		_, _, _ = set.Keys(context.Background(), "unknown")
		require.Equal(t, requests, i.total())
	}
}

// Metadata that cannot be had does not matter once it is known where the keys
// are.
func TestMetadataOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		snapshot := snapshotOf(t, i)
		i.status[metadataURL] = http.StatusInternalServerError
		set := i.keySet(t)
		require.NoError(t, set.Restore(snapshot, issuerURL))
		i.change(func() { i.sets[keysURL] = jwkSet("a", "b") })
		requireKnown(t, set, "b")
		set.Close()

		cold := i.keySet(t)
		requireError(t, cold, "a", ErrUnavailable)
		cold.Close()
	})
}

// A clock that was ahead when the set was fetched, and has been put right since,
// makes the set no younger: keys that the issuer has retired go as they would.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		ahead := *set.current.Load()
		ahead.fetchedAt = ahead.fetchedAt.Add(30 * 24 * time.Hour)
		set.current.Store(&ahead)
		generation := set.Generation()
		i.change(func() { i.sets[keysURL] = jwkSet("b") })
		wait(freshness)
		require.Equal(t, generation, set.Generation(), "the old set serves while it is renewed")
		synctest.Wait()
		require.NotEqual(t, generation, set.Generation())
		requireError(t, set, "a", ErrUnknownKey)
		set.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		ahead := *set.current.Load()
		ahead.fetchedAt = ahead.fetchedAt.Add(30 * 24 * time.Hour)
		set.current.Store(&ahead)
		i.change(func() { i.status[keysURL] = http.StatusInternalServerError })
		wait(maxStale)
		require.Zero(t, set.Generation())
		requireError(t, set, "a", ErrUnavailable)
		set.Close()
	})
}
