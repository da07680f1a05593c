package jose

import (
	"crypto"
	"encoding/base64"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"
)

// TestJWX lets a JOSE library made by others read what this package writes, and
// the other way round.
func TestJWX(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, algorithm)
			theirs, ok := jwa.LookupSignatureAlgorithm(string(algorithm))
			require.True(t, ok)

			token := sign(t, key, `{"alg":"`+string(algorithm)+`"}`, "payload")
			payload, err := jws.Verify([]byte(token), jws.WithKey(theirs, key.Public().CryptoKey()))
			require.NoError(t, err)
			require.Equal(t, "payload", string(payload))

			signed, err := jws.Sign([]byte("payload"), jws.WithKey(theirs, key.Signer()))
			require.NoError(t, err)
			require.NoError(t, verify(string(signed), key.Public()))

			imported, err := jwk.Import(key.Public().CryptoKey())
			require.NoError(t, err)
			thumbprint, err := imported.Thumbprint(crypto.SHA256)
			require.NoError(t, err)
			require.Equal(t, base64.RawURLEncoding.EncodeToString(thumbprint), key.Public().Thumbprint())

			public, err := jwk.ParseKey(key.MarshalPublicJWK())
			require.NoError(t, err)
			_, err = jws.Verify([]byte(token), jws.WithKey(theirs, public))
			require.NoError(t, err)
		})
	}
}
