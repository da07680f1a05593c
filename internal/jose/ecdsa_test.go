package jose

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRawECDSA(t *testing.T) {
	t.Parallel()
	t.Run("short integers are padded", func(t *testing.T) {
		t.Parallel()
		// About one signature in 128 has an r or s with a leading zero byte.
		der, err := asn1.Marshal([]*big.Int{big.NewInt(0x0102), big.NewInt(3)})
		require.NoError(t, err)
		raw, err := rawECDSA(der, 32)
		require.NoError(t, err)
		require.Len(t, raw, 64)
		require.Equal(t, append(make([]byte, 30), 1, 2), raw[:32])
		require.Equal(t, append(make([]byte, 31), 3), raw[32:])
	})
	t.Run("the sign byte is dropped", func(t *testing.T) {
		t.Parallel()
		top := new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 66)) // 132 bytes of content: a two-byte DER length
		der, err := asn1.Marshal([]*big.Int{top, top})
		require.NoError(t, err)
		raw, err := rawECDSA(der, 66)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{0xff}, 132), raw)
	})
	t.Run("every length of every curve", func(t *testing.T) {
		t.Parallel()
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			size := (curve.Params().BitSize + 7) / 8
			for length := 1; length <= size; length++ {
				r, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(8*length)))
				require.NoError(t, err)
				r.SetBit(r, 0, 1)
				s := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*length-1)), big.NewInt(1))
				s.SetBit(s, 0, 1)
				der, err := asn1.Marshal([]*big.Int{r, s})
				require.NoError(t, err)
				raw, err := rawECDSA(der, size)
				require.NoError(t, err)
				require.Zero(t, r.Cmp(new(big.Int).SetBytes(raw[:size])))
				require.Zero(t, s.Cmp(new(big.Int).SetBytes(raw[size:])))
			}
		}
	})
	// What a broken KMS could return; none may panic or be passed on.
	for name, text := range map[string]string{
		"empty":                    "",
		"sequence only":            "3000",
		"one integer":              "3003020101",
		"three integers":           "3009020101020102020103",
		"r is zero":                "3006020100020101",
		"s is zero":                "3006020101020100",
		"empty integer":            "300502000201 01",
		"no sequence":              "020101020101",
		"not an integer":           "3006040101020101",
		"text behind it":           "300602010102010100",
		"length beyond the end":    "3007020101020101",
		"inner length beyond":      "3006020501020101",
		"long length cut off":      "3081",
		"indefinite length":        "3080020101020101 0000",
		"length of length of two":  "30820006020101020101",
		"raw r and s":              "0101010101010101",
		"integer of 33 real bytes": "30260221" + "01" + "0000000000000000000000000000000000000000000000000000000000000000" + "020101",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			der, err := hex.DecodeString(stripSpaces(text))
			require.NoError(t, err)
			_, err = rawECDSA(der, 32)
			require.Error(t, err)
		})
	}
}

func stripSpaces(text string) string {
	return string(bytes.ReplaceAll([]byte(text), []byte(" "), nil))
}
