package helseid

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// sessionPlace is what this process knows about a session beyond its record in the
// store. All Sessions with the same key share it.
type sessionPlace struct {
	key     string
	ended   atomic.Bool   // by a logout in this process
	expiry  atomic.Int64  // when the place can be removed, in Unix seconds
	indexed atomic.Int64  // until when its index entries are kept, in Unix seconds, if this process has written them
	turn    chan struct{} // the session's lock in this process: its holder may refresh the session

	used   atomic.Int64 // when the session was last used here, in Unix milliseconds
	noted  atomic.Int64 // when a use was last stored, as far as this process knows
	noting atomic.Bool  // a goroutine is about to store the last use

	// known is the row as this process last read or wrote it, or nil.
	known atomic.Pointer[knownRow]

	// unsettled is the outcome of a refresh that could not be stored. The lock
	// protects it.
	unsettled *refreshOutcome
}

// knownRow is a row and when it was read or written.
type knownRow struct {
	sessionRow
	at time.Time
}

// know notes a row that this process has just read or written.
func (p *sessionPlace) know(row sessionRow) {
	p.known.Store(&knownRow{sessionRow: row, at: time.Now()})
}

// lock takes the session's lock in this process.
func (p *sessionPlace) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tryLock takes the lock if it is free.
func (p *sessionPlace) tryLock() (unlock func(), ok bool) {
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn }, true
	default:
		return nil, false
	}
}

// sessionPlaces finds the places by the sessions' keys.
type sessionPlaces struct {
	mu     sync.Mutex
	places map[string]*sessionPlace
	sweep  sweeper
}

// placeMargin is how much longer than its session a place is kept.
const placeMargin = time.Hour

// find returns the place of a session if this process has one. It makes none, so that
// invented ids take no memory.
func (p *sessionPlaces) find(key string) *sessionPlace {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places[key]
}

func (p *sessionPlaces) place(key string, expiry time.Time) *sessionPlace {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if place, ok := p.places[key]; ok {
		p.extend(place, expiry)
		return place
	}
	if p.places == nil {
		p.places = make(map[string]*sessionPlace)
	}
	if p.sweep.due(len(p.places), now) {
		for key, place := range p.places {
			if now.Unix() > place.expiry.Load() {
				delete(p.places, key)
			}
		}
		p.sweep.done(len(p.places), now)
	}
	place := &sessionPlace{key: key, turn: make(chan struct{}, 1)}
	p.extend(place, expiry)
	p.places[key] = place
	return place
}

// extend keeps a place for at least as long as its session.
func (p *sessionPlaces) extend(place *sessionPlace, expiry time.Time) {
	if until := expiry.Add(placeMargin).Unix(); until > place.expiry.Load() {
		place.expiry.Store(until)
	}
}
