package helseid

import (
	"sync"
	"time"
)

const (
	// logInterval is the shortest time between two lines of one kind.
	logInterval = time.Minute

	// maxLogKinds bounds how many kinds are counted separately: HelseID chooses the
	// error codes.
	maxLogKinds = 64
)

// logLimit keeps a repeated problem from filling the log: the first line of a kind is
// written at once, and then at most one a minute, which says how many were left out.
// The zero value is ready to use.
type logLimit struct {
	mu    sync.Mutex
	kinds map[string]*loggedKind
}

type loggedKind struct {
	at      time.Time
	omitted int
}

// allow reports whether a line may be written, and how many of its kind have been
// left out since the last one.
func (l *logLimit) allow(kind string, now time.Time) (omitted int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.kinds[kind]
	if last == nil && len(l.kinds) >= maxLogKinds {
		kind = "" // all further kinds count as one
		last = l.kinds[kind]
	}
	if last == nil {
		if l.kinds == nil {
			l.kinds = make(map[string]*loggedKind)
		}
		l.kinds[kind] = &loggedKind{at: now}
		return 0, true
	}
	if since := now.Sub(last.at); since >= 0 && since < logInterval {
		last.omitted++
		return 0, false
	}
	omitted, last.at, last.omitted = last.omitted, now, 0
	return omitted, true
}
