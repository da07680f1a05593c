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

	// maxConflicts is how often in a row other instances may save keys first.
	maxConflicts = 3
)

// ErrRotation is wrapped by the errors of a [Rotation]. The key that worked before stays
// in use after any of them.
var ErrRotation = errRotation

var errRotation = redact.Words("selvbetjening: the key was not replaced, and the old one stays in use")

// Rotation is a client whose key is replaced before it expires.
//
// It makes a new key and saves it in the store, registers it, tries it with a token
// request, and only then uses it in place of the old one. If the process ends in between,
// the next one continues: it looks up the pending key of the store at HelseID, registers
// it if HelseID does not have it, tries it, and uses it if it works. So every key that is
// registered is in the store, and the old key is not given up before the new one works.
// HelseID documents no call that removes a key: the old one stays registered until it
// expires.
//
// Several instances may share a store. The first one that saves a new key registers it.
// The others start to use it at their next check of the store, or when HelseID refuses the
// old key, within the call that was refused.
//
// A key that HelseID lists and that is neither a current nor a former key of the store is
// an orphan: another program uses it, or nobody does, for instance after the store was
// lost. It works until it expires. It is reported once by each Rotation
// ([helseid.EventKeyOrphan] and the log), with its kid and its expiry, so that it can be
// removed in HelseID Selvbetjening.
type Rotation struct {
	unprintable

	config   RotationConfig
	client   *helseid.Client
	self     *Client
	key      *rotatingKey
	generate func(clientassertion.KeyKind) (*clientassertion.Key, error)
	turn     chan struct{} // holds one element while keys are being worked on
	runs     *lifecycle.Lifecycle
	searches searches
	reported map[string]bool // the kids of orphans; it belongs to whoever has the turn
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
	r := &Rotation{
		config: config, key: &rotatingKey{}, generate: generateKey,
		turn: make(chan struct{}, 1), runs: lifecycle.New(), reported: make(map[string]bool),
	}
	r.key.used.Store(&usedKey{Key: stored.Current, since: stored.CurrentSince, jitter: rand.Float64()})
	r.key.start = r.startSearch
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

func generateKey(kind clientassertion.KeyKind) (*clientassertion.Key, error) {
	return clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: kind})
}

// Client is the client whose key is replaced. [Rotation.Close] closes it.
func (r *Rotation) Client() *helseid.Client { return r.client }

// Close ends [Rotation.Run], waits for it, and closes the client.
func (r *Rotation) Close() {
	r.runs.Close()
	r.client.Close()
}

// Rotate replaces the key now, or finishes a replacement that was begun. If it fails, the
// old key stays in use, and the error wraps [ErrRotation], names the step that failed, and
// says what to do. An error that does not wrap it means that the new key is in use, and
// that the store still has it as the pending one; the next Rotate or Run corrects that.
func (r *Rotation) Rotate(ctx context.Context) error {
	ctx, done, err := r.runs.Foreground(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRotation, err)
	}
	defer done()
	_, err = r.work(ctx, true)
	return err
}

// work does what is due, and returns how long to wait for the next time.
func (r *Rotation) work(ctx context.Context, now bool) (wait time.Duration, err error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrRotation, ctx.Err())
	}
	before := r.key.current()
	for conflicts := 0; ; conflicts++ {
		err := r.workOn(ctx, before, now)
		if err == nil {
			return r.untilDue(), nil
		}
		if !errors.Is(err, ErrKeysChanged) || conflicts == maxConflicts || !clock.Sleep(ctx, rand.N(time.Second)) {
			return 0, err
		}
	}
}

// workOn replaces the key if that is to be done, unless another instance has done it.
func (r *Rotation) workOn(ctx context.Context, before *clientassertion.Key, now bool) error {
	seen, err := r.look(ctx)
	if err != nil || !r.isToDo(seen, before, now) {
		return err
	}
	if r.config.Lock != nil {
		unlock, err := r.config.Lock(ctx)
		if err != nil {
			return r.failure("wait for the lock", redact.Foreign(err))
		}
		defer unlock()
		if seen, err = r.look(ctx); err != nil || !r.isToDo(seen, before, now) {
			return err
		}
	}
	return r.replace(ctx, seen)
}

// isToDo reports whether there is a replacement to finish or to begin.
func (r *Rotation) isToDo(seen view, before *clientassertion.Key, now bool) bool {
	return seen.stored.Pending != nil || r.isDue() || now && same(r.key.current(), before)
}

// replace brings a key that is pending, or a new one, into use.
func (r *Rotation) replace(ctx context.Context, seen view) error {
	stored := seen.stored
	secret, registered := find(seen.secrets, stored.Pending)
	if stored.Pending != nil && !seen.refused && time.Since(stored.PendingSince).Abs() > maxPending {
		if registered {
			r.orphan(ctx, secret, "HelseID knows a key that it has refused for a day: another one is made")
		}
		stored.Pending, registered = nil, false
	}
	if stored.Pending == nil {
		key, err := r.generate(r.config.Kind)
		if err != nil {
			return r.failure("make a key", err)
		}
		stored.Pending, stored.PendingSince = key, time.Now()
		if stored.Version, err = r.config.Store.Save(ctx, stored); err != nil {
			return r.failure("save a new key", err)
		}
	}
	var expiry time.Time
	untilRefused, trial, end := r.key.begin(ctx)
	defer end()
	settle := r.config.Settle
	switch {
	case seen.refused:
		settle = 0
	case registered:
		expiry, settle = secret.Expiration, 0
	default:
		var err error
		if expiry, err = r.self.AddClientSecret(ctx, stored.Pending); err != nil {
			if known, err := r.afterFailedUpload(ctx, untilRefused, stored, err); !known {
				return err
			}
		}
	}
	trial.verifying.Store(true)
	if err := r.verify(ctx, stored.Pending, settle, untilRefused); err != nil {
		end()
		if registered && ctx.Err() == nil {
			r.orphan(ctx, secret, "HelseID knows a key that does not work yet: it is kept, and tried again")
		}
		return r.failure("try the new key "+stored.Pending.ID(), err)
	}
	r.use(ctx, stored.Pending, stored.PendingSince, expiry)
	if _, err := r.config.Store.Save(ctx, promoted(stored, seen.secrets)); err != nil {
		return fmt.Errorf("selvbetjening: the new key is in use, but the store still has it as the pending one, which the next try corrects: %w", err)
	}
	return nil
}

// afterFailedUpload finds out whether a key has been registered although the request for
// that failed. Its error is that of the upload.
func (r *Rotation) afterFailedUpload(ctx context.Context, untilRefused context.Context, stored StoredKeys, uploadErr error) (registered bool, err error) {
	err = r.failure("register the new key "+stored.Pending.ID(), uploadErr)
	secrets, listErr := r.self.ClientSecrets(untilRefused)
	if untilRefused.Err() != nil && ctx.Err() == nil {
		return true, err // or why would the old key be refused now?
	}
	if listErr != nil {
		return false, err
	}
	if _, registered = find(secrets, stored.Pending); registered {
		return true, err
	}
	var refused *Error
	if !errors.As(uploadErr, &refused) || refused.Status != http.StatusBadRequest {
		return false, err
	}
	if r.try(ctx, stored.Pending) == nil { // another instance has registered it, and the list is late
		return true, err
	}
	// HelseID does not take this key: the next try makes another.
	stored.Pending, stored.PendingSince = nil, time.Time{}
	if _, saveErr := r.config.Store.Save(ctx, stored); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	return false, err
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
		if same(r.key.current(), key) { // a search has seen it work
			return nil
		}
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
	before := r.key.swap(&usedKey{Key: key, since: since, expiry: expiry, jitter: rand.Float64()})
	if !expiry.IsZero() {
		r.expires(key, expiry)
	}
	if before == nil {
		return
	}
	r.config.Client.Logger.InfoContext(ctx, "the client's key has been replaced", r.whose(key), slog.String("old_kid", before.ID()), slog.Time("expiry", expiry))
	r.tell(ctx, helseid.Event{Kind: helseid.EventKeyReplaced, KeyID: key.ID(), Expiry: expiry})
}

// expires notes when a key expires.
func (r *Rotation) expires(key *clientassertion.Key, expiry time.Time) {
	r.key.expires(key, expiry)
	r.client.SetKeyExpiry(key.ID(), expiry)
}

func isInvalidClient(err error) bool {
	var refused *helseid.TokenError
	return errors.As(err, &refused) && refused.Code == "invalid_client" && !refused.Temporary
}
