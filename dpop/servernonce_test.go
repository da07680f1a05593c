package dpop

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

func TestNonceIssuer(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{7}, 32)
	t.Run("a step is thirty seconds, and four old ones are accepted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			issuer := testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: secret}))
			nonce := issuer.Nonce() // the bubble starts at the start of a step
			require.True(t, validNonce(nonce), "and can be sent")
			for second := range 200 {
				require.Equal(t, second < 150, issuer.Valid(nonce), "after %d s", second)
				require.Equal(t, second < 30, issuer.Nonce() == nonce)
				require.True(t, issuer.Valid(issuer.Nonce()))
				testkit.Sleep(time.Second)
			}
		})
	})
	t.Run("a replica that is ahead", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			issuer := testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: secret}))
			step := currentStep()
			require.True(t, issuer.Valid(issuer.at(step+1)))
			require.False(t, issuer.Valid(issuer.at(step+2)))
			require.True(t, issuer.Valid(issuer.at(step-4)))
			require.False(t, issuer.Valid(issuer.at(step-5)))
			require.False(t, issuer.Valid(issuer.at(-1<<63)))
			require.False(t, issuer.Valid(issuer.at(1<<63-1)))
		})
	})
	t.Run("replicas share the secret, strangers do not", func(t *testing.T) {
		t.Parallel()
		one, two := testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: secret})), testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: bytes.Clone(secret)}))
		require.True(t, two.Valid(one.Nonce()))
		require.False(t, testkit.Must(NewNonceIssuer(NonceIssuerConfig{})).Valid(one.Nonce()))
		require.False(t, testkit.Must(NewNonceIssuer(NonceIssuerConfig{})).Valid(testkit.Must(NewNonceIssuer(NonceIssuerConfig{})).Nonce()))
		require.False(t, testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: bytes.Repeat([]byte{8}, 32)})).Valid(one.Nonce()))
	})
	t.Run("the secret is a copy", func(t *testing.T) {
		t.Parallel()
		own := bytes.Clone(secret)
		issuer := testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: own}))
		clear(own)
		require.True(t, testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: secret})).Valid(issuer.Nonce()))
	})
	t.Run("each changed character counts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			issuer := testkit.Must(NewNonceIssuer(NonceIssuerConfig{Secret: secret}))
			nonce := issuer.Nonce()
			for i := range len(nonce) {
				changed := []byte(nonce)
				if changed[i]++; changed[i] == '[' || changed[i] == '{' || changed[i] == ':' || changed[i] == '.' || changed[i] == '`' {
					changed[i] = 'A'
				}
				if string(changed) != nonce {
					require.False(t, issuer.Valid(string(changed)), "%d", i)
				}
			}
			for _, bad := range []string{"", nonce[1:], nonce + "A", nonce + "=", nonce[:31] + "\n", strings.ToLower(nonce), nonce[:11] + strings.Repeat("A", 21)} {
				require.False(t, issuer.Valid(bad))
			}
		})
	})
	for length, good := range map[int]bool{0: false, 16: false, 31: false, 32: true, 64: true} {
		_, err := NewNonceIssuer(NonceIssuerConfig{Secret: make([]byte, length)})
		require.Equal(t, good, err == nil, "%d bytes", length)
		require.Equal(t, !good, errors.Is(err, ErrConfig))
	}
}
