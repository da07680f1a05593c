package jose

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRFC7515(t *testing.T) {
	t.Parallel()
	vectors := loadRFC(t)
	for _, name := range []string{"RFC 7515 A.2 RS256", "RFC 7515 A.3 ES256", "RFC 7515 A.4 ES512"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vector := vectors.JWS[name]
			algorithm := Algorithm(name[len(name)-5:])
			key, err := ParseKey(vector.Key, KeyOptions{Algorithm: algorithm})
			require.NoError(t, err)
			require.NoError(t, verify(vector.Token, key.Public()))

			// One bit of any part changed.
			for _, at := range []int{30, len(vector.Token) - 40} {
				changed := []byte(vector.Token)
				changed[at] ^= 1
				require.Error(t, verify(string(changed), key.Public()))
			}
		})
	}
	t.Run("RFC 7515 A.1 HS256 is no algorithm here", func(t *testing.T) {
		t.Parallel()
		token := vectors.JWS["RFC 7515 A.1 HS256"].Token
		_, err := ParseCompact(token, 1000)
		require.NoError(t, err)
		for _, algorithm := range Algorithms() {
			require.ErrorIs(t, verify(token, keyFor(t, algorithm).Public()), ErrAlgorithm)
		}
	})
	t.Run("T006 a fixed RSA key makes RFC 7515 A.2 byte for byte", func(t *testing.T) {
		t.Parallel()
		// PKCS#1 v1.5 signatures are deterministic.
		vector := vectors.JWS["RFC 7515 A.2 RS256"]
		key, err := ParseKey(vector.Key, KeyOptions{Algorithm: RS256})
		require.NoError(t, err)
		compact, err := ParseCompact(vector.Token, 1000)
		require.NoError(t, err)
		require.Equal(t, vector.Token, sign(t, key, compact.HeaderJSON, string(compact.Payload)))
	})
}

func TestThumbprintVectors(t *testing.T) {
	t.Parallel()
	for name, vector := range loadRFC(t).Thumbprints {
		t.Run("T048 "+name, func(t *testing.T) {
			t.Parallel()
			public, err := ParsePublicJWK(object(t, string(vector.Key)), "")
			require.NoError(t, err)
			require.Equal(t, vector.Thumbprint, public.Thumbprint())

			// The JWK that is written has the same thumbprint, and its members
			// in the order of RFC 7638 section 3.
			again, err := ParsePublicJWK(object(t, public.JWK()), "")
			require.NoError(t, err)
			require.Equal(t, vector.Thumbprint, again.Thumbprint())
			var members map[string]string
			require.NoError(t, json.Unmarshal([]byte(public.JWK()), &members))
			sorted, err := json.Marshal(members) // sorts the names
			require.NoError(t, err)
			require.Equal(t, string(sorted), public.JWK())
		})
	}
}

func TestRFC7517EncryptionKey(t *testing.T) {
	t.Parallel()
	// The EC key of RFC 7517 appendix A.2 says "use":"enc": not for signing.
	data := loadRFC(t).Keys["RFC 7517 A.2 EC"]
	_, err := ParseKey(data, KeyOptions{})
	require.ErrorIs(t, err, ErrKey)
	key, err := ParseKey(bytes.Replace(data, []byte(`"enc"`), []byte(`"sig"`), 1), KeyOptions{})
	require.NoError(t, err)
	require.Equal(t, "1", key.ID())
	require.Equal(t, ES256, key.Public().Algorithm())
	require.False(t, strings.Contains(string(key.MarshalPublicJWK()), "870MB6gfuTJ4HtUn"))
}
