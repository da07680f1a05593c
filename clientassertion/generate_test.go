package clientassertion_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/testkit"
)

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	for kind, want := range map[clientassertion.KeyKind]struct {
		algorithm string
		members   map[string]string // of the public JWK that say what kind it is
		modulus   int               // characters of n
	}{
		"":                      {"PS256", map[string]string{"kty": "RSA", "e": "AQAB"}, 683},
		clientassertion.RSA4096: {"PS256", map[string]string{"kty": "RSA", "e": "AQAB"}, 683},
		clientassertion.RSA3072: {"PS256", map[string]string{"kty": "RSA", "e": "AQAB"}, 512},
		clientassertion.P256:    {"ES256", map[string]string{"kty": "EC", "crv": "P-256"}, 0},
		clientassertion.P384:    {"ES384", map[string]string{"kty": "EC", "crv": "P-384"}, 0},
		clientassertion.P521:    {"ES512", map[string]string{"kty": "EC", "crv": "P-521"}, 0},
	} {
		t.Run("kind "+string(kind), func(t *testing.T) {
			t.Parallel()
			key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: kind})
			require.NoError(t, err)
			require.Equal(t, want.algorithm, key.Algorithm())
			require.Equal(t, key.Thumbprint(), key.ID())
			require.Equal(t, want.algorithm+" key "+key.ID(), fmt.Sprint(key))

			var public map[string]string
			require.NoError(t, json.Unmarshal(key.PublicJWK(), &public))
			for name, value := range want.members {
				require.Equal(t, value, public[name])
			}
			require.Len(t, public["n"], want.modulus)
			require.Equal(t, []string{"sig", want.algorithm, key.ID()}, []string{public["use"], public["alg"], public["kid"]})

			// Both exports are the same key to ParseKey.
			jwk, err := key.MarshalPrivateJWK()
			require.NoError(t, err)
			pem, err := key.MarshalPrivatePEM()
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(pem), "-----BEGIN PRIVATE KEY-----\n"))
			for name, data := range map[string][]byte{"JWK": jwk, "PEM": pem} {
				again, err := clientassertion.ParseKey(data, clientassertion.KeyOptions{})
				require.NoError(t, err, name)
				require.Equal(t, string(key.PublicJWK()), string(again.PublicJWK()), name)
				assertion, err := newSigner(t, again).Sign(t.Context())
				require.NoError(t, err)
				decode(t, assertion, key)
			}

			// Nothing of what the exports give is in the public half or printed.
			var private map[string]string
			require.NoError(t, json.Unmarshal(jwk, &private))
			require.NotEmpty(t, private["d"])
			for name := range private {
				if _, isPublic := public[name]; isPublic {
					continue
				}
				for _, text := range []string{string(key.PublicJWK()), fmt.Sprintf("%+v %#v %v %x", key, key, *key, key)} {
					require.NotContains(t, text, private[name], name)
				}
			}
		})
	}
	t.Run("each is new", func(t *testing.T) {
		t.Parallel()
		one, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
		require.NoError(t, err)
		two, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
		require.NoError(t, err)
		require.NotEqual(t, one.Thumbprint(), two.Thumbprint())
	})
	t.Run("of another kind", func(t *testing.T) {
		t.Parallel()
		for _, kind := range []clientassertion.KeyKind{"RSA", "rsa-4096", "RSA-2048", "P-224", "Ed25519", " "} {
			_, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: kind})
			require.ErrorIs(t, err, clientassertion.ErrKey)
			require.ErrorContains(t, err, "RSA-4096, RSA-3072, P-256, P-384 or P-521")
		}
	})
}

// Options name the kid and the algorithm of a key that is made, and a kind only then.
func TestGenerateKeyTakesTheOptions(t *testing.T) {
	t.Parallel()
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256, KeyID: "chosen", Algorithm: "ES256"})
	require.NoError(t, err)
	require.Equal(t, "ES256 key chosen", key.String())
	_, err = clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256, Algorithm: "PS256"})
	require.ErrorIs(t, err, clientassertion.ErrKey)

	jwk, err := key.MarshalPrivateJWK()
	require.NoError(t, err)
	_, err = clientassertion.ParseKey(jwk, clientassertion.KeyOptions{Kind: clientassertion.P256})
	require.ErrorIs(t, err, clientassertion.ErrKey)
	require.ErrorContains(t, err, "Kind")
	_, err = clientassertion.NewKey(testkit.RSA(), clientassertion.KeyOptions{Kind: clientassertion.RSA4096})
	require.ErrorIs(t, err, clientassertion.ErrKey)
	require.ErrorContains(t, err, "Kind")
}

// The kid and the algorithm of a key are in its JWK, and not in its PEM.
func TestPrivateExportsNameTheKey(t *testing.T) {
	t.Parallel()
	options := clientassertion.KeyOptions{Algorithm: "PS512", KeyID: "chosen"}
	key, err := clientassertion.NewKey(testkit.RSA(), options)
	require.NoError(t, err)
	jwk, err := key.MarshalPrivateJWK()
	require.NoError(t, err)
	again, err := clientassertion.ParseKey(jwk, clientassertion.KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, "PS512 key chosen", again.String())
	pem, err := key.MarshalPrivatePEM()
	require.NoError(t, err)
	again, err = clientassertion.ParseKey(pem, options)
	require.NoError(t, err)
	require.Equal(t, "PS512 key chosen", again.String())
	again, err = clientassertion.ParseKey(pem, clientassertion.KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, "PS256 key "+key.Thumbprint(), again.String())

	kept := remoteKey(t, &remote{})
	_, err = kept.MarshalPrivateJWK()
	require.ErrorIs(t, err, clientassertion.ErrKey)
	_, err = kept.MarshalPrivatePEM()
	require.ErrorIs(t, err, clientassertion.ErrKey)
}
