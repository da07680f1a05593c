package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The cases of this file restate, with keys of its own, the classes that
// Project Wycheproof (C2SP/wycheproof) has for JSON web signatures.

func tokenWith(header string, signature []byte) string {
	return segment(header) + "." + segment("payload") + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func digestOf(header string) []byte {
	digest := sha256.Sum256([]byte(segment(header) + "." + segment("payload")))
	return digest[:]
}

// rawRSA is the bare private operation, which signs any padding.
func rawRSA(key *rsa.PrivateKey, encoded []byte) []byte {
	m := new(big.Int).SetBytes(encoded)
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size()))
}

// encodePSS is EMSA-PSS-ENCODE (RFC 8017 section 9.1.1) with a salt of any
// length, zero included, which crypto/rsa cannot be told to use.
func encodePSS(key *rsa.PrivateKey, digest []byte, saltLength int) []byte {
	length := (key.N.BitLen() - 1 + 7) / 8
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt)
	prime := sha256.New()
	prime.Write(make([]byte, 8))
	prime.Write(digest)
	prime.Write(salt)
	h := prime.Sum(nil)

	db := make([]byte, length-len(h)-1)
	db[len(db)-saltLength-1] = 1
	copy(db[len(db)-saltLength:], salt)
	for counter, at := byte(0), 0; at < len(db); counter++ { // MGF1
		mask := sha256.Sum256(append(append([]byte(nil), h...), 0, 0, 0, counter))
		for _, b := range mask {
			if at < len(db) {
				db[at] ^= b
				at++
			}
		}
	}
	db[0] &= 0xff >> (8*length - (key.N.BitLen() - 1))
	return append(append(db, h...), 0xbc)
}

func TestPSSSaltLength(t *testing.T) {
	t.Parallel()
	key := keyFor(t, PS256)
	private := sharedRSA()
	header := `{"alg":"PS256"}`
	longest := private.Size() - 32 - 2
	// RFC 7518 section 3.5: the salt is as long as the hash, 32 bytes.
	for _, length := range []int{0, 1, 20, 31, 32, 33, 48, 64, longest} {
		t.Run(strconv.Itoa(length), func(t *testing.T) {
			t.Parallel()
			signature := rawRSA(private, encodePSS(private, digestOf(header), length))
			// The standard library, told to take any salt, agrees that it is a
			// signature: only its salt is at fault.
			require.NoError(t, rsa.VerifyPSS(&private.PublicKey, crypto.SHA256, digestOf(header), signature, nil))
			err := verify(tokenWith(header, signature), key.Public())
			if length == 32 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrSignature)
			}
		})
	}
	t.Run("a trailer other than bc", func(t *testing.T) {
		t.Parallel()
		encoded := encodePSS(private, digestOf(header), 32)
		encoded[len(encoded)-1] = 0xcc
		require.ErrorIs(t, verify(tokenWith(header, rawRSA(private, encoded)), key.Public()), ErrSignature)
	})
	t.Run("our signatures have a salt of 32", func(t *testing.T) {
		t.Parallel()
		compact, err := ParseCompact(sign(t, key, header, "payload"), 10_000)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPSS(&private.PublicKey, crypto.SHA256, digestOf(header), compact.signature,
			&rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}))
	})
}

func TestPKCS1Padding(t *testing.T) {
	t.Parallel()
	key := keyFor(t, RS256)
	private := sharedRSA()
	header := `{"alg":"RS256"}`
	digest := digestOf(header)
	unhex := func(text string) []byte {
		data, err := hex.DecodeString(text)
		require.NoError(t, err)
		return data
	}
	// RFC 8017 section 9.2, note 1.
	info := unhex("3031300d060960864801650304020105000420")
	info384 := unhex("3041300d060960864801650304020205000430")
	noNull := unhex("302f300b0609608648016503040201" + "0420")
	longLength := unhex("308131300d060960864801650304020105000420")
	encode := func(first, kind, fill byte, prefix, digest []byte) []byte {
		out := []byte{first, kind}
		out = append(out, bytes.Repeat([]byte{fill}, private.Size()-3-len(prefix)-len(digest))...)
		return append(append(append(out, 0), prefix...), digest...)
	}
	good := encode(0, 1, 0xff, info, digest)
	change := func(at int, value byte) []byte {
		out := bytes.Clone(good)
		out[at] = value
		return out
	}
	// Bleichenbacher 2006: short padding and rubbish behind the digest.
	rubbish := append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, append(append([]byte(nil), info...), digest...)...)
	rubbish = append(rubbish, make([]byte, private.Size()-len(rubbish))...)
	separated := bytes.Clone(good)
	separated[100] = 0

	require.NoError(t, verify(tokenWith(header, rawRSA(private, good)), key.Public()))
	for name, encoded := range map[string][]byte{
		"type 0":                  encode(0, 0, 0xff, info, digest),
		"type 2":                  change(1, 2),
		"padding of zeros":        encode(0, 1, 0, info, digest),
		"one padding byte other":  change(5, 0xfe),
		"first padding byte zero": change(2, 0),
		"early separator":         separated,
		"rubbish behind":          rubbish,
		"no parameters":           encode(0, 1, 0xff, noNull, digest),
		"BER length":              encode(0, 1, 0xff, longLength, digest),
		"another hash's name":     encode(0, 1, 0xff, info384, append(bytes.Clone(digest), make([]byte, 16)...)),
		"no DigestInfo":           encode(0, 1, 0xff, nil, digest),
		"digest cut":              encode(0, 1, 0xff, info, digest[:31]),
		"digest of nothing":       encode(0, 1, 0xff, info, make([]byte, 32)),
		"no separator":            change(private.Size()-len(info)-33, 0xff),
		"PSS under an RS256 name": encodePSS(private, digest, 32),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, verify(tokenWith(header, rawRSA(private, encoded)), key.Public()), ErrSignature)
		})
	}
	signature := rawRSA(private, good)
	for name, changed := range map[string][]byte{
		"empty byte in front": append([]byte{0}, signature...),
		"byte behind":         append(bytes.Clone(signature), 0),
		"one byte short":      signature[:len(signature)-1],
		"plus the modulus":    plus(signature, private.N),
		"zero":                make([]byte, private.Size()),
		"one":                 big.NewInt(1).FillBytes(make([]byte, private.Size())),
		"modulus minus one":   new(big.Int).Sub(private.N, big.NewInt(1)).Bytes(),
	} {
		t.Run("signature "+name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, verify(tokenWith(header, changed), key.Public()), ErrSignature)
		})
	}
}

func plus(signature []byte, modulus *big.Int) []byte {
	return new(big.Int).Add(new(big.Int).SetBytes(signature), modulus).Bytes()
}

func TestECDSASignatureForms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []Algorithm{ES256, ES384, ES512} {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, algorithm)
			header := `{"alg":"` + string(algorithm) + `"}`
			good, err := ParseCompact(sign(t, key, header, "payload"), 10_000)
			require.NoError(t, err)
			require.NoError(t, good.Verify(key.Public()))
			order := key.Public().spec.curve.Params().N
			size := (key.Public().spec.curve.Params().BitSize + 7) / 8
			require.Len(t, good.signature, 2*size)
			r := new(big.Int).SetBytes(good.signature[:size])
			s := new(big.Int).SetBytes(good.signature[size:])
			pair := func(r, s *big.Int) []byte {
				out := make([]byte, 2*size)
				r.FillBytes(out[:size])
				s.FillBytes(out[size:])
				return out
			}
			zero, one := new(big.Int), big.NewInt(1)
			highest := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*size)), one)
			der, err := asn1.Marshal([]*big.Int{r, s})
			require.NoError(t, err)
			negative, err := asn1.Marshal([]*big.Int{new(big.Int).Neg(r), s})
			require.NoError(t, err)
			bad := map[string][]byte{
				// CVE-2022-21449, the "psychic" signature.
				"r and s zero":        pair(zero, zero),
				"r zero":              pair(zero, s),
				"s zero":              pair(r, zero),
				"r and s one":         pair(one, one),
				"r the order":         pair(order, s),
				"s the order":         pair(r, order),
				"both the order":      pair(order, order),
				"r and s the highest": pair(highest, highest),
				"swapped":             pair(s, r),
				"s one more":          pair(r, new(big.Int).Add(s, one)),
				"r negated":           pair(new(big.Int).Sub(order, r), s),
				"DER":                 der,
				"DER, negative r":     negative,
				"one byte short":      good.signature[:2*size-1],
				"one byte long":       append(bytes.Clone(good.signature), 0),
				"zero in front":       append([]byte{0}, good.signature...),
				"zero in between":     append(append(bytes.Clone(good.signature[:size]), 0), good.signature[size:]...),
				"half":                good.signature[:size],
				"twice":               append(bytes.Clone(good.signature), good.signature...),
				"padded to more": append(append(make([]byte, 1), good.signature[:size]...),
					append(make([]byte, 1), good.signature[size:]...)...),
			}
			// r plus the order is the same number modulo the order, and must be
			// refused all the same where it fits into the field's bytes.
			if sum := new(big.Int).Add(r, order); sum.BitLen() <= 8*size {
				bad["r plus the order"] = pair(sum, s)
			}
			for name, signature := range bad {
				require.ErrorIs(t, verify(tokenWith(header, signature), key.Public()), ErrSignature, name)
			}
		})
	}
	t.Run("sizes of another curve", func(t *testing.T) {
		t.Parallel()
		es256, es384 := keyFor(t, ES256), keyFor(t, ES384)
		token := sign(t, es256, `{"alg":"ES256"}`, "x")
		require.ErrorIs(t, verify(token, es384.Public()), ErrAlgorithm)
		lie := sign(t, es256, `{"alg":"ES384"}`, "x")
		require.ErrorIs(t, verify(lie, es384.Public()), ErrSignature)
	})
}

func TestSignaturesNeedTheRightHash(t *testing.T) {
	t.Parallel()
	// RS256 over the same key as RS512, and PKCS#1 against PSS.
	algorithms := []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512}
	for _, signed := range algorithms {
		for _, claimed := range algorithms {
			if signed == claimed {
				continue
			}
			t.Run(string(signed)+" as "+string(claimed), func(t *testing.T) {
				t.Parallel()
				token := sign(t, keyFor(t, signed), `{"alg":"`+string(claimed)+`"}`, "x")
				require.ErrorIs(t, verify(token, keyFor(t, claimed).Public()), ErrSignature)
			})
		}
	}
	t.Run("ECDSA over a digest of another length", func(t *testing.T) {
		t.Parallel()
		private := sharedEC[elliptic.P384()]()
		header := `{"alg":"ES384"}`
		der, err := ecdsa.SignASN1(rand.Reader, private, digestOf(header)) // SHA-256
		require.NoError(t, err)
		raw, err := rawECDSA(der, 48)
		require.NoError(t, err)
		require.ErrorIs(t, verify(tokenWith(header, raw), keyFor(t, ES384).Public()), ErrSignature)
	})
}

func TestHMACWithThePublicKey(t *testing.T) {
	t.Parallel()
	// The classic confusion: the public key's text as an HMAC secret. There is
	// no HMAC here, so that no such token can get anywhere.
	key := keyFor(t, RS256)
	for _, alg := range []string{"HS256", "HS384", "HS512", "none"} {
		err := verify(tokenWith(`{"alg":"`+alg+`"}`, digestOf(key.Public().JWK())), key.Public())
		require.ErrorIs(t, err, ErrAlgorithm)
	}
}
