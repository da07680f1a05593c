package redisstore

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/identity"
)

const place = "helseid:token:abc"

func TestSeal(t *testing.T) {
	t.Parallel()
	value := []byte(`{"access":"a token","user":"06828399789"}`)
	s := sealerOf(t, testKey)
	sealed, err := s.seal(place, 7, value)
	require.NoError(t, err)
	opened, err := s.open(place, 7, sealed)
	require.NoError(t, err)
	require.Equal(t, value, opened)
	require.NotContains(t, string(sealed), "token")
	require.NotContains(t, string(sealed), "06828399789")

	again, err := s.seal(place, 7, value)
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "the nonce is random")

	refused := map[string]struct {
		sealer  sealer
		place   string
		version uint64
		sealed  []byte
	}{
		"another key":     {sealerOf(t, otherKey), place, 7, sealed},
		"another place":   {s, "helseid:token:abd", 7, sealed},
		"another prefix":  {s, "test:token:abc", 7, sealed},
		"another version": {s, place, 8, sealed},
		"another form":    {s, place, 7, append([]byte{2}, sealed[1:]...)},
		"nothing":         {s, place, 7, nil},
		"the form alone":  {s, place, 7, sealed[:1]},
		"the nonce alone": {s, place, 7, sealed[:13]},
		"cut off":         {s, place, 7, sealed[:len(sealed)-1]},
		"lengthened":      {s, place, 7, append(bytes.Clone(sealed), 0)},
		"not sealed":      {s, place, 7, value},
	}
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.sealer.open(test.place, test.version, test.sealed)
			require.ErrorIs(t, err, ErrDecrypt)
		})
	}
	t.Run("any bit changed", func(t *testing.T) {
		t.Parallel()
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 0x10
			_, err := s.open(place, 7, changed)
			require.ErrorIs(t, err, ErrDecrypt, "byte %d", i)
		}
	})
}

// The first key encrypts, all decrypt.
func TestSealRotation(t *testing.T) {
	t.Parallel()
	old, err := sealerOf(t, testKey).seal(place, 0, []byte("old"))
	require.NoError(t, err)
	rotated := sealerOf(t, otherKey, testKey)
	opened, err := rotated.open(place, 0, old)
	require.NoError(t, err)
	require.Equal(t, "old", string(opened))

	fresh, err := rotated.seal(place, 0, []byte("new"))
	require.NoError(t, err)
	opened, err = sealerOf(t, otherKey).open(place, 0, fresh)
	require.NoError(t, err)
	require.Equal(t, "new", string(opened))
	_, err = sealerOf(t, testKey).open(place, 0, fresh)
	require.ErrorIs(t, err, ErrDecrypt)
}

// Each place has a key of its own, so that no key sees too many values.
func TestKeysOfPlaces(t *testing.T) {
	t.Parallel()
	sealed, err := sealerOf(t, testKey).seal(place, 0, []byte("x"))
	require.NoError(t, err)
	for other, fits := range map[string]bool{place: true, place + "x": false} {
		aead, err := derive(identity.NewSecret(string(testKey)), other)
		require.NoError(t, err)
		_, err = aead.Open(nil, nil, sealed[1:], additionalData(place, 0))
		require.Equal(t, fits, err == nil)
	}
}

func FuzzOpen(f *testing.F) {
	s := sealerOf(f, testKey, otherKey)
	sealed, err := s.seal(place, 1, []byte("value"))
	require.NoError(f, err)
	f.Add(sealed)
	f.Add([]byte{sealedForm})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := s.open(place, 1, data)
		if err != nil {
			require.ErrorIs(t, err, ErrDecrypt)
			require.NotEqual(t, sealed, data)
			return
		}
		// Nothing else has been sealed with these keys, by any process of the run.
		require.Equal(t, "value", string(value))
	})
}

func sealerOf(t testing.TB, keys ...[]byte) sealer {
	t.Helper()
	made, err := newSealer(inBase64(keys...))
	require.NoError(t, err)
	return made
}
