package helseid

import "time"

// sweeper says when to look for expired entries: when there are twice as many as
// after the last sweep, or when that was a while ago.
type sweeper struct {
	size int
	at   time.Time
}

const (
	minSweep      = 1024 // fewer entries are not worth a sweep
	sweepInterval = 10 * time.Minute
)

func (s *sweeper) due(size int, now time.Time) bool {
	return size >= max(s.size, minSweep) || now.Sub(s.at) >= sweepInterval
}

func (s *sweeper) done(left int, now time.Time) { s.size, s.at = 2*left, now }
