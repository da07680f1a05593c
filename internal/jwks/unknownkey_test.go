package jwks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// rotate makes the issuer publish these keys.
func (i *issuer) rotate(kids ...string) {
	i.change(func() { i.sets[keysURL] = jwkSet(kids...) })
}

// spend is what strangers do: they make kids up until nothing is asked any more.
func spend(t testing.TB, i *issuer, set *KeySet) {
	t.Helper()
	for n := range 60 {
		asked := i.count(keysURL)
		_, _, err := set.Keys(context.Background(), fmt.Sprint("made-up-", n))
		if i.count(keysURL) == asked {
			require.ErrorIs(t, err, ErrUnavailable)
			return
		}
		require.ErrorIs(t, err, ErrUnknownKey)
	}
	t.Fatal("there is no end to the fetches")
}

// What becomes of a caller with the key "b", which the set with "a" does not have.
// Not asked is not absent.
func TestNotAskedIsNotAbsent(t *testing.T) {
	t.Parallel()
	const elsewhere = issuerURL + "/other-keys"
	for name, test := range map[string]struct {
		prepare  func(t *testing.T, i *issuer, set *KeySet)
		want     error // nil: served
		waits    time.Duration
		requests int // for keys
	}{
		"the issuer lacks it": {
			want: ErrUnknownKey, requests: 1,
		},
		"the issuer has it": {
			prepare:  func(_ *testing.T, i *issuer, _ *KeySet) { i.rotate("a", "b") },
			requests: 1,
		},
		"strangers have spent the allowance, then it was published": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) { spend(t, i, set); i.rotate("a", "b") },
			want:    ErrUnavailable,
		},
		"the same, a second later": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				spend(t, i, set)
				i.rotate("a", "b")
				wait(time.Second)
			},
			want: ErrUnavailable,
		},
		"the same, when the next fetch is near": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				spend(t, i, set)
				i.rotate("a", "b")
				wait(unknownInterval - 3*time.Second)
			},
			waits: 3 * time.Second, requests: 1,
		},
		"the same, when the next fetch is permitted": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				spend(t, i, set)
				i.rotate("a", "b")
				wait(unknownInterval)
			},
			requests: 1,
		},
		"nobody can tell, since the allowance is spent": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) { spend(t, i, set) },
			want:    ErrUnavailable,
		},
		"it was asked for, lacked, and published since": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				requireError(t, set, "b", ErrUnknownKey)
				spend(t, i, set)
				i.rotate("a", "b")
			},
			want: ErrUnavailable,
		},
		"a fetch was under way when it was published": {
			prepare: func(_ *testing.T, i *issuer, set *KeySet) {
				i.change(func() { i.delay = time.Second })
				go func() { _, _, _ = set.Keys(context.Background(), "made-up") }()
				synctest.Wait()
				i.rotate("a", "b")
			},
			// The rest of that fetch is for the metadata, and then comes one of our own.
			waits: 3 * time.Second, requests: 1,
		},
		"a fetch in the background was under way when it was published": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				wait(freshness)
				i.change(func() { i.delay = time.Second })
				requireKnown(t, set, "a")
				synctest.Wait()
				i.rotate("a", "b")
			},
			waits: 2 * time.Second, requests: 1,
		},
		"the fetch fails": {
			prepare: func(_ *testing.T, i *issuer, _ *KeySet) {
				i.rotate("a", "b")
				i.change(func() { i.status[keysURL] = http.StatusBadGateway })
			},
			want: ErrUnavailable, requests: 1,
		},
		"the last fetch failed a moment ago": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				i.change(func() { i.status[keysURL] = http.StatusBadGateway })
				requireError(t, set, "b", ErrUnavailable)
				i.change(func() { delete(i.status, keysURL) })
				i.rotate("a", "b")
			},
			waits: time.Second, requests: 1,
		},
		"twenty fetches have failed": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				i.change(func() { i.status[keysURL] = http.StatusBadGateway })
				for range 20 {
					requireError(t, set, "b", ErrUnavailable)
					wait(longestPause)
				}
				i.change(func() { delete(i.status, keysURL) })
				i.rotate("a", "b")
			},
			requests: 1,
		},
		"the issuer has withdrawn it": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				i.rotate("a", "b")
				requireKnown(t, set, "b")
				i.rotate("a")
				wait(time.Minute)
				spend(t, i, set)
			},
			want: ErrUnknownKey,
		},
		"the issuer had withdrawn it and has it again": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				i.rotate("a", "b")
				requireKnown(t, set, "b")
				i.rotate("a")
				wait(time.Minute)
				spend(t, i, set)
				i.rotate("a", "b")
				wait(unknownInterval)
			},
			requests: 1,
		},
		"the issuer had withdrawn it a while ago and does not answer": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				i.rotate("a", "b")
				requireKnown(t, set, "b")
				i.rotate("a")
				requireError(t, set, "made-up", ErrUnknownKey)
				wait(absentFor)
				i.change(func() { i.status[keysURL] = http.StatusBadGateway })
				requireError(t, set, "made-up", ErrUnavailable)
				wait(firstPause)
				requireError(t, set, "made-up", ErrUnavailable)
				wait(2 * firstPause)
				requireError(t, set, "made-up", ErrUnavailable) // the next pause is beyond patience
			},
			want: ErrUnavailable,
		},
		"strangers have spent the allowance, then the keys moved": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				spend(t, i, set)
				i.change(func() { i.jwksURI = elsewhere; i.sets[elsewhere] = jwkSet("a", "b") })
				wait(unknownInterval)
			},
			requests: 2,
		},
		"the keys moved, and a renewal in the background does not look for that": {
			prepare: func(t *testing.T, i *issuer, set *KeySet) {
				spend(t, i, set)
				i.change(func() {
					i.jwksURI, i.sets[elsewhere] = elsewhere, jwkSet("a", "b")
					i.delays[keysURL] = 2500 * time.Millisecond
				})
				wait(unknownInterval - 3*time.Second)
				go func() {
					wait(time.Second)
					set.mu.Lock()
					defer set.mu.Unlock()
					set.start(time.Now(), "")
				}()
			},
			waits: 6 * time.Second, requests: 3,
		},
		"the metadata cannot be had": {
			prepare: func(_ *testing.T, i *issuer, _ *KeySet) {
				i.change(func() { i.status[metadataURL] = http.StatusBadGateway })
			},
			want: ErrUnavailable, requests: 1,
		},
		"the metadata cannot be had, and the issuer has it": {
			prepare: func(_ *testing.T, i *issuer, _ *KeySet) {
				i.rotate("a", "b")
				i.change(func() { i.status[metadataURL] = http.StatusBadGateway })
			},
			requests: 1,
		},
		"a stranger's fetch brings it, and goes on to metadata that are slow": {
			prepare: func(_ *testing.T, i *issuer, set *KeySet) {
				i.rotate("a", "b")
				i.change(func() { i.delays[metadataURL], i.delays[keysURL] = time.Hour, time.Second })
				go func() { _, _, _ = set.Keys(context.Background(), "made-up") }()
				synctest.Wait()
			},
			waits: time.Second,
		},
		"the issuer is silent": {
			prepare: func(_ *testing.T, i *issuer, _ *KeySet) { i.change(func() { i.delay = time.Hour }) },
			want:    ErrUnavailable, waits: fetchTimeout, requests: 1,
		},
		"the issuer is very slow": {
			prepare: func(_ *testing.T, i *issuer, set *KeySet) {
				i.change(func() { i.delay = 4 * time.Second })
				go func() { _, _, _ = set.Keys(context.Background(), "made-up") }()
				synctest.Wait()
			},
			want: ErrUnavailable, waits: longestWait, requests: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer("a")
				set := i.keySet(t)
				requireKnown(t, set, "a")
				wait(time.Minute)
				if test.prepare != nil {
					test.prepare(t, i, set)
				}
				asked, start := i.count(keysURL)+i.count(elsewhere), time.Now()
				if test.want == nil {
					requireKnown(t, set, "b")
				} else {
					requireError(t, set, "b", test.want)
				}
				require.Equal(t, test.waits, time.Since(start))
				require.Equal(t, test.requests, i.count(keysURL)+i.count(elsewhere)-asked)
				start = time.Now()
				requireKnown(t, set, "a")
				require.Zero(t, time.Since(start), "a caller of a known key had to wait")
				set.Close()
			})
		})
	}
}

// Unknown keys cause two fetches at once and then one in five seconds, from a cold
// start, too; each asks for the metadata once.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	for _, cold := range []bool{false, true} {
		t.Run(fmt.Sprintf("cold=%v", cold), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer("a")
				set := i.keySet(t)
				if !cold {
					requireKnown(t, set, "a")
					wait(time.Minute)
				}
				fetches := func() (requests int) {
					before := i.count(keysURL)
					spend(t, i, set)
					return i.count(keysURL) - before
				}
				require.Equal(t, 2, fetches())
				require.Zero(t, fetches())
				requireKnown(t, set, "a")
				for range 5 {
					wait(unknownInterval)
					require.Equal(t, 1, fetches())
				}
				// The allowance does not grow beyond the burst.
				wait(5 * time.Minute)
				require.Equal(t, 2, fetches())
				require.LessOrEqual(t, i.count(metadataURL), i.count(keysURL))
				requireKnown(t, set, "a")
				set.Close()
			})
		})
	}
}

// While strangers make kids up without end, the issuer is asked as often as the bound
// says, known keys are served at once, and a key is served within five seconds after it
// was published, and never taken for a forged one.
func TestFlood(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				i := newIssuer("key-0")
				set := i.keySet(t)
				requireKnown(t, set, "key-0")
				i.change(func() { i.delay = time.Duration(random.IntN(300)) * time.Millisecond })
				var n atomic.Int64
				start, asked := time.Now(), i.count(keysURL)
				stop := crowd(set, func() string { return fmt.Sprint("made-up-", n.Add(1)) })
				defer stop()
				kids := []string{"key-0"}
				for rotation := range 10 {
					wait(time.Duration(random.IntN(15_000)) * time.Millisecond)
					at := time.Now()
					requireKnown(t, set, kids[rotation])
					require.Zero(t, time.Since(at))
					kids = append(kids, fmt.Sprint("key-", rotation+1))
					i.rotate(kids...)
					at = time.Now()
					for {
						keys, _, err := set.Keys(t.Context(), kids[rotation+1])
						if err == nil {
							require.Len(t, keys, 1)
							break
						}
						require.NotErrorIs(t, err, ErrUnknownKey)
						require.ErrorIs(t, err, ErrUnavailable)
						wait(100 * time.Millisecond)
					}
					require.LessOrEqual(t, time.Since(at), unknownInterval+time.Second)
				}
				stop()
				bound := unknownBurst + int(time.Since(start)/unknownInterval)
				require.LessOrEqual(t, i.count(keysURL)-asked, bound)
				require.LessOrEqual(t, i.count(metadataURL)-1, bound)
				set.Close()
			})
		})
	}
}

// A key that is new and a fetch that fails, again and again: a caller who comes back
// three times, a second apart, loses nothing, as long as no second fetch fails. That
// is what the soak test of internal/benchmarks/load does; fetches that failed used the
// allowance up.
func TestRotationsWithFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("key-0")
		set := i.keySet(t)
		requireKnown(t, set, "key-0")
		lost := 0
		for rotation := range 40 {
			wait(45 * time.Second)
			kid := fmt.Sprint("key-", rotation+1)
			i.rotate(kid)
			i.change(func() { i.status[keysURL] = http.StatusBadGateway })
			for attempt := 0; ; attempt++ {
				_, _, err := set.Keys(t.Context(), kid)
				i.change(func() { delete(i.status, keysURL) })
				if err == nil {
					break
				}
				if !errors.Is(err, ErrUnavailable) || attempt == 3 {
					lost++
					break
				}
				wait(time.Second)
			}
		}
		require.Zero(t, lost)
		set.Close()
	})
}

// Those who wait are bounded in number, and one who gives up does so at once.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		spend(t, i, set)
		wait(unknownInterval - patience)
		i.rotate("a", "b")
		var served atomic.Int64
		var all sync.WaitGroup
		for range maxWaiting {
			all.Go(func() {
				if _, _, err := set.Keys(context.Background(), "b"); err == nil {
					served.Add(1)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		requireError(t, set, "b", ErrUnavailable)
		require.Zero(t, time.Since(start))
		requireKnown(t, set, "a")
		all.Wait()
		require.EqualValues(t, maxWaiting, served.Load())
		require.Equal(t, patience, time.Since(start))
		require.Zero(t, set.waiting)
		set.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		spend(t, i, set)
		wait(unknownInterval - patience)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := set.Keys(ctx, "b")
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))

		failed := make(chan error)
		go func() {
			_, _, err := set.Keys(context.Background(), "b")
			failed <- err
		}()
		synctest.Wait()
		set.Close()
		require.ErrorIs(t, <-failed, ErrUnavailable)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// Withdrawn keys are remembered, but not without end.
func TestWithdrawnKeysAreBounded(t *testing.T) {
	t.Parallel()
	i := newIssuer("key-0")
	set := i.keySet(t)
	for n := range 3 * maxWithdrawn {
		found, err := parseSet([]byte(jwkSet(fmt.Sprint("key-", n))))
		require.NoError(t, err)
		set.store(found, keysURL, time.Now())
	}
	require.Len(t, set.current.Load().withdrawn, maxWithdrawn)
	require.True(t, set.current.Load().hasWithdrawn(fmt.Sprint("key-", 3*maxWithdrawn-2), time.Now()))
}

// Who is not told whether a key exists is told why, so that an operator sees an outage.
func TestWhyNobodyKnows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("a")
		set := i.keySet(t)
		requireKnown(t, set, "a")
		spend(t, i, set)
		requireError(t, set, "b", errNotAsked)
		i.change(func() { i.status[keysURL] = http.StatusBadGateway })
		wait(unknownInterval)
		var err error
		for range 4 { // until the pause is beyond patience
			_, _, err = set.Keys(t.Context(), "b")
			require.ErrorContains(t, err, "status 502")
		}
		require.NotErrorIs(t, err, errNotAsked)
		i.change(func() { delete(i.status, keysURL) })
		wait(unknownInterval)
		requireError(t, set, "b", ErrUnknownKey)
		spend(t, i, set)
		requireError(t, set, "b", errNotAsked)
		set.Close()
	})
}

// A set says for half a minute which keys the issuer has withdrawn, and a version of the
// set knows them until the issuer has them again.
func TestWithdrawnKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := newIssuer().keySet(t)
		store := func(kids ...string) {
			found, err := parseSet([]byte(jwkSet(kids...)))
			require.NoError(t, err)
			set.store(found, keysURL, time.Now())
		}
		withdrawn := func(kid string) bool { return set.current.Load().hasWithdrawn(kid, time.Now()) }
		store("a", "b")
		require.False(t, withdrawn("b"))
		require.False(t, withdrawn("made-up"))
		store("a")
		require.True(t, withdrawn("b"))
		require.False(t, withdrawn("a"))
		require.False(t, withdrawn("made-up"))
		wait(absentFor - 1)
		require.True(t, withdrawn("b"))
		wait(1)
		require.False(t, withdrawn("b"), "the set is old")
		store("a")
		require.True(t, withdrawn("b"), "the same set, fetched again")
		store("c")
		require.True(t, withdrawn("a"))
		require.True(t, withdrawn("b"), "from before the last change")
		store("b")
		require.False(t, withdrawn("b"))
	})
}

// No key of a set is without a kid, so nobody is asked for one.
func TestNoKeyID(t *testing.T) {
	t.Parallel()
	set := &KeySet{} // which cannot ask anybody
	_, _, err := set.Keys(t.Context(), "")
	require.ErrorIs(t, err, ErrUnknownKey)
}
