package redisstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// slowRedis answers after a while, and records which uses shared a request.
type slowRedis struct {
	takes time.Duration

	mu        sync.Mutex
	batches   []int
	under, at int // requests under way: now, and at most
}

// question is a use that wants an answer.
type question struct{ answered bool }

func (s *slowRedis) send(_ context.Context, questions []*question) {
	s.mu.Lock()
	s.batches = append(s.batches, len(questions))
	s.under++
	s.at = max(s.at, s.under)
	s.mu.Unlock()
	time.Sleep(s.takes)
	for _, q := range questions {
		q.answered = true
	}
	s.mu.Lock()
	s.under--
	s.mu.Unlock()
}

func (s *slowRedis) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under
}

func newBatcher(takes time.Duration) (*slowRedis, *batcher[*question]) {
	s := &slowRedis{takes: takes}
	return s, &batcher[*question]{timeout: time.Second, send: s.send}
}

// ask asks so many questions at once.
func ask(t *testing.T, all *sync.WaitGroup, b *batcher[*question], n int) {
	for range n {
		all.Go(func() {
			var q question
			if err := b.do(t.Context(), &q); err != nil || !q.answered {
				t.Error("not answered:", err)
			}
		})
	}
	synctest.Wait()
}

// A panic of what the application has hooked in leaves no request counted as under way.
func TestBatchAfterAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newBatcher(time.Millisecond)
		send := b.send
		b.send = func(context.Context, []*question) { panic("a log handler") }
		require.Panics(t, func() { _ = b.do(t.Context(), new(question)) })
		b.send = send
		begin := time.Now()
		require.NoError(t, b.do(t.Context(), new(question)))
		require.Equal(t, s.takes, time.Since(begin))
	})
}

// Sequential uses that find no request under way are sent at once.
func TestBatchOfOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newBatcher(time.Millisecond)
		start := time.Now()
		for range 3 {
			var q question
			require.NoError(t, b.do(t.Context(), &q))
			require.True(t, q.answered)
		}
		require.Equal(t, 3*time.Millisecond, time.Since(start))
		require.Equal(t, []int{1, 1, 1}, s.batches)
	})
}

// Uses that come while a request is under way share the next one, up to maxBatch.
func TestBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newBatcher(time.Millisecond)
		start := time.Now()
		var all sync.WaitGroup
		ask(t, &all, b, 1)
		ask(t, &all, b, 20)
		all.Wait()
		require.Equal(t, []int{1, 20}, s.batches)
		require.Equal(t, 2*time.Millisecond, time.Since(start))

		ask(t, &all, b, 2*maxBatch+2)
		all.Wait()
		sum := 0
		for _, n := range s.batches[2:] {
			sum += n
		}
		require.Equal(t, 2*maxBatch+2, sum)
		require.LessOrEqual(t, len(s.batches), 2+4)
		require.Equal(t, maxBatch, slices.Max(s.batches))
		require.Equal(t, 1, s.at, "one after the other")
	})
}

// A use that finds no request under way also sends the uses that are about to come: a
// process with more work than processors sends fewer requests.
func TestBatchOfTheFirst(t *testing.T) {
	t.Parallel()
	const tries = 50
	together := 0
	for range tries {
		synctest.Test(t, func(t *testing.T) {
			s, b := newBatcher(time.Millisecond)
			var all sync.WaitGroup
			ask(t, &all, b, 20)
			all.Wait()
			if s.batches[0] > 1 {
				together++
			}
		})
	}
	require.Greater(t, together, tries/2)
}

// A slow request delays other uses for no longer than patience. There are at most
// maxRequests at once, however many uses wait.
func TestBatchBesideASlowOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newBatcher(500 * time.Millisecond)
		start := time.Now()
		var all sync.WaitGroup
		ask(t, &all, b, 1)
		ask(t, &all, b, 5)
		all.Wait()
		require.Equal(t, []int{1, 5}, s.batches)
		require.Equal(t, 500*time.Millisecond+patience, time.Since(start))

		for range 3 * maxRequests {
			ask(t, &all, b, 2)
			time.Sleep(2 * patience)
		}
		all.Wait()
		require.Equal(t, maxRequests, s.at)
	})
}

// A caller that gives up returns at once, its use is not sent later, and the others are
// not affected.
func TestBatchWithoutOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newBatcher(patience / 2)
		var all sync.WaitGroup
		ask(t, &all, b, 1)
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		gone := make(chan error)
		go func() { gone <- b.do(ctx, &question{}) }()
		ask(t, &all, b, 3)
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		require.Equal(t, start, time.Now())
		all.Wait()
		require.Equal(t, []int{1, 3}, s.batches)
	})
}

// No use waits for longer than the limit, even if all requests hang.
func TestBatchLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, b := newBatcher(time.Hour)
		start := time.Now()
		go func() { _ = b.do(t.Context(), &question{}) }()
		for range maxRequests + 2 {
			synctest.Wait()
			go func() {
				if err := b.do(t.Context(), &question{}); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}()
			time.Sleep(2 * patience)
		}
		require.ErrorIs(t, b.do(t.Context(), &question{}), context.DeadlineExceeded)
		require.Equal(t, b.timeout+time.Duration(maxRequests+2)*2*patience, time.Since(start))
		b.mu.Lock()
		require.Empty(t, b.waiting)
		b.mu.Unlock()
		time.Sleep(time.Hour)
	})
}

// After close no use waits, new ones are refused, and no goroutine is left.
func TestBatcherCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := newBatcher(patience / 2)
		var all, late sync.WaitGroup
		ask(t, &all, b, 1)
		ask(t, &all, b, 2)
		time.Sleep(patience / 2) // those two are under way
		synctest.Wait()
		for range 3 {
			late.Go(func() {
				if err := b.do(t.Context(), &question{}); !errors.Is(err, redis.ErrClosed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		b.close()
		late.Wait()
		require.ErrorIs(t, b.do(t.Context(), &question{}), redis.ErrClosed)
		require.Equal(t, 1, s.underWay())
		b.wait()
		require.Zero(t, s.underWay())
		all.Wait()
		require.Equal(t, []int{1, 2}, s.batches)
	})
}
