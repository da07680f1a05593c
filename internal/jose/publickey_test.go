package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewPublicKeyRefuses(t *testing.T) {
	t.Parallel()
	n := sharedRSA().N
	bits := func(length uint) *big.Int {
		// The top and the lowest bit: an odd number of exactly that length.
		out := new(big.Int).Lsh(big.NewInt(1), length-1)
		return out.SetBit(out, 0, 1)
	}
	off := sharedEC[elliptic.P256()]().PublicKey
	off.X = new(big.Int).Add(off.X, big.NewInt(1)) //nolint:staticcheck // broken keys are made of raw numbers
	for name, key := range map[string]crypto.PublicKey{
		"nil":                nil,
		"nil RSA":            (*rsa.PublicKey)(nil),
		"RSA without n":      &rsa.PublicKey{E: 65537},
		"RSA by value":       sharedRSA().PublicKey,
		"RSA of 1024 bits":   &rsa.PublicKey{N: bits(1024), E: 65537},
		"RSA of 2047 bits":   &rsa.PublicKey{N: bits(2047), E: 65537},
		"RSA of 8193 bits":   &rsa.PublicKey{N: bits(8193), E: 65537},
		"RSA exponent 0":     &rsa.PublicKey{N: n, E: 0},
		"RSA exponent 1":     &rsa.PublicKey{N: n, E: 1},
		"RSA exponent 2":     &rsa.PublicKey{N: n, E: 2},
		"RSA exponent -3":    &rsa.PublicKey{N: n, E: -3},
		"RSA exponent even":  &rsa.PublicKey{N: n, E: 65536},
		"RSA exponent large": &rsa.PublicKey{N: n, E: 1<<31 + 1},
		"RSA modulus even":   &rsa.PublicKey{N: new(big.Int).Lsh(bits(2047), 1), E: 65537},
		"nil EC":             (*ecdsa.PublicKey)(nil),
		"EC without curve":   &ecdsa.PublicKey{X: big.NewInt(1), Y: big.NewInt(1)}, //nolint:staticcheck // broken keys are made of raw numbers
		"EC off its curve":   &off,
		"EC at infinity":     &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}, //nolint:staticcheck // broken keys are made of raw numbers
		"EC on P-224":        sharedEC[elliptic.P224()]().Public(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewPublicKey(key, "")
			require.Error(t, err)
		})
	}
	for name, key := range map[string]crypto.PublicKey{
		"RSA of 2048 bits": &rsa.PublicKey{N: bits(2048), E: 3},
		"RSA of 8192 bits": &rsa.PublicKey{N: bits(8192), E: 1<<31 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewPublicKey(key, "")
			require.NoError(t, err)
		})
	}
}

func TestPublicJWKHasNoPrivateMember(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		public := keyFor(t, algorithm).Public()
		jwk := object(t, public.JWK())
		require.False(t, HasPrivateMember(jwk))
		if algorithm[:2] == "ES" {
			require.Equal(t, []string{"crv", "kty", "x", "y"}, jwk.Names(), "T039")
		} else {
			require.Equal(t, []string{"e", "kty", "n"}, jwk.Names())
		}
		require.NotNil(t, public.CryptoKey())
	}
}

func TestECCoordinatesArePadded(t *testing.T) {
	t.Parallel()
	// RFC 7518 section 6.2.1.2: all octets of the field, leading zeros
	// included. One key in 128 has such a coordinate.
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		size := (curve.Params().BitSize + 7) / 8
		for secret := int64(1); ; secret++ {
			private, err := ecdsa.ParseRawPrivateKey(curve, big.NewInt(secret).FillBytes(make([]byte, size)))
			require.NoError(t, err)
			short := private.X.BitLen() <= 8*(size-1) || private.Y.BitLen() <= 8*(size-1)
			if !short {
				continue
			}
			public, err := NewPublicKey(private.Public(), "")
			require.NoError(t, err)
			for _, name := range []string{"x", "y"} {
				text, _ := object(t, public.JWK()).Get(name).Text()
				raw, err := decodeSegment(text)
				require.NoError(t, err)
				require.Len(t, raw, size)
			}
			back, err := ParsePublicJWK(object(t, public.JWK()), "")
			require.NoError(t, err)
			require.Equal(t, public.Thumbprint(), back.Thumbprint())
			break
		}
	}
}
