package jose

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	// The nine that HelseID accepts for assertions and proofs, and nothing
	// else: no "none", no HMAC.
	require.Equal(t, []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512}, Algorithms())
	Algorithms()[0] = "none"
	require.Equal(t, RS256, Algorithms()[0], "a caller must not be able to change the list")
	for _, unknown := range []Algorithm{"", "none", "None", "HS256", "HS384", "HS512", "EdDSA", "ES256K", "rs256", " RS256"} {
		_, err := unknown.spec()
		require.ErrorIs(t, err, ErrAlgorithm, "%q", unknown)
	}
}

func TestAlgorithmFitsKey(t *testing.T) {
	t.Parallel()
	rsaKey := sharedRSA().Public()
	p256 := sharedEC[elliptic.P256()]().Public()
	p384 := sharedEC[elliptic.P384()]().Public()
	p521 := sharedEC[elliptic.P521()]().Public()
	keys := map[string]crypto.PublicKey{"RSA": rsaKey, "P-256": p256, "P-384": p384, "P-521": p521}
	// RFC 7518 sections 3.3 to 3.5.
	fits := map[Algorithm]string{
		RS256: "RSA", RS384: "RSA", RS512: "RSA", PS256: "RSA", PS384: "RSA", PS512: "RSA",
		ES256: "P-256", ES384: "P-384", ES512: "P-521",
	}
	for _, algorithm := range Algorithms() {
		for name, key := range keys {
			t.Run("T094 T095 "+string(algorithm)+" and "+name, func(t *testing.T) {
				t.Parallel()
				public, err := NewPublicKey(key, algorithm)
				if fits[algorithm] != name {
					require.ErrorIs(t, err, ErrAlgorithm)
					return
				}
				require.NoError(t, err)
				require.Equal(t, algorithm, public.Algorithm())
			})
		}
	}
}

func TestDefaultAlgorithm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key  crypto.PublicKey
		want Algorithm
	}{
		"RSA":   {sharedRSA().Public(), PS256},
		"P-256": {sharedEC[elliptic.P256()]().Public(), ES256},
		"P-384": {sharedEC[elliptic.P384()]().Public(), ES384},
		"P-521": {sharedEC[elliptic.P521()]().Public(), ES512},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public, err := NewPublicKey(test.key, "")
			require.NoError(t, err)
			require.Equal(t, test.want, public.Algorithm())
		})
	}
	t.Run("T095 another curve", func(t *testing.T) {
		t.Parallel()
		_, err := NewPublicKey(sharedEC[elliptic.P224()]().Public(), "")
		require.Error(t, err)
	})
	t.Run("Ed25519", func(t *testing.T) {
		t.Parallel()
		_, err := NewPublicKey(make(ed25519.PublicKey, 32), "")
		require.Error(t, err)
	})
}
