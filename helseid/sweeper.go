package helseid

import "time"

// sweeper says when it is time to look for what has expired: when there is twice
// as much as after the last time, or when that was a while ago.
type sweeper struct {
	size int
	at   time.Time
}

const (
	minSweep      = 1024 // the fewest for which it is worth it
	sweepInterval = 10 * time.Minute
)

func (s *sweeper) due(size int, now time.Time) bool {
	return size >= max(s.size, minSweep) || now.Sub(s.at) >= sweepInterval
}

func (s *sweeper) done(left int, now time.Time) { s.size, s.at = 2*left, now }
