package selvbetjening_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/testkit"
)

// modes are the behaviours that HelseID may have.
func modes(lifetime time.Duration) map[string]helseidtest.Selvbetjening {
	return map[string]helseidtest.Selvbetjening{
		"old keys live on":                        {KeyLifetime: lifetime},
		"and new ones take a while":               {KeyLifetime: lifetime, KeyDelay: 15 * time.Second},
		"old keys die at once":                    {KeyLifetime: lifetime, OldKeysDie: true},
		"old keys die, and new ones take a while": {KeyLifetime: lifetime, OldKeysDie: true, KeyDelay: 15 * time.Second},
	}
}

const loadRounds = 10

// loadKeys are the keys of the rounds: from EC to RSA and back.
var loadKeys = sync.OnceValues(func() (keys []*clientassertion.Key, err error) {
	for round := range loadRounds {
		kind := clientassertion.RSA3072
		if round%2 == 1 {
			kind = clientassertion.P256
		}
		key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: kind})
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
})

// undatedStore does not keep when a key was made: only its expiry tells
// whether it must be replaced.
type undatedStore struct{ selvbetjening.FileStore }

func (s undatedStore) Load(ctx context.Context) (selvbetjening.StoredKeys, error) {
	keys, err := s.FileStore.Load(ctx)
	keys.CurrentSince = time.Time{}
	return keys, err
}

// Under 200 calls in a second, a key with two hours left is replaced ten times in a row:
// no call fails, and nothing is signed with a key that HelseID does not know yet. Where old
// keys die at once, whoever holds a token does not notice, and all others are served within
// the same call.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	keys, err := loadKeys()
	require.NoError(t, err)
	for name, options := range modes(2 * time.Hour) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newRotationWorld(t, options)
				for round, key := range keys {
					w.rotateUnderLoad(t, round, key)
				}
				require.Equal(t, loadRounds, w.count(helseid.EventKeyReplaced))
				require.Zero(t, w.count(helseid.EventKeyFailed), w.log.String())
				require.Zero(t, w.count(helseid.EventKeyOrphan), w.log.String())
				refused := w.refusals()
				switch {
				case !options.OldKeysDie:
					require.Empty(t, refused)
				case options.KeyDelay == 0:
					require.NotContains(t, refused, keys[loadRounds-1].ID(), "it has not been replaced")
					require.NotEmpty(t, refused, "no call has met with a dead key")
				default: // the only way to find out is to try, once in a second
					for kid, times := range refused {
						require.LessOrEqual(t, times, 20, kid)
					}
				}
			})
		})
	}
}

func (w *rotationWorld) rotateUnderLoad(t *testing.T, round int, key *clientassertion.Key) {
	t.Helper()
	r := w.rotation(t, func(config *selvbetjening.RotationConfig) {
		config.Store, config.Before, config.Client.TokenRetries = undatedStore{w.store}, 3*time.Hour, -1
	})
	r.MakeKeysWith(func(clientassertion.KeyKind) (*clientassertion.Key, error) { return key, nil })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	var calls, renewals atomic.Int64
	fail := func(err error) {
		if err != nil {
			t.Errorf("round %d, after %d calls: %v", round, calls.Load(), err)
			cancel()
		}
	}
	const callers, tick = 10, 50 * time.Millisecond // each makes one call in a tick
	source := r.Client().TokenSource(helseid.TokenRequest{Scopes: []string{otherScope}})
	for i := range callers {
		group.Go(func() {
			testkit.Sleep(time.Duration(i) * tick / callers)
			for ctx.Err() == nil {
				_, err := source.Token(context.WithoutCancel(ctx))
				fail(err)
				calls.Add(1)
				testkit.Sleep(tick)
			}
		})
	}
	renewing := r.Client().TokenSource(helseid.TokenRequest{Scopes: []string{otherScope, selvbetjening.Scope}})
	for range 3 { // hold no token
		group.Go(func() {
			for ctx.Err() == nil {
				renewing.Forget(context.WithoutCancel(ctx))
				_, err := renewing.Token(context.WithoutCancel(ctx))
				fail(err)
				renewals.Add(1)
				testkit.Sleep(900 * time.Millisecond)
			}
		})
	}
	testkit.Sleep(time.Second)
	group.Go(func() { r.Run(ctx) })
	for range 120 {
		if kid, _ := r.Client().KeyExpiry(ctx); kid == key.ID() || ctx.Err() != nil {
			break
		}
		testkit.Sleep(time.Second)
	}
	testkit.Sleep(5 * time.Second)
	cancel()
	group.Wait()
	r.Close()
	kid, _ := r.Client().KeyExpiry(t.Context())
	require.Equal(t, key.ID(), kid, fmt.Sprint("round ", round))
	require.GreaterOrEqual(t, calls.Load(), int64(200*5))
	require.GreaterOrEqual(t, renewals.Load(), int64(3*5))
	testkit.Sleep(time.Minute)
}
