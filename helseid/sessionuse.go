package helseid

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/internal/clock"
)

// A session can be bounded in age and in the time that it goes unused. Each use is
// noted in memory, and in the store by whoever comes first after a tenth of the idle
// timeout: in the background, so that no call waits for it.

// use says that the session is being used, if it may be.
func (s *Session) use(ctx context.Context, now time.Time) error {
	if s.place.ended.Load() {
		return errSessionEnded
	}
	record := s.record()
	if record.EndsAt != 0 && now.Unix() >= record.EndsAt {
		s.client.endOver(ctx, s.key)
		return ErrSessionExpired
	}
	if record.IdleTimeout == 0 {
		return nil
	}
	idle := time.Duration(record.IdleTimeout) * time.Second
	last := max(record.LastUsed, s.place.used.Load())
	if now.Sub(time.UnixMilli(last)) >= idle || isFuture(last/1000, now, maxClockStep) {
		// Another process may know better.
		row, err := s.client.loadSession(ctx, s.key)
		if err != nil {
			if errors.Is(err, ErrSessionExpired) {
				s.client.endOver(ctx, s.key)
			}
			return err
		}
		s.place.noted.Store(row.record.LastUsed)
	}
	s.place.touch(now)
	s.noteUse(max(record.LastUsed, s.place.noted.Load()), now, idle/10)
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

// noteUse sees to it that the last use is written down when a while has passed since
// the one that is.
func (s *Session) noteUse(noted int64, now time.Time, interval time.Duration) {
	if s.place.noting.Load() || !s.place.noting.CompareAndSwap(false, true) {
		return
	}
	if s.client.work.Begin() != nil {
		s.place.noting.Store(false)
		return
	}
	go func() {
		defer s.client.work.Done()
		if wait := min(time.UnixMilli(noted).Add(interval).Sub(now), interval); wait > 0 { // it may claim to be of the future
			clock.Sleep(s.client.work.Context(), wait) // or the client is being closed: then at once
		}
		s.place.noting.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
		defer cancel()
		s.writeUse(ctx)
	}()
}

// writeUse writes the last use down, unless others have, or a refresh is under way,
// which does it. If the store does not take it a later use is written.
func (s *Session) writeUse(ctx context.Context) {
	for {
		row, err := s.client.loadSession(ctx, s.key)
		s.place.noted.Store(time.Now().UnixMilli()) // also if it fails: a store that is down is asked no more often
		if err != nil || row.record.Refreshing != 0 || row.noted == row.record.LastUsed {
			return
		}
		saved, err := s.save(ctx, row.version, row.record)
		switch {
		case err != nil:
			return
		case saved:
			row.version++
			s.client.know(s.place, row)
			return
		case !clock.Sleep(ctx, firstIdleWait):
			return
		}
	}
}

// endOver ends a session whose time is over. It goes on trying if the store does not
// answer.
func (c *Client) endOver(ctx context.Context, key string) {
	_ = c.endByKey(because(ctx, endedByTime), key)
}
