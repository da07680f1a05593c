package selvbetjening

import (
	"context"
	"sync"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/clock"
)

// searchTime is how long calls wait for a key that HelseID may get to know, which takes it
// up to 20 seconds.
const searchTime = 30 * time.Second

// searches remembers for which refused key, and until when, calls wait for another one.
type searches struct {
	mu      sync.Mutex
	refused *clientassertion.Key
	until   time.Time
}

// timeLeft is how long the search for a key other than the refused one goes on.
func (s *searches) timeLeft(refused *clientassertion.Key) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !same(s.refused, refused) {
		s.refused, s.until = refused, time.Now().Add(searchTime)
	}
	return time.Until(s.until)
}

// startSearch looks for a key to use in place of a refused one: one that another instance
// uses by now, or the pending one, which may be registered although this or another
// process has not been told so. It needs neither the turn nor the lock, whose holders may
// wait for HelseID themselves.
func (r *Rotation) startSearch(search *search) {
	if r.runs.Begin() != nil {
		go r.key.searched() // the caller has the key's mutex
		return
	}
	go func() {
		defer r.runs.Done()
		defer r.key.searched()
		r.search(r.runs.Context(), search.refused)
	}()
}

func (r *Rotation) search(ctx context.Context, refused *clientassertion.Key) {
	for {
		again, err := r.searchOnce(ctx, refused)
		switch {
		case ctx.Err() != nil:
			return
		case again && r.searches.timeLeft(refused) > 0:
			clock.Sleep(ctx, verifyPause)
			continue
		case err != nil:
			r.failed(ctx, err)
		}
		return
	}
}

// searchOnce looks once, and reports whether it makes sense to look again soon.
func (r *Rotation) searchOnce(ctx context.Context, refused *clientassertion.Key) (again bool, err error) {
	if trial := r.key.underTrial(); trial != nil && trial.verifying.Load() {
		select {
		case <-trial.done:
		case <-ctx.Done():
		}
	}
	if !same(r.key.current(), refused) {
		return false, nil
	}
	stored, err := r.config.Store.Load(ctx)
	switch {
	case err != nil:
		return false, r.failure("read the store, since HelseID refuses the key in use", err)
	case stored.Current != nil && !same(stored.Current, refused):
		r.use(ctx, stored.Current, stored.CurrentSince, time.Time{})
		return false, nil
	case stored.Pending == nil:
		return false, nil
	}
	if err := r.try(ctx, stored.Pending); err != nil {
		return true, r.failure("try the pending key "+stored.Pending.ID()+", since HelseID refuses the one in use", err)
	}
	r.use(ctx, stored.Pending, stored.PendingSince, time.Time{})
	if r.key.underTrial() == nil { // or whoever tries it saves it
		_, _ = r.config.Store.Save(ctx, promoted(stored, nil)) // or the next look does
	}
	return false, nil
}
