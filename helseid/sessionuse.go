package helseid

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

// A session can have a maximum age and an idle timeout. Each use is recorded in memory.
// The first use after a tenth of the idle timeout is also written to the store, in the
// background, so that no call waits for it.

// sessionUses ends sessions that are unused for too long.
type sessionUses struct {
	rows  *sessionRows
	ender *sessionEnder
	work  *lifecycle.Lifecycle
}

// use records a use of the session, or returns why it cannot be used.
func (u *sessionUses) use(ctx context.Context, s *heldSession, now time.Time) error {
	if s.place.ended.Load() {
		return errSessionEnded
	}
	record := &s.record
	if record.EndsAt != 0 && now.Unix() >= record.EndsAt {
		u.ender.endExpired(ctx, s.place.key)
		return ErrSessionExpired
	}
	if record.IdleTimeout == 0 {
		return nil
	}
	idle := time.Duration(record.IdleTimeout) * time.Second
	last := max(record.LastUsed, s.place.used.Load())
	if now.Sub(time.UnixMilli(last)) >= idle || isFuture(last/1000, now, maxClockStep) {
		// Another process may have recorded a later use.
		row, err := u.rows.load(ctx, s.place.key)
		if err != nil {
			if errors.Is(err, ErrSessionExpired) {
				u.ender.endExpired(ctx, s.place.key)
			}
			return err
		}
		s.place.noted.Store(row.record.LastUsed)
	}
	s.place.touch(now)
	u.note(s.place, max(record.LastUsed, s.place.noted.Load()), now, idle/10)
	return nil
}

// touch records a use in memory.
func (p *sessionPlace) touch(now time.Time) {
	for at := now.UnixMilli(); ; {
		last := p.used.Load()
		if at <= last || p.used.CompareAndSwap(last, at) {
			return
		}
	}
}

// note makes sure that the last use is stored when the interval has passed since the
// last stored one.
func (u *sessionUses) note(place *sessionPlace, noted int64, now time.Time, interval time.Duration) {
	if place.noting.Load() || !place.noting.CompareAndSwap(false, true) {
		return
	}
	if u.work.Begin() != nil {
		place.noting.Store(false)
		return
	}
	go func() {
		defer u.work.Done()
		if wait := min(time.UnixMilli(noted).Add(interval).Sub(now), interval); wait > 0 { // noted may be in the future if a clock was wrong
			clock.Sleep(u.work.Context(), wait) // or until the client is closed
		}
		place.noting.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
		defer cancel()
		u.write(ctx, place)
	}()
}

// write stores the last use, unless another process has stored a later one, or a
// refresh is under way, which stores it itself. If the store fails, a later use is
// written.
func (u *sessionUses) write(ctx context.Context, place *sessionPlace) {
	for {
		row, err := u.rows.load(ctx, place.key)
		place.noted.Store(time.Now().UnixMilli()) // also if it fails, so that a store that is down is not asked more often
		if err != nil || row.record.Refreshing != 0 || row.noted == row.record.LastUsed {
			return
		}
		saved, err := u.rows.save(ctx, place, row.version, row.record, false)
		switch {
		case err != nil:
			return
		case saved:
			row.version++
			place.know(row)
			return
		case !clock.Sleep(ctx, firstIdleWait):
			return
		}
	}
}
