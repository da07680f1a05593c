package selvbetjening_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/testkit"
)

// mishap is what happens to a request.
type mishap struct {
	status     int // zero: there is no answer
	processed  bool
	retryAfter string
	body       string // empty means an object
}

// fault is a mishap of all requests from a given one on.
type fault struct {
	mishap
	from int64
	path string // that of the requests; empty means all

	seen atomic.Int64
	last atomic.Int64 // when, in Unix nanoseconds
}

// roundTrip is that of a transport with the fault, or of the transport alone for nil.
func (f *fault) roundTrip(transport http.RoundTripper, request *http.Request) (*http.Response, error) {
	if f == nil || !strings.HasSuffix(request.URL.Path, f.path) {
		return transport.RoundTrip(request)
	}
	f.last.Store(time.Now().UnixNano())
	if f.seen.Add(1) < f.from {
		return transport.RoundTrip(request)
	}
	if f.processed {
		response, err := transport.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
	}
	if f.status == 0 {
		<-request.Context().Done()
		return nil, request.Context().Err()
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if f.retryAfter != "" {
		header.Set("Retry-After", f.retryAfter)
	}
	return &http.Response{StatusCode: f.status, Header: header, Body: io.NopCloser(strings.NewReader(cmp.Or(f.body, "{}"))), Request: request}, nil
}

// inject puts a fault in the place of the one before. Nil is none.
func (w *rotationWorld) inject(fault *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

var saysWhatToDo = regexp.MustCompile(`check|try again|next try`)

// Whether HelseID refuses, hangs or is down at any step, and whether it has done what it
// was asked to or not, the error says what to do, no call is lost afterwards, and the next
// try succeeds with the same key.
func TestRotationFails(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]mishap{
		"refuses":                {status: http.StatusForbidden},
		"asks for a pause":       {status: http.StatusTooManyRequests, retryAfter: "2"},
		"is down":                {status: http.StatusServiceUnavailable},
		"hangs":                  {},
		"does it and is down":    {status: http.StatusServiceUnavailable, processed: true},
		"does it and hangs":      {processed: true},
		"does it and says other": {status: http.StatusBadRequest, processed: true},
	} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, old keys die: %v", name, dies), func(t *testing.T) {
				t.Parallel()
				for step := int64(1); ; step++ {
					require.Less(t, step, int64(20))
					if !failAt(t, step, &fault{mishap: kind, from: step}, dies) {
						require.Greater(t, step, int64(5))
						return
					}
				}
			})
		}
	}
}

// failAt makes HelseID fail from a request on, and reports whether that stopped a rotation.
func failAt(t *testing.T, step int64, from *fault, dies bool) (failed bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: dies})
		r := w.rotation(t)
		holding := r.Client().TokenSource(helseid.TokenRequest{Scopes: []string{otherScope}})
		_, err := holding.Token(t.Context())
		require.NoError(t, err)
		old, _ := r.Client().KeyExpiry(t.Context())
		w.inject(from)
		err = r.Rotate(t.Context())
		_, callErr := holding.Token(t.Context())
		require.NoError(t, callErr, "step %d", step)
		w.inject(nil)
		if failed = err != nil; failed {
			require.ErrorIs(t, err, selvbetjening.ErrRotation)
			require.Regexp(t, saysWhatToDo, err.Error())
			testkit.Sleep(time.Minute)
			used := kidInUse(t, r.Client())
			require.True(t, dies || used == old, "step %d", step)
			if used == old || w.stored(t).Pending != nil {
				require.NoError(t, r.Rotate(t.Context()), "step %d", step)
			}
		}
		require.NotEqual(t, old, kidInUse(t, r.Client()), "step %d", step)
		require.Equal(t, map[bool]int{false: 2, true: 1}[dies], w.registered(), "step %d", step)
		require.Nil(t, w.stored(t).Pending)
	})
	return failed
}

// When an upload has been done and is not answered, and the list cannot be read, calls
// without a token find out that the pending key works, and do not wait for the next try.
func TestCallsAfterAnUnknownUpload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: true})
		r := w.rotation(t)
		old := kidInUse(t, r.Client())
		w.inject(&fault{path: "/client-secret", from: 2, mishap: mishap{processed: true}})
		var group sync.WaitGroup
		group.Go(func() {
			require.NoError(t, r.Rotate(t.Context()), "the calls have found out")
		})
		for range 100 {
			start := time.Now()
			kidInUse(t, r.Client())
			require.Less(t, time.Since(start), 3*time.Second)
			testkit.Sleep(time.Second)
		}
		group.Wait()
		require.NotEqual(t, old, kidInUse(t, r.Client()))
		require.Equal(t, w.stored(t).Current.ID(), kidInUse(t, r.Client()))
		require.Equal(t, 1, w.count(helseid.EventKeyReplaced))
	})
}

// When another process has ended after it has registered a key that HelseID does not know
// everywhere yet, a call of this one waits for that, and is served with it.
func TestCallWaitsForAnotherProcessesKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: true, KeyDelay: 15 * time.Second})
		r := w.rotation(t)
		old := kidInUse(t, r.Client())
		ending := w.rotation(t, func(config *selvbetjening.RotationConfig) { config.Settle, config.VerifyTimeout = -1, time.Second })
		require.Error(t, ending.Rotate(t.Context()))
		ending.Close()
		start := time.Now()
		require.NotEqual(t, old, kidInUse(t, r.Client()))
		require.Greater(t, time.Since(start), 10*time.Second)
		require.Less(t, time.Since(start), 20*time.Second)
		require.Nil(t, w.stored(t).Pending, "and it is saved that the key works")
	})
}

// What HelseID says in words is in the error, and neither in the event nor in the log.
func TestFailuresAreToldWithoutWords(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"/client-secret": `{"title":"Sykehuset Solsikke"}`,
		"/token":         `{"error":"invalid_scope","error_description":"Sykehuset Solsikke"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, helseidtest.Selvbetjening{})
				r := w.rotation(t)
				w.inject(&fault{path: name, from: 1, mishap: mishap{status: http.StatusBadRequest, body: body}})
				err := r.Rotate(t.Context())
				require.ErrorIs(t, err, selvbetjening.ErrRotation)
				require.ErrorContains(t, err, "Sykehuset")
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { r.Run(ctx) })
				testkit.Sleep(10 * time.Second)
				cancel()
				group.Wait()
				require.NotContains(t, w.log.String(), "Sykehuset")
				w.mu.Lock()
				defer w.mu.Unlock()
				failed := w.events[len(w.events)-1]
				require.Equal(t, helseid.EventKeyFailed, failed.Kind)
				require.ErrorIs(t, failed.Err, selvbetjening.ErrRotation)
				require.NotContains(t, fmt.Sprintf("%v %+v", failed.Err, failed.Err), "Sykehuset")
				var answer *selvbetjening.Error
				var refused *helseid.TokenError
				require.True(t, errors.As(failed.Err, &answer) || errors.As(failed.Err, &refused))
				require.NotContains(t, fmt.Sprint(answer, refused), "Sykehuset")
			})
		})
	}
}

// A pause that HelseID asks for is kept, unless the key would expire.
func TestRotationKeepsToRetryAfter(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]time.Duration{
		"1800": 30 * time.Minute, "0": time.Minute, "86400": time.Hour,
	} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, helseidtest.Selvbetjening{})
				r := w.rotation(t)
				failing := &fault{path: "/client-secret", from: 1, mishap: mishap{status: http.StatusServiceUnavailable, retryAfter: asked}}
				w.inject(failing)
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { r.Run(ctx) })
				testkit.Sleep(10 * time.Second)
				require.EqualValues(t, 1, failing.seen.Load())
				first := failing.last.Load()
				testkit.Sleep(want - 11*time.Second)
				require.EqualValues(t, 1, failing.seen.Load())
				testkit.Sleep(5 * time.Second)
				require.EqualValues(t, 2, failing.seen.Load())
				require.InDelta(t, float64(want), float64(failing.last.Load()-first), float64(2*time.Second))
				cancel()
				group.Wait()
			})
		})
	}
}

// Keys that HelseID lists and the store never held are reported once, with their expiry.
func TestOrphansAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRotationWorld(t, helseidtest.Selvbetjening{})
		r := w.rotation(t)
		self, err := selvbetjening.New(selvbetjening.Config{Client: r.Client(), BaseURL: w.server.SelvbetjeningURL()})
		require.NoError(t, err)
		stray := newKey(t)
		expiry, err := self.AddClientSecret(t.Context(), stray)
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, r.Rotate(t.Context()))
		}
		orphans := func() (found []helseid.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, event := range w.events {
				if event.Kind == helseid.EventKeyOrphan {
					found = append(found, event)
				}
			}
			return found
		}
		require.Len(t, orphans(), 1, "and none of the keys that were replaced")
		require.Equal(t, stray.ID(), orphans()[0].KeyID)
		require.True(t, expiry.Equal(orphans()[0].Expiry))
		require.NotEmpty(t, orphans()[0].ClientID)
		require.Contains(t, w.log.String(), "orphan_kid="+stray.ID())
		require.Contains(t, w.log.String(), "orphan_expiry="+expiry.Format("2006-01-02"))
		require.Len(t, w.stored(t).Replaced, 3)

		restarted := w.rotation(t)
		require.NoError(t, restarted.Rotate(t.Context()))
		require.Len(t, orphans(), 2, "each process tells of it")
	})
}

// A store that has gone back to an earlier state, or lost everything, is given the key in
// use; a key that somebody has put there and that works is used.
func TestStoreGoesBack(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("old keys die: %v", dies), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: dies})
				before, err := os.ReadFile(w.store.Path)
				require.NoError(t, err)
				r := w.rotation(t)
				old := kidInUse(t, r.Client())
				require.NoError(t, r.Rotate(t.Context()))
				kid := kidInUse(t, r.Client())
				require.NoError(t, os.WriteFile(w.store.Path, before, 0o600))
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { r.Run(ctx) })
				testkit.Sleep(time.Minute)
				want := map[bool]string{false: old, true: kid}[dies]
				require.Equal(t, want, kidInUse(t, r.Client()))
				require.Equal(t, want, w.stored(t).Current.ID())
				cancel()
				group.Wait()
			})
		})
	}
	t.Run("to nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newRotationWorld(t, helseidtest.Selvbetjening{})
			alone := selvbetjening.FileStore{Path: filepath.Join(t.TempDir(), "keys.json")}
			r := w.rotation(t, func(config *selvbetjening.RotationConfig) { config.Store = alone })
			require.NoError(t, r.Rotate(t.Context()))
			kid := kidInUse(t, r.Client())
			require.NoError(t, os.Remove(alone.Path))
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { r.Run(ctx) })
			testkit.Sleep(time.Minute)
			cancel()
			group.Wait()
			stored, err := alone.Load(t.Context())
			require.NoError(t, err)
			require.Equal(t, kid, stored.Current.ID())
		})
	})
}

// Without a lock, the store alone sees to it that instances make one key.
func TestInstancesWithoutALock(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("old keys die: %v", dies), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, helseidtest.Selvbetjening{OldKeysDie: dies})
				var group sync.WaitGroup
				var ready sync.WaitGroup
				ready.Add(3)
				var instances []*selvbetjening.Rotation
				for range 3 {
					r := w.rotation(t)
					r.MakeKeysWith(func(kind clientassertion.KeyKind) (*clientassertion.Key, error) {
						ready.Done() // each has seen that there is none
						ready.Wait()
						return clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: kind})
					})
					instances = append(instances, r)
				}
				for _, r := range instances {
					group.Go(func() { require.NoError(t, r.Rotate(t.Context())) })
				}
				group.Wait()
				for _, r := range instances {
					require.Equal(t, w.stored(t).Current.ID(), kidInUse(t, r.Client()))
				}
				require.Nil(t, w.stored(t).Pending)
				require.Equal(t, map[bool]int{false: 2, true: 1}[dies], w.registered(), w.log.String())
				require.Zero(t, w.count(helseid.EventKeyOrphan))
			})
		})
	}
}
