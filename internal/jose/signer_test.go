package jose

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSigner(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run("T016 "+string(algorithm), func(t *testing.T) {
			t.Parallel()
			key, err := NewKey(signerFor(t, algorithm), KeyOptions{Algorithm: algorithm, ID: "kid-1"})
			require.NoError(t, err)
			token, err := NewSigner(key, Header{Type: "some+jwt"}).Sign(context.Background(), []byte(`{"a":1}`))
			require.NoError(t, err)
			require.NoError(t, verify(token, key.Public()))
			compact, err := ParseCompact(token, 10_000)
			require.NoError(t, err)
			require.Equal(t, `{"a":1}`, string(compact.Payload))
			// T007: the type is what was asked for.
			require.Equal(t, `{"typ":"some+jwt","alg":"`+string(algorithm)+`","kid":"kid-1"}`, compact.HeaderJSON)
			require.NotContains(t, token, "=")

			token, err = NewSigner(key, Header{Type: "some+jwt", EmbedKey: true}).Sign(context.Background(), nil)
			require.NoError(t, err)
			compact, err = ParseCompact(token, 10_000)
			require.NoError(t, err)
			require.Equal(t, []string{"typ", "alg", "jwk"}, compact.Header.Names())
			jwk, ok := compact.Header.Get("jwk").Object()
			require.True(t, ok)
			require.False(t, HasPrivateMember(jwk))
			embedded, err := ParsePublicJWK(jwk, algorithm)
			require.NoError(t, err)
			require.NoError(t, compact.Verify(embedded))
		})
	}
}

func TestSignerIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	// Two known libraries shared one digest object between requests, and made
	// wrong signatures and cache keys under load.
	key := keyFor(t, ES256)
	signer := NewSigner(key, Header{Type: "x"})
	var group sync.WaitGroup
	tokens := make([]string, 64)
	for i := range tokens {
		group.Go(func() { tokens[i], _ = signer.Sign(context.Background(), []byte{byte(i)}) })
	}
	group.Wait()
	for i, token := range tokens {
		compact, err := ParseCompact(token, 1000)
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, compact.Payload)
		require.NoError(t, compact.Verify(key.Public()))
	}
}
