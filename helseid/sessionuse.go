package helseid

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

// A session can be bounded in age and in the time that it goes unused. Each use is
// noted in memory, and in the store by whoever comes first after a tenth of the idle
// timeout: in the background, so that no call waits for it.

// sessionUses sees to it that sessions end that go unused.
type sessionUses struct {
	rows  *sessionRows
	ender *sessionEnder
	work  *lifecycle.Lifecycle
}

// use says that the session is being used, if it may be.
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
		// Another process may know better.
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

// touch notes a use in memory.
func (p *sessionPlace) touch(now time.Time) {
	for at := now.UnixMilli(); ; {
		last := p.used.Load()
		if at <= last || p.used.CompareAndSwap(last, at) {
			return
		}
	}
}

// note sees to it that the last use is written down when a while has passed since
// the one that is.
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
		if wait := min(time.UnixMilli(noted).Add(interval).Sub(now), interval); wait > 0 { // it may claim to be of the future
			clock.Sleep(u.work.Context(), wait) // or the client is being closed: then at once
		}
		place.noting.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
		defer cancel()
		u.write(ctx, place)
	}()
}

// write writes the last use down, unless others have, or a refresh is under way,
// which does it. If the store does not take it a later use is written.
func (u *sessionUses) write(ctx context.Context, place *sessionPlace) {
	for {
		row, err := u.rows.load(ctx, place.key)
		place.noted.Store(time.Now().UnixMilli()) // also if it fails: a store that is down is asked no more often
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
