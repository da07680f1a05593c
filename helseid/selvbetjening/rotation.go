package selvbetjening

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// maxPending is how long a key that HelseID knows, but refuses, is tried again before
	// another is made.
	maxPending = 24 * time.Hour

	verifyPause = time.Second

	firstRetry = time.Minute
	maxRetry   = time.Hour
	minRetry   = 10 * time.Second

	// maxSleep is how often the list of keys and the store are looked at.
	maxSleep = time.Hour
)

// ErrRotation is wrapped by the errors of a [Rotation]. The key that worked before stays
// in use after any of them.
var ErrRotation = errRotation

var errRotation = redact.Words("selvbetjening: the key was not replaced, and the old one stays in use")

// Rotation is a client whose key is replaced before it expires.
//
// A new key is made and saved in the store, then registered, then tried with a token
// request of its own, and only then used in place of the old one, which has worked until
// there. A process that ends anywhere in between goes on at its next start: the key that
// is pending in the store is looked up at HelseID, registered if it is not known there,
// tried, and used if it works. So no key is registered that nobody holds, and none is
// given up before another one works. HelseID documents no call that removes a key: the
// old one stays registered until it expires.
type Rotation struct {
	unprintable

	config RotationConfig
	client *helseid.Client
	self   *Client
	key    *rotatingKey
	turn   chan struct{} // holds one element while keys are being worked on
	runs   *lifecycle.Lifecycle

	// These belong to whoever has the turn.
	since  time.Time // when the current key was made, or zero
	expiry time.Time // of the current key, or zero
	jitter float64
}

// NewRotation reads the current key from the store and makes the client. It calls
// neither HelseID nor its API: [Rotation.Run] does. Mistakes in the configuration wrap
// [helseid.ErrConfig].
func NewRotation(ctx context.Context, config RotationConfig) (*Rotation, error) {
	config, err := config.checked()
	if err != nil {
		return nil, err
	}
	stored, err := config.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("selvbetjening: read the keys: %w", err)
	}
	if stored.Current == nil {
		stored.Current = config.Client.Key
	}
	if stored.Current == nil {
		return nil, fmt.Errorf("selvbetjening: %w: field Client.Key is required: there is no key in the store", helseid.ErrConfig)
	}
	r := &Rotation{config: config, key: &rotatingKey{}, turn: make(chan struct{}, 1), runs: lifecycle.New(), since: stored.CurrentSince, jitter: rand.Float64()}
	r.key.key.Store(stored.Current)
	r.key.reload = r.reload
	config.Client.Key, config.Client.KeySource = nil, r.key
	if r.client, err = helseid.New(config.Client); err != nil {
		return nil, err
	}
	config.Selvbetjening.Client = r.client
	if r.self, err = New(config.Selvbetjening); err != nil {
		r.client.Close()
		return nil, err
	}
	return r, nil
}

// Client is the client whose key is replaced. [Rotation.Close] closes it.
func (r *Rotation) Client() *helseid.Client { return r.client }

// Close ends [Rotation.Run], waits for it, and closes the client.
func (r *Rotation) Close() {
	r.runs.Close()
	r.client.Close()
}

// Run looks after the key until ctx ends or [Rotation.Close] is called. It finishes what an earlier process left,
// replaces the key when it is time, tries again after failures (first after a minute,
// then less often, but often enough before the expiry), and takes over a key that
// another instance with the same store has made. What goes wrong is in the log and in
// events ([helseid.EventKeyFailed], [helseid.EventKeyOrphan]).
func (r *Rotation) Run(ctx context.Context) {
	ctx, done, err := r.runs.Foreground(ctx)
	if err != nil {
		return
	}
	defer done()
	for failures := 0; ctx.Err() == nil; {
		wait, err := r.work(ctx, false)
		if err == nil {
			failures = 0
		} else {
			if ctx.Err() != nil {
				return
			}
			r.failed(ctx, err)
			wait = min(firstRetry<<min(failures, 10), maxRetry)
			if expiry := r.knownExpiry(); !expiry.IsZero() {
				wait = max(min(wait, time.Until(expiry)/10), minRetry)
			}
			failures++
		}
		if !clock.Sleep(ctx, wait) {
			return
		}
	}
}

// Rotate replaces the key now, or finishes a replacement that was begun. The error wraps
// [ErrRotation] and says what was being done; the old key is in use then.
func (r *Rotation) Rotate(ctx context.Context) error {
	ctx, done, err := r.runs.Foreground(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRotation, err)
	}
	defer done()
	_, err = r.work(ctx, true)
	return err
}

// work does what is to be done now, and says how long there is nothing more.
func (r *Rotation) work(ctx context.Context, now bool) (wait time.Duration, err error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrRotation, ctx.Err())
	}
	before := r.key.key.Load()
	unlock, err := r.config.Lock(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: wait for the lock: %w", ErrRotation, redact.Foreign(err))
	}
	defer unlock()
	stored, err := r.load(ctx)
	if err != nil {
		return 0, err
	}
	taken := r.key.key.Load() != before
	secrets, err := r.list(ctx)
	oldRefused := isInvalidClient(err)
	if err != nil && (!oldRefused || stored.Pending == nil) {
		return 0, fmt.Errorf("%w: list the client's keys: %w", ErrRotation, err)
	}
	if stored.Pending == nil && !(now && !taken) && !r.due() {
		return r.untilDue(), nil
	}
	if err := r.replace(ctx, stored, secrets, oldRefused); err != nil {
		return 0, err
	}
	return r.untilDue(), nil
}

// load reads the store, and takes over the current key from it.
func (r *Rotation) load(ctx context.Context) (StoredKeys, error) {
	stored, err := r.config.Store.Load(ctx)
	if err != nil {
		return stored, fmt.Errorf("%w: read the store: %w", ErrRotation, err)
	}
	current := r.key.key.Load()
	switch {
	case stored.Current == nil:
		stored.Current, stored.CurrentSince = current, r.since
	case same(stored.Pending, current): // it was not saved that the key works
		stored = StoredKeys{Current: current, CurrentSince: stored.PendingSince}
		if err := r.config.Store.Save(ctx, stored); err != nil {
			return stored, fmt.Errorf("%w: save the key in use: %w", ErrRotation, err)
		}
	case !same(stored.Current, current):
		r.use(ctx, stored.Current, stored.CurrentSince, time.Time{})
	}
	return stored, nil
}

// reload takes over a key that another instance has left in the store: one that works, or
// one that is pending, if that instance ended before it had tried it.
func (r *Rotation) reload(ctx context.Context) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	default: // whoever works on the keys loads them
		return
	}
	_, end := r.key.begin(ctx) // others wait, too
	defer end()
	if err := r.takeOver(ctx); err != nil && ctx.Err() == nil {
		r.failed(ctx, err)
	}
}

func (r *Rotation) takeOver(ctx context.Context) error {
	refused := r.key.key.Load()
	stored, err := r.load(ctx)
	if err != nil || stored.Pending == nil || r.key.key.Load() != refused {
		return err
	}
	unlock, err := r.config.Lock(ctx)
	if err != nil {
		return fmt.Errorf("%w: wait for the lock: %w", ErrRotation, redact.Foreign(err))
	}
	defer unlock()
	stored, err = r.load(ctx) // once more: whoever had the lock may have finished
	if err != nil || stored.Pending == nil || r.key.key.Load() != refused {
		return err
	}
	return r.replace(ctx, stored, nil, true)
}

// list lists the client's keys and notes the current one's expiry.
func (r *Rotation) list(ctx context.Context) ([]ClientSecret, error) {
	secrets, err := r.self.ClientSecrets(ctx)
	if secret, ok := find(secrets, r.key.key.Load()); ok && !secret.Expiration.IsZero() {
		r.expiry = secret.Expiration
		r.client.SetKeyExpiry(r.key.key.Load().ID(), r.expiry)
	}
	return secrets, err
}

// replace brings a key that is pending, or a new one, into use. The list is empty if the
// old key is refused.
func (r *Rotation) replace(ctx context.Context, stored StoredKeys, secrets []ClientSecret, oldRefused bool) error {
	_, registered := find(secrets, stored.Pending)
	if stored.Pending != nil && !oldRefused && time.Since(stored.PendingSince).Abs() > maxPending {
		if registered {
			r.orphan(ctx, stored.Pending, "HelseID knows a key that it has refused for a day: another one is made")
		}
		stored.Pending, registered = nil, false
	}
	if stored.Pending == nil {
		key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: r.config.Kind})
		if err != nil {
			return fmt.Errorf("%w: make a key: %w", ErrRotation, err)
		}
		stored.Pending, stored.PendingSince = key, time.Now()
		if err := r.config.Store.Save(ctx, stored); err != nil {
			return fmt.Errorf("%w: save a new key: %w", ErrRotation, err)
		}
	}
	var expiry time.Time
	untilRefused, end := r.key.begin(ctx)
	defer end()
	settle := r.config.Settle
	switch {
	case oldRefused:
		settle = 0
	case registered:
		secret, _ := find(secrets, stored.Pending)
		expiry, settle = secret.Expiration, 0
	default:
		var err error
		if expiry, err = r.self.AddClientSecret(ctx, stored.Pending); err != nil {
			if known, err := r.afterFailedUpload(ctx, untilRefused, stored, err); !known {
				return err
			}
		}
	}
	if err := r.verify(ctx, stored.Pending, settle, untilRefused); err != nil {
		end()
		if registered && ctx.Err() == nil {
			r.orphan(ctx, stored.Pending, "HelseID knows a key that does not work yet: it is kept, and tried again")
		}
		return fmt.Errorf("%w: try the new key %s: %w", ErrRotation, stored.Pending.ID(), err)
	}
	r.use(ctx, stored.Pending, stored.PendingSince, expiry)
	if err := r.config.Store.Save(ctx, StoredKeys{Current: stored.Pending, CurrentSince: stored.PendingSince}); err != nil {
		return fmt.Errorf("selvbetjening: the new key is in use, and the store was not told (it holds the key as pending, and is told later): %w", err)
	}
	return nil
}

// afterFailedUpload finds out whether a key has been registered although the request for
// that failed. Its error is that of the upload.
func (r *Rotation) afterFailedUpload(ctx context.Context, untilRefused context.Context, stored StoredKeys, uploadErr error) (registered bool, err error) {
	err = fmt.Errorf("%w: register the new key %s: %w", ErrRotation, stored.Pending.ID(), uploadErr)
	secrets, listErr := r.self.ClientSecrets(untilRefused)
	if untilRefused.Err() != nil && ctx.Err() == nil {
		return true, err // or why would the old key be refused now?
	}
	if listErr != nil {
		return false, err
	}
	_, registered = find(secrets, stored.Pending)
	var refused *Error
	if !registered && errors.As(uploadErr, &refused) && refused.Status == http.StatusBadRequest {
		// HelseID does not take this key: the next try makes another.
		stored.Pending, stored.PendingSince = nil, time.Time{}
		if saveErr := r.config.Store.Save(ctx, stored); saveErr != nil {
			err = errors.Join(err, saveErr)
		}
	}
	return registered, err
}

// verify asks HelseID for a token with the key until there is one. Each try has a client
// of its own, so that refusals hold nothing else back.
func (r *Rotation) verify(ctx context.Context, key *clientassertion.Key, settle time.Duration, untilRefused context.Context) error {
	if settle > 0 {
		timer := time.NewTimer(settle)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-untilRefused.Done():
		}
	}
	limited, cancel := context.WithTimeout(ctx, r.config.VerifyTimeout)
	defer cancel()
	for {
		err := r.try(limited, key)
		if err == nil || !clock.Sleep(limited, verifyPause) {
			return err
		}
	}
}

func (r *Rotation) try(ctx context.Context, key *clientassertion.Key) error {
	config := r.config.Client
	config.Key, config.KeySource = key, nil
	config.DPoPKey, config.TokenCache, config.Store = nil, nil, nil
	config.Logger, config.OnEvent, config.Tracer = nil, nil, nil
	config.TokenRetries = -1
	client, err := helseid.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Token(ctx, r.self.config.tokenRequest(r.self.base))
	return err
}

// use puts a key in the place of the current one.
func (r *Rotation) use(ctx context.Context, key *clientassertion.Key, since, expiry time.Time) {
	before := r.key.key.Swap(key)
	r.since, r.expiry, r.jitter = since, expiry, rand.Float64()
	if !expiry.IsZero() {
		r.client.SetKeyExpiry(key.ID(), expiry)
	}
	r.config.Client.Logger.InfoContext(ctx, "the client's key has been replaced", r.whose(key), slog.String("old_kid", before.ID()), slog.Time("expiry", expiry))
	r.tell(ctx, helseid.Event{Kind: helseid.EventKeyReplaced, KeyID: key.ID(), Expiry: expiry})
}

// due reports that it is time for another key.
func (r *Rotation) due() bool { return !r.expiry.IsZero() && !time.Now().Before(r.dueAt()) }

func (r *Rotation) dueAt() time.Time {
	before := r.config.Before
	if lifetime := r.expiry.Sub(r.since); !r.since.IsZero() && lifetime > 0 {
		before = min(before, lifetime/3)
	}
	return r.expiry.Add(-before - time.Duration(r.jitter*float64(before)/10))
}

func (r *Rotation) untilDue() time.Duration {
	if r.expiry.IsZero() {
		return maxSleep
	}
	return max(min(time.Until(r.dueAt()), maxSleep), time.Second)
}

func (r *Rotation) failed(ctx context.Context, err error) {
	key := r.key.key.Load()
	r.config.Client.Logger.ErrorContext(ctx, "the client's key was not replaced: it is tried again", r.whose(key), slog.String("cause", redact.Cause(err)))
	r.tell(ctx, helseid.Event{Kind: helseid.EventKeyFailed, KeyID: key.ID(), Expiry: r.knownExpiry(), Err: err})
}

// knownExpiry is the current key's expiry as the client knows it.
func (r *Rotation) knownExpiry() time.Time {
	_, expiry := r.client.KeyExpiry(context.Background())
	return expiry
}

func (r *Rotation) orphan(ctx context.Context, key *clientassertion.Key, message string) {
	r.config.Client.Logger.WarnContext(ctx, message, r.whose(r.key.key.Load()), slog.String("orphan_kid", key.ID()))
	r.tell(ctx, helseid.Event{Kind: helseid.EventKeyOrphan, KeyID: key.ID()})
}

func (r *Rotation) whose(key *clientassertion.Key) slog.Attr {
	return slog.Group("", slog.String("client_id", r.client.ID()), slog.String("kid", key.ID()))
}

func (r *Rotation) tell(ctx context.Context, event helseid.Event) {
	if r.config.Client.OnEvent != nil {
		event.ClientID = r.client.ID()
		r.config.Client.OnEvent(ctx, event)
	}
}

func isInvalidClient(err error) bool {
	var refused *helseid.TokenError
	return errors.As(err, &refused) && refused.Code == "invalid_client" && !refused.Temporary
}

// find finds a key among those that are registered.
func find(secrets []ClientSecret, key *clientassertion.Key) (ClientSecret, bool) {
	for _, secret := range secrets {
		if key != nil && (secret.Thumbprint == key.Thumbprint() || secret.Thumbprint == "" && secret.KeyID == key.ID()) {
			return secret, true
		}
	}
	return ClientSecret{}, false
}

func same(a, b *clientassertion.Key) bool {
	return a != nil && b != nil && a.Thumbprint() == b.Thumbprint()
}
