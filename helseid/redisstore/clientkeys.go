package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

// saveKeysScript takes the sealed keys that must be stored, or nothing, and those to
// store. Sealed keys never occur twice, so these were written by this very call, whose
// answer was lost, if they are there already.
var saveKeysScript = newScript(`
local stored = redis.call('GET', KEYS[1]) or ''
if stored == ARGV[2] then
	return 1
end
if stored ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1`)

// ClientKeys returns a store for the private keys of a client, for RotationConfig.Store of
// package selvbetjening. It requires [Config.KeepClientKeys]; the error wraps [ErrConfig].
// Use [Store.KeyLock] with it.
//
// Nothing is stored until the first key has been replaced, and every process needs
// RotationConfig.Client.Key until then; afterwards that key is not used. The errors of the
// store wrap [ErrUnavailable], [ErrDecrypt] or [ErrEviction]. Save fails with
// selvbetjening.ErrKeysChanged if another process has saved keys first, and Load with
// selvbetjening.ErrKeyStore if a later version of this library has.
func (s *Store) ClientKeys(clientID string) (selvbetjening.KeyStore, error) {
	switch {
	case !s.connection.config.KeepClientKeys:
		return nil, fmt.Errorf("%w: field KeepClientKeys is required to keep private keys in Redis", ErrConfig)
	case clientID == "":
		return nil, fmt.Errorf("%w: there is no client id", ErrConfig)
	}
	connection := s.connection.within(s.connection.config.SessionTimeout)
	return clientKeys{connection, s.sealer, connection.config.KeyPrefix + "key:" + clientName(clientID)}, nil
}

// clientKeys is a [selvbetjening.KeyStore]. The version is the sealed text.
type clientKeys struct {
	connection *connection
	sealer     sealer
	place      string
}

// keysVersion is the form of keyDocument. It stays while older versions of this library
// can read what is written.
const keysVersion = 1

// keyDocument is what is sealed.
type keyDocument struct {
	Version      int             `json:"version"`
	Current      json.RawMessage `json:"currentJwk"`
	CurrentSince time.Time       `json:"currentSince,omitzero"`
	Pending      json.RawMessage `json:"pendingJwk,omitempty"`
	PendingSince time.Time       `json:"pendingSince,omitzero"`
	Replaced     []string        `json:"replaced,omitempty"`
}

// Load implements [selvbetjening.KeyStore].
func (k clientKeys) Load(ctx context.Context) (selvbetjening.StoredKeys, error) {
	var sealed []byte
	err := k.connection.use(ctx, func(ctx context.Context) (err error) {
		sealed, err = k.connection.client.Get(ctx, k.place).Bytes()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return selvbetjening.StoredKeys{}, nil
	}
	if err != nil {
		return selvbetjening.StoredKeys{}, err
	}
	text, err := k.sealer.open(k.place, 0, sealed)
	if err != nil {
		return selvbetjening.StoredKeys{}, err
	}
	keys, err := parseKeys(text)
	keys.Version = string(sealed)
	return keys, err
}

func parseKeys(text []byte) (keys selvbetjening.StoredKeys, err error) {
	var document keyDocument
	if json.Unmarshal(text, &document) != nil {
		return keys, ErrDecrypt // the cause may quote it
	}
	if document.Version != keysVersion {
		return keys, fmt.Errorf("redisstore: %w: the keys were written by another version of this library", selvbetjening.ErrKeyStore)
	}
	if keys.Current, err = clientassertion.ParseKey(document.Current, clientassertion.KeyOptions{}); err != nil {
		return keys, err
	}
	if len(document.Pending) > 0 {
		if keys.Pending, err = clientassertion.ParseKey(document.Pending, clientassertion.KeyOptions{}); err != nil {
			return keys, err
		}
	}
	keys.CurrentSince, keys.PendingSince, keys.Replaced = document.CurrentSince, document.PendingSince, document.Replaced
	return keys, nil
}

// Save implements [selvbetjening.KeyStore].
func (k clientKeys) Save(ctx context.Context, keys selvbetjening.StoredKeys) (version string, err error) {
	text, err := formatKeys(keys)
	if err != nil {
		return "", err
	}
	sealed, err := k.sealer.seal(k.place, 0, text)
	if err != nil {
		return "", err
	}
	if !k.connection.config.TrustNoEviction {
		if err := k.connection.checkEviction(ctx); err != nil {
			return "", err
		}
	}
	var saved bool
	err = k.connection.use(ctx, func(ctx context.Context) (err error) {
		saved, err = saveKeysScript.Run(ctx, k.connection.client, []string{k.place}, keys.Version, sealed).Bool()
		return err
	})
	switch {
	case err != nil:
		return "", err
	case !saved:
		return "", fmt.Errorf("redisstore: %w", selvbetjening.ErrKeysChanged)
	}
	return string(sealed), nil
}

func formatKeys(keys selvbetjening.StoredKeys) (text []byte, err error) {
	document := keyDocument{Version: keysVersion, CurrentSince: keys.CurrentSince, Replaced: keys.Replaced}
	if keys.Current == nil {
		return nil, fmt.Errorf("redisstore: %w: there is no current key", clientassertion.ErrKey)
	}
	if document.Current, err = keys.Current.MarshalPrivateJWK(); err != nil {
		return nil, err
	}
	if keys.Pending != nil {
		document.PendingSince = keys.PendingSince
		if document.Pending, err = keys.Pending.MarshalPrivateJWK(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(document)
}
