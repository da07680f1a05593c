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

// The refresh token of a session that has ended must be revoked at HelseID. HelseID
// may not answer, and the process may be killed before it does. So each pending task is
// kept in the session store, in one row of the client, until it is done. Any of the
// client's processes can do it.

// outboxEntry is one task: a refresh token to revoke, or a logout whose index the
// process that received it could not read.
type outboxEntry struct {
	RefreshToken string         `json:"refresh_token,omitempty"`
	Logout       *indexedLogout `json:"logout,omitempty"`

	Tries int   `json:"tries,omitempty"`
	Next  int64 `json:"next"`  // earliest next attempt, in Unix milliseconds: a process is working on it, or has just failed
	Until int64 `json:"until"` // when the task becomes pointless, in Unix seconds
}

// due reports that the task may be attempted. A time further in the future than any
// process sets was written by a clock that was ahead, and counts as due.
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

// outbox holds a client's pending tasks.
type outbox struct {
	clientIdentity
	store  Store
	local  bool // the store is this process's own memory
	work   *lifecycle.Lifecycle
	logger *slog.Logger

	perform func(ctx context.Context, entry outboxEntry) error

	// tries reports that this process keeps trying an entry's logout itself, because
	// it cannot read rows that other processes can.
	tries func(entry *outboxEntry) bool

	posts      atomic.Uint64 // how many entries this process has added
	delivering atomic.Bool   // a goroutine of this process is working on the outbox
	looked     atomic.Int64  // when this process last looked, in Unix seconds
}

// outboxRow is the row as it is stored.
type outboxRow struct {
	Version int           `json:"version"`
	Entries []outboxEntry `json:"entries"`
}

const (
	outboxVersion = 1

	// maxOutbox bounds the row: the entries that expire first are dropped.
	maxOutbox = 500

	// outboxLease is how long an entry is reserved for the process that works on it.
	outboxLease = time.Minute

	// outboxBatch is how many entries a process takes at a time.
	outboxBatch = 10

	firstOutboxWait = 5 * time.Second
	maxOutboxWait   = 10 * time.Minute

	// outboxInterval is how often a process in use looks for entries of other
	// processes.
	outboxInterval = time.Minute

	// emptyOutbox is how long a row without entries stays. It is not deleted, because
	// another process may be adding to it.
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

// change applies a change to a row and writes it if anything has changed.
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

// post adds an entry to the first row that can be read.
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

// unpost removes an entry that is done. If the store fails, the task is done again
// later.
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

// revocation returns the entry for a refresh token.
func revocation(refreshToken string, next, until time.Time) outboxEntry {
	return outboxEntry{RefreshToken: refreshToken, Next: next.UnixMilli(), Until: until.Unix()}
}

// deliverLater works on the outbox in the background, unless this process already
// does.
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
		if o.posts.Load() != seen { // an entry was added after deliver had last looked
			o.deliverLater()
		}
	}()
}

// deliver works until the outbox is empty or the client is closed. After Close other
// processes continue, unless the store is this process's own memory. It returns how
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

// deliverDue does the tasks that are due at a time, and returns when the next one is,
// or zero if there is none.
func (o *outbox) deliverDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	for _, rowKey := range o.rows() {
		rowNext, rowErr := o.deliverRow(ctx, rowKey, now)
		if next.IsZero() || !rowNext.IsZero() && rowNext.Before(next) {
			next = rowNext
		}
		if !errors.Is(rowErr, ErrUnreadableRow) { // an unreadable row is left to processes that can read it
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

// outboxWait grows from five seconds to ten minutes. Half of it is random.
func outboxWait(tries int) time.Duration {
	wait := min(firstOutboxWait<<min(max(tries-1, 0), 8), maxOutboxWait)
	return wait/2 + rand.N(wait/2)
}

// do attempts the tasks and returns those that are done. If HelseID does not answer,
// the remaining ones wait.
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

// isHopeless reports a refusal that a retry does not cure. A refusal of the client as
// a whole may be due to its registration, which can be corrected.
func isHopeless(err error) bool {
	var refusal *TokenError
	return errors.As(err, &refusal) && !refusal.Temporary && !isInvalidClient(err)
}

// look makes a process in use check now and then for tasks that other processes have
// left.
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
