package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// publicJWK is a public JWK as a map, to be bent by the tests.
func publicJWK(t testing.TB, algorithm Algorithm) map[string]any {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal([]byte(keyFor(t, algorithm).Public().JWK()), &members))
	return members
}

func TestParsePublicJWK(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			members := publicJWK(t, algorithm)
			members["kid"], members["use"], members["x5t"] = "any", "sig", "unknown members do no harm"
			parsed, err := ParsePublicJWK(object(t, marshal(t, members)), algorithm)
			require.NoError(t, err)
			require.Equal(t, algorithm, parsed.Algorithm())
			require.Equal(t, keyFor(t, algorithm).Public().Thumbprint(), parsed.Thumbprint())
			require.NoError(t, verify(sign(t, keyFor(t, algorithm), `{"alg":"`+string(algorithm)+`"}`, "x"), parsed))

			members["alg"] = string(algorithm)
			parsed, err = ParsePublicJWK(object(t, marshal(t, members)), "")
			require.NoError(t, err)
			require.Equal(t, algorithm, parsed.Algorithm())
		})
	}
	t.Run("key_ops verify", func(t *testing.T) {
		t.Parallel()
		members := publicJWK(t, ES256)
		members["key_ops"] = []string{"verify"}
		_, err := ParsePublicJWK(object(t, marshal(t, members)), ES256)
		require.NoError(t, err)
	})
}

func TestParsePublicJWKAlgorithm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ key, own, wanted Algorithm }{
		"RSA for PS256, used as RS256":  {PS256, "PS256", RS256},
		"RSA for RS256, used as PS256":  {RS256, "RS256", PS256},
		"RSA for PS256, used as PS384":  {PS256, "PS256", PS384},
		"RSA for ES256":                 {PS256, "ES256", ""},
		"P-256 for ES384":               {ES256, "ES384", ""},
		"P-256 for ES384, used as such": {ES256, "ES384", ES384},
		"P-256 used as ES384":           {ES256, "", ES384},
		"P-384 used as ES256":           {ES384, "", ES256},
		"P-256 used as PS256":           {ES256, "", PS256},
		"RSA used as ES256":             {RS256, "", ES256},
		"RSA for HS256":                 {RS256, "HS256", ""},
		"RSA used as HS256":             {RS256, "", "HS256"},
		"RSA for none":                  {RS256, "none", "none"},
		"RSA for RSA-OAEP":              {RS256, "RSA-OAEP", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := publicJWK(t, test.key)
			if test.own != "" {
				members["alg"] = string(test.own)
			}
			_, err := ParsePublicJWK(object(t, marshal(t, members)), test.wanted)
			require.ErrorIs(t, err, ErrAlgorithm)
		})
	}
}

func TestParsePublicJWKRefuses(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	n := sharedRSA().N
	point := keyFor(t, ES256).Public()
	x, _ := object(t, point.JWK()).Get("x").Text()
	p256 := elliptic256Prime()
	for name, test := range map[string]struct {
		algorithm Algorithm
		member    string
		value     any
	}{
		"no kty":                     {ES256, "kty", nil},
		"kty oct":                    {ES256, "kty", "oct"},
		"kty OKP":                    {ES256, "kty", "OKP"},
		"kty lower case":             {ES256, "kty", "ec"},
		"kty RSA for an EC key":      {ES256, "kty", "RSA"},
		"kty EC for an RSA key":      {PS256, "kty", "EC"},
		"no crv":                     {ES256, "crv", nil},
		"crv of another size":        {ES256, "crv", "P-384"},
		"crv unknown":                {ES256, "crv", "secp256k1"},
		"crv P-224":                  {ES256, "crv", "P-224"},
		"crv lower case":             {ES256, "crv", "p-256"},
		"no x":                       {ES256, "x", nil},
		"no y":                       {ES256, "y", nil},
		"x empty":                    {ES256, "x", ""},
		"x short":                    {ES256, "x", b64(make([]byte, 31))},
		"x long":                     {ES256, "x", b64(make([]byte, 33))},
		"x with a zero in front":     {ES256, "x", "AA" + x},
		"x zero":                     {ES256, "x", b64(make([]byte, 32))},
		"x off the curve":            {ES256, "x", b64(append(make([]byte, 31), 5))},
		"x the field's prime":        {ES256, "x", b64(p256)},
		"x padded":                   {ES256, "x", x + "="},
		"x standard alphabet":        {ES256, "x", strings.Repeat("+/", 21) + "A"},
		"x with a line feed":         {ES256, "x", x[:8] + "\n" + x[8:]},
		"x with stray bits":          {ES256, "x", x[:42] + "_"},
		"x no string":                {ES256, "x", []string{x}},
		"y is x":                     {ES256, "y", x},
		"no n":                       {PS256, "n", nil},
		"no e":                       {PS256, "e", nil},
		"n empty":                    {PS256, "n", ""},
		"n of 1024 bits":             {PS256, "n", b64(weak.N.Bytes())},
		"n of 2047 bits":             {PS256, "n", b64(new(big.Int).Rsh(n, 1).Bytes())},
		"n of 8193 bits":             {PS256, "n", b64(append([]byte{1}, make([]byte, 1024)...))},
		"n even":                     {PS256, "n", b64(new(big.Int).Sub(n, big.NewInt(1)).Bytes())},
		"n huge":                     {PS256, "n", strings.Repeat("A", 1<<16)},
		"e 1":                        {PS256, "e", "AQ"},
		"e 0":                        {PS256, "e", "AA"},
		"e even":                     {PS256, "e", "AQAA"},
		"e of 32 bits":               {PS256, "e", "_____w"},
		"e of 40 bits":               {PS256, "e", "AQAAAAE"},
		"e a number":                 {PS256, "e", 65537},
		"private: d":                 {ES256, "d", "AAAA"},
		"private: d empty":           {PS256, "d", ""},
		"private: d a list":          {PS256, "d", []string{}},
		"private: p empty":           {PS256, "p", ""},
		"private: oth empty text":    {PS256, "oth", ""},
		"private: oth an object":     {PS256, "oth", map[string]any{}},
		"symmetric: k empty":         {ES256, "k", ""},
		"private: p":                 {PS256, "p", "AAAA"},
		"private: q":                 {PS256, "q", "AAAA"},
		"private: dp":                {PS256, "dp", "AAAA"},
		"private: dq":                {PS256, "dq", "AAAA"},
		"private: qi":                {PS256, "qi", "AAAA"},
		"private: oth":               {PS256, "oth", []any{map[string]string{"r": "AAAA"}}},
		"symmetric: k":               {PS256, "k", "AAAA"},
		"alg no string":              {PS256, "alg", 256},
		"use enc":                    {PS256, "use", "enc"},
		"use enc, EC":                {ES256, "use", "enc"},
		"key_ops without verify":     {PS256, "key_ops", []string{"encrypt"}},
		"key_ops without verify, EC": {ES256, "key_ops", []string{"deriveKey", "sign"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := publicJWK(t, test.algorithm)
			if test.value == nil {
				delete(members, test.member)
			} else {
				members[test.member] = test.value
			}
			_, err := ParsePublicJWK(object(t, marshal(t, members)), "")
			require.Error(t, err)
		})
	}
}

// What tools write for members that nobody set says nothing.
func TestParsePublicJWKUnset(t *testing.T) {
	t.Parallel()
	null := json.RawMessage("null")
	for name, value := range map[string]any{
		"null": null, "an empty list": []string{}, "an empty list with a space": json.RawMessage("[ \n]"), "an empty text": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, algorithm := range []Algorithm{ES256, PS256} {
				members := publicJWK(t, algorithm)
				for _, member := range []string{"use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "key_id", "ext"} {
					members[member] = value
				}
				parsed, err := ParsePublicJWK(object(t, marshal(t, members)), algorithm)
				require.NoError(t, err)
				require.Equal(t, keyFor(t, algorithm).Public().Thumbprint(), parsed.Thumbprint())
			}
		})
	}
	t.Run("private members", func(t *testing.T) {
		t.Parallel()
		members := publicJWK(t, PS256)
		for _, member := range privateMembers {
			members[member] = null
		}
		_, err := ParsePublicJWK(object(t, marshal(t, members)), PS256)
		require.NoError(t, err)
		members["oth"] = []string{}
		_, err = ParsePublicJWK(object(t, marshal(t, members)), PS256)
		require.NoError(t, err)
	})
	t.Run("what is not used is not judged", func(t *testing.T) {
		t.Parallel()
		members := publicJWK(t, ES256)
		members["kid"], members["x5c"], members["x5t"], members["exp"] = 17, "not a certificate", []int{1}, "never"
		members["n"], members["crv2"], members["USE"] = "", "", "enc"
		_, err := ParsePublicJWK(object(t, marshal(t, members)), ES256)
		require.NoError(t, err)
	})
	t.Run("an escaped text is the text", func(t *testing.T) {
		t.Parallel()
		members := publicJWK(t, ES256)
		members["use"], members["key_ops"] = json.RawMessage(`"s\u0069g"`), json.RawMessage(`["v\u0065rify"]`)
		_, err := ParsePublicJWK(object(t, marshal(t, members)), ES256)
		require.NoError(t, err)
	})
	t.Run("zeros in front of n and e", func(t *testing.T) {
		t.Parallel()
		members := publicJWK(t, RS256)
		n, err := decodeSegment(members["n"].(string))
		require.NoError(t, err)
		members["n"], members["e"] = base64.RawURLEncoding.EncodeToString(append([]byte{0}, n...)), "AAAAAAEAAQ"
		parsed, err := ParsePublicJWK(object(t, marshal(t, members)), RS256)
		require.NoError(t, err)
		require.Equal(t, keyFor(t, RS256).Public().Thumbprint(), parsed.Thumbprint())
	})
}

// elliptic256Prime is the prime of P-256: a coordinate must be below it.
func elliptic256Prime() []byte {
	key, _ := NewPublicKey(sharedEC[algorithmSpecs[6].curve]().Public(), ES256)
	return key.spec.curve.Params().P.Bytes()
}

func TestSpellingsOfOneKeyHaveOneThumbprint(t *testing.T) {
	t.Parallel()
	// Leading zeros of n or e must not make another thumbprint of the key: the
	// replay store and cnf.jkt go by it.
	members := publicJWK(t, RS256)
	n, err := decodeSegment(members["n"].(string))
	require.NoError(t, err)
	members["n"] = base64.RawURLEncoding.EncodeToString(append([]byte{0}, n...))
	members["e"] = "AAEAAQ"
	parsed, err := ParsePublicJWK(object(t, marshal(t, members)), RS256)
	if err == nil { // refusing it would be as good
		require.Equal(t, keyFor(t, RS256).Public().Thumbprint(), parsed.Thumbprint())
	}
}

func FuzzParsePublicJWK(f *testing.F) {
	for _, algorithm := range []Algorithm{ES256, ES384, ES512, PS256} {
		f.Add([]byte(keyFor(f, algorithm).Public().JWK()), string(algorithm))
		f.Add([]byte(marshal(f, privateJWK(f, algorithm))), "")
	}
	for _, vector := range loadRFC(f).Thumbprints {
		f.Add([]byte(vector.Key), "")
	}
	f.Add([]byte(`{"kty":"RSA","n":"AA","e":"AQAB"}`), "RS256")
	f.Fuzz(func(t *testing.T, data []byte, algorithm string) {
		jwk, err := ParseObject(data)
		if err != nil {
			return
		}
		key, err := ParsePublicJWK(jwk, Algorithm(algorithm))
		if err != nil {
			return
		}
		require.False(t, HasPrivateMember(jwk))
		require.Contains(t, Algorithms(), key.Algorithm())
		if algorithm != "" {
			require.Equal(t, Algorithm(algorithm), key.Algorithm())
		}
		again, err := ParsePublicJWK(object(t, key.JWK()), key.Algorithm())
		require.NoError(t, err)
		require.Equal(t, key.Thumbprint(), again.Thumbprint())
		compact, err := ParseCompact(tokenWith(`{"alg":"`+string(key.Algorithm())+`"}`, make([]byte, 64)), 1000)
		require.NoError(t, err)
		require.Error(t, compact.Verify(key), "zeros are no signature of any key")
	})
}
