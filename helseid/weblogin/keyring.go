package weblogin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// keyring holds the keys that seal what browsers keep for this application. All its
// processes share them, in one row of the client's session store; a process that
// finds no young key writes a new one. If the store loses them, only logins under way
// are lost.
//
// The keys stay in memory, so that neither a flood of logins nor a store that is down
// has an effect.
type keyring struct {
	store helseid.Store
	row   string        // key in the store
	turn  chan struct{} // a lock: its holder may use the store

	mu     sync.Mutex
	keys   []sealingKey // the first one seals
	readAt time.Time    // when they were last read
	tried  time.Time    // when that was last tried
	err    error        // the result of that
}

// sealingKey is one of the keys.
type sealingKey struct {
	id     string // identifies the key in what it has sealed
	made   time.Time
	secret redact.Hidden[string]
}

const (
	keyringVersion = 1
	keySize        = 32
	maxKeys        = 4

	// keyRotation is how long a key seals. After that it opens for as long again.
	keyRotation = 24 * time.Hour
	keyLife     = 2 * keyRotation

	// keyReread is how often a process looks for keys of other processes.
	keyReread = 5 * time.Minute

	// minReread is the shortest time between two looks because of an unknown key,
	// whose id anyone can invent.
	minReread = time.Second

	// rereadTimeout limits a look that nobody needs to wait for. lookTimeout limits
	// one that all callers without keys wait for; the caller that makes it may be a
	// stranger who leaves, or whose connection to the store hangs.
	rereadTimeout = time.Second
	lookTimeout   = 2 * time.Second

	keyringTries = 10

	// maxClockGap is how far the clocks of processes may differ. A key from further
	// in the future counts as old.
	maxClockGap = time.Minute
)

// newKeyring does not use the store.
func newKeyring(client *helseid.Client) *keyring {
	sum := sha256.Sum256(join(client.Issuer(), client.ID()))
	return &keyring{store: client.Sessions().Store(), row: "weblogin-keys-" + hex.EncodeToString(sum[:]), turn: make(chan struct{}, 1)}
}

// younger reports that a time is less than an age ago, and not in the future.
func younger(at, now time.Time, age time.Duration) bool {
	passed := now.Sub(at)
	return passed < age && passed > -maxClockGap
}

// current returns the key to seal with. While the store does not answer, any known
// key is used.
func (k *keyring) current(ctx context.Context) (sealingKey, error) {
	key, known, due := k.newest(time.Now())
	switch {
	case !due:
		return key, nil
	case known:
		select {
		case k.turn <- struct{}{}:
		default:
			return key, nil // another goroutine is already looking
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rereadTimeout)
		defer cancel()
		err := k.renew(ctx)
		<-k.turn
		if err == nil {
			key, _, _ = k.newest(time.Now())
		}
		return key, nil
	}
	if err := k.lock(ctx); err != nil {
		return sealingKey{}, err
	}
	defer func() { <-k.turn }()
	if key, known, _ := k.newest(time.Now()); known {
		return key, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	if err := k.renew(ctx); err != nil {
		return sealingKey{}, err
	}
	key, _, _ = k.newest(time.Now())
	return key, nil
}

// find returns the key with an id, if there is one.
func (k *keyring) find(ctx context.Context, id string) (key sealingKey, found bool, err error) {
	if key, found := k.known(id); found {
		return key, true, nil
	}
	if err := k.lock(ctx); err != nil {
		return sealingKey{}, false, err
	}
	defer func() { <-k.turn }()
	if key, found := k.known(id); found {
		return key, true, nil
	}
	k.mu.Lock()
	recent, err := younger(k.tried, time.Now(), minReread), k.err
	k.mu.Unlock()
	if recent {
		return sealingKey{}, false, err // the error of a moment ago
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	row, err := k.load(ctx)
	if err != nil {
		return sealingKey{}, false, err
	}
	if keys := decodeKeys(row.Data); len(keys) > 0 {
		k.adopt(keys)
	}
	key, found = k.known(id)
	return key, found, nil
}

func (k *keyring) lock(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &storeError{redact.Hide(ctx.Err())}
	}
}

// newest returns the key to seal with, if one is known. due says that the store
// should be read, because the last time was long ago or the key is no longer young.
func (k *keyring) newest(now time.Time) (key sealingKey, known, due bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 0 {
		return sealingKey{}, false, true
	}
	key = k.keys[0]
	old := !younger(key.made, now, keyRotation) || !younger(k.readAt, now, keyReread)
	return key, true, old && !younger(k.tried, now, minReread)
}

func (k *keyring) known(id string) (sealingKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	at := slices.IndexFunc(k.keys, func(key sealingKey) bool { return key.id == id && younger(key.made, now, keyLife) })
	if at < 0 {
		return sealingKey{}, false
	}
	return k.keys[at], true
}

// adopt takes over the keys in the store. Keys that only this process knows are still
// used to open.
func (k *keyring) adopt(keys []sealingKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	for _, own := range k.keys {
		if younger(own.made, now, keyLife) && !slices.ContainsFunc(keys, func(key sealingKey) bool { return key.id == own.id }) {
			keys = append(keys, own)
		}
	}
	k.keys, k.readAt = keys[:min(len(keys), maxKeys)], now
}

func (k *keyring) load(ctx context.Context) (helseid.StoredRow, error) {
	row, err := k.store.Load(ctx, k.row)
	if errors.Is(err, helseid.ErrUnreadableRow) {
		row.Data, err = nil, nil // the row is replaced
	}
	if err != nil {
		err = &storeError{redact.Hide(err)}
	}
	k.mu.Lock()
	k.tried, k.err = time.Now(), err
	k.mu.Unlock()
	return row, err
}

// renew reads the keys, and writes a new one if none is young. If the store has lost
// the keys, it writes back those that are known here.
func (k *keyring) renew(ctx context.Context) error {
	for range keyringTries {
		row, err := k.load(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		keys := decodeKeys(row.Data)
		stored := len(keys) > 0
		if !stored {
			k.mu.Lock()
			keys = slices.Clone(k.keys)
			k.mu.Unlock()
		}
		keys = slices.DeleteFunc(keys, func(key sealingKey) bool { return !younger(key.made, now, keyLife) })
		young := len(keys) > 0 && younger(keys[0].made, now, keyRotation)
		if !young {
			keys = slices.Insert(keys, 0, newSealingKey(now))
		}
		keys = keys[:min(len(keys), maxKeys)]
		saved := stored && young
		if !saved {
			saved, err = k.store.Save(ctx, k.row, helseid.StoredRow{Version: row.Version, Data: encodeKeys(keys), Expiry: now.Add(keyLife)})
		}
		switch {
		case err != nil:
			return &storeError{redact.Hide(err)}
		case saved:
			k.adopt(keys)
			return nil
		} // otherwise another process was faster
	}
	return &storeError{redact.Hide(errors.New("the keys of logins change all the time"))}
}

func newSealingKey(now time.Time) sealingKey {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	return sealingKey{id: keyID(secret), made: now, secret: redact.Hide(string(secret))}
}

// keyID names a key without revealing anything about it.
func keyID(secret []byte) string {
	sum := sha256.Sum256(append([]byte("weblogin sealing key "), secret...))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// storedKeys is the stored row.
type storedKeys struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`
}

type storedKey struct {
	Secret []byte `json:"secret"`
	Made   int64  `json:"made"` // Unix seconds
}

func encodeKeys(keys []sealingKey) []byte {
	row := storedKeys{Version: keyringVersion}
	for _, key := range keys {
		row.Keys = append(row.Keys, storedKey{[]byte(key.secret.Reveal()), key.made.Unix()})
	}
	data, err := json.Marshal(row)
	if err != nil { // unreachable: these are bytes and numbers
		panic(fmt.Sprint("weblogin: ", err))
	}
	return data
}

// decodeKeys returns no keys if the row cannot be read.
func decodeKeys(data []byte) (keys []sealingKey) {
	var row storedKeys
	if json.Unmarshal(data, &row) != nil || row.Version != keyringVersion {
		return nil
	}
	for _, key := range row.Keys {
		if len(key.Secret) == keySize {
			keys = append(keys, sealingKey{keyID(key.Secret), time.Unix(key.Made, 0), redact.Hide(string(key.Secret))})
		}
	}
	return keys
}
