package helseid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

// Sessions that have ended leave refresh tokens behind, which HelseID is to revoke.
// HelseID may not answer, and the process may be killed before it does. So what is
// still to be done lies in the session store until it has been done, in a row of the
// client's, and any process of the client's does it.

// outboxEntry is one thing to be done: a refresh token to be revoked, or a logout
// whose index the process that was told of it could not read.
type outboxEntry struct {
	RefreshToken string         `json:"refresh_token,omitempty"`
	Logout       *indexedLogout `json:"logout,omitempty"`

	Tries int   `json:"tries,omitempty"`
	Next  int64 `json:"next"`  // not before, in Unix milliseconds: somebody is at it, or has just failed
	Until int64 `json:"until"` // when there is no use in it any more, in Unix seconds
}

// due reports that somebody should be at it. One that claims to be so for later than
// anybody puts it off was written by a clock that was ahead.
func (e *outboxEntry) due(now time.Time) bool {
	ahead := time.UnixMilli(e.Next).Sub(now)
	return ahead <= 0 || ahead > maxOutboxWait+maxClockStep
}

func (e *outboxEntry) same(other *outboxEntry) bool {
	if e.RefreshToken != other.RefreshToken || (e.Logout == nil) != (other.Logout == nil) {
		return false
	}
	return e.Logout == nil || *e.Logout == *other.Logout
}

// outbox is what a client has still to do.
type outbox struct {
	clientIdentity
	store  Store
	local  bool // nobody else sees the store
	work   *lifecycle.Lifecycle
	logger *slog.Logger

	perform func(ctx context.Context, entry outboxEntry) error

	// tries says that this process goes on trying an entry's logout by itself, since it
	// cannot read what others can.
	tries func(entry *outboxEntry) bool

	posts      atomic.Uint64 // how many entries this process has put in
	delivering atomic.Bool   // this process is at it
	looked     atomic.Int64  // when this process last looked, in Unix seconds
}

// outboxRow is the row as it is stored.
type outboxRow struct {
	Version int           `json:"version"`
	Entries []outboxEntry `json:"entries"`
}

const (
	outboxVersion = 1

	// maxOutbox bounds the row: what ends first is left out.
	maxOutbox = 500

	// outboxLease is how long an entry is left to the process that is at it.
	outboxLease = time.Minute

	// outboxBatch is how many entries a process takes at a time.
	outboxBatch = 10

	firstOutboxWait = 5 * time.Second
	maxOutboxWait   = 10 * time.Minute

	// outboxInterval is how often a process that is in use looks whether another
	// has left something.
	outboxInterval = time.Minute

	// emptyOutbox is how long a row without entries stays. It is not deleted, since
	// somebody may be adding to it.
	emptyOutbox = time.Minute
)

func (o *outbox) rows() [2]string { return indexRows(o.storeKey("outbox", "")) }

// load reads a row, which is empty if there is none.
func (o *outbox) load(ctx context.Context, rowKey string) (StoredRow, []outboxEntry, error) {
	row, err := o.store.Load(ctx, rowKey)
	if err != nil {
		return row, nil, storeError(err)
	}
	var stored outboxRow
	if row.Version != 0 && (json.Unmarshal(row.Data, &stored) != nil || stored.Version != outboxVersion) {
		return row, nil, storeError(ErrUnreadableRow)
	}
	return row, stored.Entries, nil
}

// change changes a row, if there is anything to change.
func (o *outbox) change(ctx context.Context, rowKey string, change func([]outboxEntry) []outboxEntry) error {
	for try := range indexTries {
		row, entries, err := o.load(ctx, rowKey)
		if err != nil {
			return err
		}
		before := slices.Clone(entries)
		entries = change(entries)
		if slices.EqualFunc(before, entries, func(a, b outboxEntry) bool { return a.same(&b) && a.Next == b.Next && a.Until == b.Until }) {
			return nil
		}
		if excess := len(entries) - maxOutbox; excess > 0 {
			slices.SortStableFunc(entries, func(a, b outboxEntry) int { return int(a.Until - b.Until) })
			entries = entries[excess:]
			o.logger.WarnContext(ctx, "refresh tokens of sessions that have ended were not revoked: too many wait for HelseID", slog.Int("tokens", excess))
		}
		data, err := json.Marshal(outboxRow{Version: outboxVersion, Entries: entries})
		if err != nil {
			return fmt.Errorf("helseid: store what is to be revoked: %w", err)
		}
		expiry := time.Now().Add(emptyOutbox)
		for _, entry := range entries {
			if until := time.Unix(entry.Until, 0); expiry.Before(until) {
				expiry = until
			}
		}
		saved, err := o.store.Save(ctx, rowKey, StoredRow{Version: row.Version, Data: data, Expiry: expiry})
		switch {
		case err != nil:
			return storeError(err)
		case saved:
			return nil
		}
		if !clock.Sleep(ctx, rand.N(time.Duration(try+1)*5*time.Millisecond)) {
			break
		}
	}
	return fmt.Errorf("%w: what is to be revoked changes too fast", ErrStore)
}

// post puts an entry into the first row that can be read.
func (o *outbox) post(ctx context.Context, entry outboxEntry) error {
	var err error
	for _, rowKey := range o.rows() {
		err = o.change(ctx, rowKey, func(entries []outboxEntry) []outboxEntry {
			if slices.ContainsFunc(entries, func(other outboxEntry) bool { return other.same(&entry) }) {
				return entries
			}
			return append(entries, entry)
		})
		if !errors.Is(err, ErrUnreadableRow) {
			break
		}
	}
	if err == nil {
		o.posts.Add(1)
	}
	return err
}

// unpost takes an entry out that has been done. If the store does not take that, it is
// done again.
func (o *outbox) unpost(ctx context.Context, entry outboxEntry) {
	for _, rowKey := range o.rows() {
		found := false
		_ = o.change(ctx, rowKey, func(entries []outboxEntry) []outboxEntry {
			return slices.DeleteFunc(entries, func(other outboxEntry) bool {
				same := other.same(&entry)
				found = found || same
				return same
			})
		})
		if found {
			return
		}
	}
}

// revocation is the entry of a refresh token.
func revocation(refreshToken string, next, until time.Time) outboxEntry {
	return outboxEntry{RefreshToken: refreshToken, Next: next.UnixMilli(), Until: until.Unix()}
}

// deliverLater does in the background what is in the outbox, unless this process is
// at it.
func (o *outbox) deliverLater() {
	if !o.delivering.CompareAndSwap(false, true) {
		return
	}
	if o.work.Begin() != nil {
		o.delivering.Store(false)
		return
	}
	go func() {
		defer o.work.Done()
		seen := o.deliver()
		o.delivering.Store(false)
		if o.posts.Load() != seen { // something came when this had looked for the last time
			o.deliverLater()
		}
	}()
}

// deliver works until the outbox is empty or the client is closed: other processes
// go on then, but nobody does with a store of this process's own. It returns how
// many entries this process had posted when it last looked.
func (o *outbox) deliver() (seen uint64) {
	until := time.Now().Add(maxTrying)
	for wait := firstTryWait; time.Now().Before(until); {
		seen = o.posts.Load()
		next, err := o.deliverDue(lifecycle.Unattended(), time.Now())
		switch {
		case err != nil && seen == 0:
			return seen // nothing is known to be there
		case err != nil:
			wait = min(2*wait, maxTryWait)
		case next.IsZero():
			return seen
		default:
			wait = min(max(time.Until(next), firstTryWait), outboxInterval)
		}
		if !clock.Sleep(o.work.Context(), wait) {
			if o.local {
				_, _ = o.deliverDue(lifecycle.Unattended(), time.Now().Add(maxOutboxWait))
			}
			return o.posts.Load()
		}
	}
	return seen
}

// deliverDue does what is due at a time, and returns when the next entry is, or zero
// if there is none.
func (o *outbox) deliverDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	for _, rowKey := range o.rows() {
		rowNext, rowErr := o.deliverRow(ctx, rowKey, now)
		if next.IsZero() || !rowNext.IsZero() && rowNext.Before(next) {
			next = rowNext
		}
		if !errors.Is(rowErr, ErrUnreadableRow) { // which others can read
			err = errors.Join(err, rowErr)
		}
	}
	return next, err
}

func (o *outbox) deliverRow(ctx context.Context, rowKey string, now time.Time) (next time.Time, err error) {
	storing, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	var claimed []outboxEntry
	claim := func(entries []outboxEntry) []outboxEntry {
		claimed, next = nil, time.Time{}
		entries = slices.DeleteFunc(entries, func(e outboxEntry) bool { return e.Until <= time.Now().Unix() })
		for i := range entries {
			entry := &entries[i]
			if entry.due(now) && len(claimed) < outboxBatch && !o.tries(entry) {
				entry.Tries++
				entry.Next = time.Now().Add(outboxLease).UnixMilli()
				claimed = append(claimed, *entry)
			}
			if at := time.UnixMilli(entry.Next); next.IsZero() || at.Before(next) {
				next = at
			}
		}
		return entries
	}
	if err := o.change(storing, rowKey, claim); err != nil || len(claimed) == 0 {
		return next, err
	}
	done := o.do(ctx, claimed)
	writing, stop := context.WithTimeout(ctx, tryTimeout)
	defer stop()
	err = o.change(writing, rowKey, func(entries []outboxEntry) []outboxEntry {
		next = time.Time{}
		entries = slices.DeleteFunc(entries, func(e outboxEntry) bool { return contains(done, e) })
		for i := range entries {
			entry := &entries[i]
			if contains(claimed, *entry) {
				entry.Next = time.Now().Add(outboxWait(entry.Tries)).UnixMilli()
			}
			if at := time.UnixMilli(entry.Next); next.IsZero() || at.Before(next) {
				next = at
			}
		}
		return entries
	})
	return next, err
}

func contains(entries []outboxEntry, entry outboxEntry) bool {
	return slices.ContainsFunc(entries, func(other outboxEntry) bool { return other.same(&entry) })
}

// outboxWait grows from five seconds to ten minutes, and is random by half.
func outboxWait(tries int) time.Duration {
	wait := min(firstOutboxWait<<min(max(tries-1, 0), 8), maxOutboxWait)
	return wait/2 + rand.N(wait/2)
}

// do does entries, and returns those that have been done. When HelseID does not
// answer, the rest waits.
func (o *outbox) do(ctx context.Context, entries []outboxEntry) (done []outboxEntry) {
	for _, entry := range entries {
		ctx, cancel := context.WithTimeout(ctx, quietTimeout)
		err := o.perform(ctx, entry)
		cancel()
		if err == nil || isHopeless(err) {
			done = append(done, entry)
			continue
		}
		if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrKey) {
			break
		}
	}
	return done
}

// isHopeless reports a refusal that a repetition does not mend. One of the client as
// a whole may be about its registration, which is mended elsewhere.
func isHopeless(err error) bool {
	var refusal *TokenError
	return errors.As(err, &refusal) && !refusal.Temporary && !isInvalidClient(err)
}

// look makes a process that is in use do what another has left behind, now
// and then.
func (o *outbox) look() {
	now, last := time.Now().Unix(), o.looked.Load()
	recent := last <= now && now-last < int64(outboxInterval/time.Second)
	if o.local || recent || !o.looked.CompareAndSwap(last, now) || o.work.Begin() != nil {
		return
	}
	go func() {
		defer o.work.Done()
		if clock.Sleep(o.work.Context(), time.Second+rand.N(firstOutboxWait)) {
			o.deliverLater()
		}
	}()
}
