package selvbetjening

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

// Whoever waits for a search for another key starts one for its own after it.
func TestSearchesForSeveralKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var keys []*clientassertion.Key
		for range 3 {
			key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
			require.NoError(t, err)
			keys = append(keys, key)
		}
		var searched []*search
		k := &rotatingKey{}
		k.start = func(search *search) { searched = append(searched, search) }
		k.used.Store(&usedKey{Key: keys[0]})

		var returned atomic.Int32
		refused := func(ctx context.Context, key *clientassertion.Key) {
			go func() {
				k.KeyRefused(ctx, key)
				returned.Add(1)
			}()
			synctest.Wait()
		}
		refused(t.Context(), keys[0])
		refused(t.Context(), keys[0])
		require.Len(t, searched, 1, "one search for both")
		k.used.Store(&usedKey{Key: keys[1]})
		refused(t.Context(), keys[0])
		require.EqualValues(t, 1, returned.Load(), "another key is in use")
		refused(t.Context(), keys[1])
		ctx, cancel := context.WithCancel(t.Context())
		refused(ctx, keys[1])
		cancel()
		synctest.Wait()
		require.EqualValues(t, 2, returned.Load(), "a caller that leaves")
		require.Len(t, searched, 1)
		k.searched()
		synctest.Wait()
		require.EqualValues(t, 4, returned.Load())
		require.Len(t, searched, 2)
		require.Same(t, keys[1], searched[1].refused)
		k.searched()
		synctest.Wait()
		require.EqualValues(t, 5, returned.Load(), "it has found nothing")
		require.Len(t, searched, 2)
	})
}

// An event about a rotation that failed is told from one about a key that did not sign.
func TestFailedRotationIsNoKeyThatDidNotSign(t *testing.T) {
	t.Parallel()
	event := &toldError{causes: withoutWords(errors.Join(ErrRotation, helseid.ErrKey))}
	require.ErrorIs(t, event, ErrRotation)
	require.NotErrorIs(t, event, helseid.ErrKey)
}
