package helseid_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

// replacedKey is a source whose key is replaced at will.
type replacedKey struct {
	atomic.Pointer[clientassertion.Key]
}

var errNoKeyNow = errors.New("there is no key now")

func (r *replacedKey) Key(ctx context.Context) (*clientassertion.Key, error) {
	key := r.Load()
	if key == nil {
		return nil, errNoKeyNow
	}
	return key, ctx.Err()
}

// The key in use is told when it is another one, or when more or less is known of it, and
// once.
func TestKeyInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &replacedKey{}
		var first *clientassertion.Key
		w := newWorld(t, worldOptions{config: func(config *helseid.Config) {
			first, config.Key, config.KeySource = config.Key, nil, source
			source.Store(first)
		}})
		second, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
		require.NoError(t, err)
		const day = 24 * time.Hour
		start := time.Now()
		request := func() {
			_, _ = w.client.Token(t.Context(), helseid.TokenRequest{Scopes: []string{testScope}}) // refused with the second key
			w.client.TokenSource(helseid.TokenRequest{Scopes: []string{testScope}}).Forget(t.Context())
		}
		type told struct {
			key  *clientassertion.Key
			days int // or zero if it is not known
		}
		for i, step := range []struct {
			do   func()
			told []told
		}{
			{func() { w.client.SetKeyExpiry(second.ID(), start.Add(40*day)) }, []told{{first, 0}}},
			{request, nil},
			{func() { w.client.SetKeyExpiry(first.ID(), start.Add(100*day)) }, []told{{first, 100}}},
			{func() { w.client.SetKeyExpiry(first.ID(), start.Add(100*day)) }, nil},
			{request, nil},
			{func() { w.client.SetKeyExpiry(first.ID(), time.Time{}) }, []told{{first, 0}}},
			{func() { w.client.SetKeyExpiry(first.ID(), start.Add(2*day)) }, []told{{first, 2}}},
			{func() { source.Store(second); request() }, []told{{second, 40}}},
			{func() { w.client.SetKeyExpiry(first.ID(), start.Add(3*day)) }, nil},
			{func() { source.Store(first); _, _ = w.client.KeyExpiry(t.Context()) }, []told{{first, 3}}},
			{func() { source.Store(nil); _, _ = w.client.KeyExpiry(t.Context()) }, nil},
			{func() { w.client.SetKeyExpiry(first.ID(), start.Add(4*day)) }, []told{{first, 4}}},
			{func() { source.Store(second); w.client.SetKeyExpiry(second.ID(), time.Time{}) }, []told{{second, 0}}},
		} {
			w.events.reset()
			step.do()
			var got []told
			for _, event := range w.events.all() {
				if event.Kind != helseid.EventKeyInUse {
					continue
				}
				require.Equal(t, w.client.ID(), event.ClientID)
				is := told{key: map[string]*clientassertion.Key{first.ID(): first, second.ID(): second}[event.KeyID]}
				if !event.Expiry.IsZero() {
					is.days = int(event.Expiry.Sub(start) / day)
				}
				got = append(got, is)
			}
			require.Equal(t, step.told, got, i)
		}
	})
}

// The last event is right, whatever happens at the same time, and OnEvent may call the
// client.
func TestKeyInUseAtTheSameTime(t *testing.T) {
	t.Parallel()
	source := &replacedKey{}
	var (
		mu     sync.Mutex
		last   helseid.Event
		client *helseid.Client
	)
	w := newWorld(t, worldOptions{config: func(config *helseid.Config) {
		source.Store(config.Key)
		config.Key, config.KeySource = nil, source
	}})
	config := w.config
	config.OnEvent = func(ctx context.Context, event helseid.Event) {
		if event.Kind == helseid.EventKeyInUse {
			_, _ = client.KeyExpiry(ctx)
			mu.Lock()
			defer mu.Unlock()
			last = event
		}
	}
	client = newClient(t, config)
	var keys []*clientassertion.Key
	for range 4 {
		key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
		require.NoError(t, err)
		keys = append(keys, key)
	}
	for round := range 50 {
		var calls sync.WaitGroup
		for i, key := range keys {
			calls.Go(func() {
				source.Store(key)
				client.SetKeyExpiry(key.ID(), time.Now().Add(time.Duration(100*round+i)*time.Hour))
				_, _ = client.KeyExpiry(t.Context())
			})
		}
		calls.Wait()
		keyID, expiry := client.KeyExpiry(t.Context())
		mu.Lock()
		require.Equal(t, keyID, last.KeyID)
		require.True(t, expiry.Equal(last.Expiry), fmt.Sprint(expiry, last.Expiry))
		mu.Unlock()
	}
}

// A program may say when all keys of a registration expire, in any order.
func TestExpiryOfOneOfManyKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	keyID, _ := w.client.KeyExpiry(t.Context())
	expiry := time.Now().Add(time.Hour)
	w.client.SetKeyExpiry(keyID, expiry)
	for i := range 100 {
		w.client.SetKeyExpiry(strconv.Itoa(i), expiry.Add(time.Hour))
	}
	_, known := w.client.KeyExpiry(t.Context())
	require.True(t, known.Equal(expiry), known)
}
