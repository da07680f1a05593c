package jose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bent is a private JWK with members replaced or, if nil, left out.
func bent(t testing.TB, algorithm Algorithm, changes map[string]any) string {
	t.Helper()
	members := privateJWK(t, algorithm)
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	return marshal(t, members)
}

func requireSameKey(t testing.TB, algorithm Algorithm, text string, options KeyOptions) *Key {
	t.Helper()
	key, err := ParseKey([]byte(text), options)
	require.NoError(t, err)
	require.Equal(t, keyFor(t, algorithm).Public().Thumbprint(), key.Public().Thumbprint())
	token := sign(t, key, `{"alg":"`+string(key.Public().Algorithm())+`"}`, "x")
	require.NoError(t, verify(token, key.Public()))
	return key
}

// JWKs as other tools write them: what nobody set is there as null, [] or "".
func TestPrivateJWKUnset(t *testing.T) {
	t.Parallel()
	describing := []string{"use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256"}
	for name, value := range map[string]any{"null": json.RawMessage("null"), "an empty list": []int{}, "an empty text": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, algorithm := range []Algorithm{ES384, PS256} {
				changes := map[string]any{"oth": value, "k": value}
				for _, member := range describing {
					changes[member] = value
				}
				key := requireSameKey(t, algorithm, bent(t, algorithm, changes), KeyOptions{})
				require.Equal(t, algorithm, key.Public().Algorithm())
				require.Equal(t, key.Public().Thumbprint(), key.ID())
			}
		})
	}
	t.Run("as Microsoft.IdentityModel writes it", func(t *testing.T) {
		t.Parallel()
		null := json.RawMessage("null")
		requireSameKey(t, PS256, bent(t, PS256, map[string]any{
			"crv": null, "k": null, "key_ops": []int{}, "oth": []int{}, "x": null, "y": null, "x5c": []int{}, "x5t": null,
			"x5t#S256": null, "x5u": null, "use": null, "alg": null, "kid": null, "HasPrivateKey": true, "KeySize": 2048,
			"AdditionalData": map[string]any{}, "CryptoProviderFactory": map[string]any{"Cache": null},
		}), KeyOptions{})
		requireSameKey(t, ES256, bent(t, ES256, map[string]any{
			"n": null, "e": null, "p": null, "q": null, "dp": null, "dq": null, "qi": null, "oth": []int{}, "key_ops": []int{},
		}), KeyOptions{})
	})
}

// What is not used is not judged; what is used binds.
func TestPrivateJWKBinds(t *testing.T) {
	t.Parallel()
	override := KeyOptions{Algorithm: RS256, ID: "mine"}
	for name, alg := range map[string]any{
		"none": "none", "HS256": "HS256", "for encryption": "RSA-OAEP", "unknown": "RS1", "of an EC key": "ES256",
		"a number": 256, "a list": []string{"PS256"}, "an object": map[string]any{}, "empty": "",
	} {
		t.Run("alg "+name, func(t *testing.T) {
			t.Parallel()
			text := bent(t, PS256, map[string]any{"alg": alg, "kid": 17})
			require.Equal(t, RS256, requireSameKey(t, PS256, text, override).Public().Algorithm())
			_, err := ParseKey([]byte(text), KeyOptions{Algorithm: RS256})
			require.ErrorIs(t, err, ErrKey)
			require.ErrorContains(t, err, "kid")
			if alg != "" {
				_, err = ParseKey([]byte(text), KeyOptions{ID: "mine"})
				require.ErrorIs(t, err, ErrKey)
			}
		})
	}
	for name, changes := range map[string]map[string]any{
		"use enc": {"use": "enc"}, "use a list": {"use": []string{"sig"}}, "use in capitals": {"use": "SIG"},
		"key_ops of the public key": {"key_ops": []string{"verify"}}, "key_ops a text": {"key_ops": "sign"},
		"key_ops an object": {"key_ops": map[string]any{}}, "key_ops with an empty text": {"key_ops": []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(bent(t, PS256, changes)), override)
			require.ErrorIs(t, err, ErrKey)
		})
	}
	t.Run("odd members that are not used", func(t *testing.T) {
		t.Parallel()
		requireSameKey(t, ES256, bent(t, ES256, map[string]any{
			"x5c": "no list", "x5t": 1, "exp": "never", "n": "!", "oth": 7, "ext": true, "D": "AAAA", "Kty": "RSA",
		}), KeyOptions{})
	})
}

// n, e and d are an RSA private key (RFC 7518 section 6.3.2).
func TestRSAWithoutPrimes(t *testing.T) {
	t.Parallel()
	null, d := json.RawMessage("null"), privateJWK(t, PS256)["d"].(string)
	for name, changes := range map[string]map[string]any{
		"n, e, d alone":        {"p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"the others null":      {"p": null, "q": null, "dp": null, "dq": null, "qi": null},
		"the others empty":     {"p": "", "q": "", "dp": "", "dq": "", "qi": ""},
		"p and q alone":        {"dp": nil, "dq": nil, "qi": nil},
		"p alone":              {"q": nil, "dp": nil, "dq": nil, "qi": nil},
		"q alone":              {"p": nil, "dp": nil, "dq": nil, "qi": nil},
		"all but qi":           {"qi": nil},
		"with an empty oth":    {"oth": []int{}},
		"zeros in front of d":  {"d": "AAAA" + d},
		"e with zeros":         {"e": "AAEAAQ"},
		"in standard Base64":   asStandardBase64(t, base64.StdEncoding),
		"padded base64url":     asStandardBase64(t, base64.URLEncoding),
		"with lines and space": {"d": d[:64] + "\r\n " + d[64:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireSameKey(t, PS256, bent(t, PS256, changes), KeyOptions{})
		})
	}
	t.Run("d modulo (p-1)(q-1)", func(t *testing.T) {
		t.Parallel()
		key := sharedRSA()
		phi := new(big.Int).Mul(lessOne(key.Primes[0]), lessOne(key.Primes[1]))
		d := new(big.Int).ModInverse(big.NewInt(int64(key.E)), phi)
		requireSameKey(t, PS256, bent(t, PS256, map[string]any{
			"d": segment(string(d.Bytes())), "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil,
		}), KeyOptions{})
	})
	t.Run("3 as exponent", func(t *testing.T) {
		t.Parallel()
		for {
			p, err := rand.Prime(rand.Reader, 1024)
			require.NoError(t, err)
			q, err := rand.Prime(rand.Reader, 1024)
			require.NoError(t, err)
			n := new(big.Int).Mul(p, q)
			d := new(big.Int).ModInverse(big.NewInt(3), new(big.Int).Mul(lessOne(p), lessOne(q)))
			if d == nil || n.BitLen() != 2048 {
				continue
			}
			key, err := ParseKey([]byte(`{"kty":"RSA","e":"Aw","n":"`+segment(string(n.Bytes()))+`","d":"`+segment(string(d.Bytes()))+`"}`), KeyOptions{})
			require.NoError(t, err)
			require.NoError(t, verify(sign(t, key, `{"alg":"PS256"}`, "x"), key.Public()))
			return
		}
	})
}

func asStandardBase64(t testing.TB, encoding *base64.Encoding) map[string]any {
	t.Helper()
	changes := map[string]any{}
	for _, name := range []string{"n", "e", "d", "p", "q", "dp", "dq", "qi"} {
		raw, err := decodeSegment(privateJWK(t, PS256)[name].(string))
		require.NoError(t, err)
		changes[name] = encoding.EncodeToString(raw)
	}
	return changes
}

// A key whose parts do not belong together is refused: signing with a wrong
// prime or exponent gives the key away (the attack of Boneh, DeMillo and Lipton).
func TestRSAInconsistent(t *testing.T) {
	t.Parallel()
	members := privateJWK(t, PS256)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	encode := func(n *big.Int) string { return segment(string(n.Bytes())) }
	p := sharedRSA().Primes[0]
	tests := map[string]map[string]any{
		"p and q exchanged":         {"p": members["q"], "q": members["p"]},
		"p is n, q is 1":            {"p": members["n"], "q": "AQ", "dp": nil, "dq": nil, "qi": nil},
		"p is 1 alone":              {"p": "AQ", "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"p is n alone":              {"p": members["n"], "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"p is zero":                 {"p": "AA", "dp": nil, "dq": nil, "qi": nil},
		"p twice":                   {"q": members["p"]},
		"p and q of another":        {"p": encode(other.Primes[0]), "q": encode(other.Primes[1]), "dp": nil, "dq": nil, "qi": nil},
		"dp alone, wrong":           {"p": nil, "q": nil, "dp": "AQ", "dq": nil, "qi": nil},
		"dp + p - 1":                {"dp": encode(new(big.Int).Add(sharedRSA().Precomputed.Dp, lessOne(p)))},
		"d zero":                    {"d": "AA"},
		"d one":                     {"d": "AQ", "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"d two":                     {"d": "Ag", "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"d is n":                    {"d": members["n"]},
		"d of another, with primes": {"d": encode(other.D), "dp": nil, "dq": nil, "qi": nil},
		"e of another, with primes": {"e": "Aw", "dp": nil, "dq": nil, "qi": nil},
		"d of another, alone":       {"d": encode(other.D), "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"n of another, alone":       {"n": encode(other.N), "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"e of 40 bits":              {"e": "AQAAAAE"},
		"more primes":               {"oth": []any{map[string]string{"r": "AQ", "d": "AQ", "t": "AQ"}}},
		"more primes, no list":      {"oth": map[string]any{}},
		"n empty":                   {"n": ""},
		"e null":                    {"e": json.RawMessage("null")},
		"e a number":                {"e": 65537},
		"d too long":                {"d": segment(strings.Repeat("x", 1025))},
		"n a square":                {"n": encode(new(big.Int).Mul(p, p)), "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil},
		"Base64 with a % in it":     {"d": "%" + members["d"].(string)[1:]},
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		raw, err := decodeSegment(members[name].(string))
		require.NoError(t, err)
		for place, at := range map[string]int{"start": 0, "middle": len(raw) / 2, "end": len(raw) - 1} {
			changed := slices.Clone(raw)
			changed[at] ^= 2
			tests[name+" with a bit turned at its "+place] = map[string]any{name: segment(string(changed))}
		}
	}
	for name, changes := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(bent(t, PS256, changes)), KeyOptions{})
			require.ErrorIs(t, err, ErrKey)
		})
	}
}

func TestECPrivateJWK(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []Algorithm{ES256, ES384, ES512} {
		members := privateJWK(t, algorithm)
		raw, err := decodeSegment(members["d"].(string))
		require.NoError(t, err)
		padded := base64.StdEncoding.EncodeToString(append([]byte{0}, raw...))
		requireSameKey(t, algorithm, bent(t, algorithm, map[string]any{"d": padded}), KeyOptions{})
		order := sharedEC[curveFor(algorithm)]().Params().N
		negative := new(big.Int).Sub(order, new(big.Int).SetBytes(raw))
		for name, changes := range map[string]map[string]any{
			"-d": {"d": segment(string(negative.FillBytes(make([]byte, len(raw)))))}, "d the order": {"d": segment(string(order.Bytes()))},
			"d + the order": {"d": segment(string(new(big.Int).Add(order, big.NewInt(1)).Bytes()))}, "d zero": {"d": "AA"},
			"no x": {"x": nil}, "y empty": {"y": ""}, "x is y": {"x": members["y"]}, "x zero": {"x": "AA"}, "crv empty": {"crv": ""},
			"no crv": {"crv": nil}, "crv of another": {"crv": "P-224"}, "kty RSA": {"kty": "RSA"}, "kty in small letters": {"kty": "ec"},
			"x a number": {"x": 1}, "d an object": {"d": map[string]any{}},
		} {
			_, err := ParseKey([]byte(bent(t, algorithm, changes)), KeyOptions{})
			require.ErrorIs(t, err, ErrKey, name)
		}
	}
	t.Run("a coordinate without its zeros", func(t *testing.T) {
		t.Parallel()
		// Some tools drop leading zeros, which one key in 128 has.
		for secret := int64(1); ; secret++ {
			private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(secret).FillBytes(make([]byte, 32)))
			require.NoError(t, err)
			point, err := private.PublicKey.Bytes()
			require.NoError(t, err)
			if point[1] != 0 {
				continue
			}
			short := func(number []byte) string { return segment(string(new(big.Int).SetBytes(number).Bytes())) }
			key, err := ParseKey([]byte(`{"kty":"EC","crv":"P-256","x":"`+short(point[1:33])+`","y":"`+short(point[33:])+
				`","d":"`+short(big.NewInt(secret).Bytes())+`"}`), KeyOptions{})
			require.NoError(t, err)
			want, err := NewPublicKey(private.Public(), "")
			require.NoError(t, err)
			require.Equal(t, want.Thumbprint(), key.Public().Thumbprint())
			return
		}
	})
	t.Run("kty in small letters is named", func(t *testing.T) {
		t.Parallel()
		_, err := ParseKey([]byte(bent(t, PS256, map[string]any{"kty": "rsa"})), KeyOptions{})
		require.ErrorContains(t, err, "capitals")
	})
}

func curveFor(algorithm Algorithm) elliptic.Curve {
	spec, _ := algorithm.spec()
	return spec.curve
}

func TestParseKeyOfSet(t *testing.T) {
	t.Parallel()
	ec, rsaKey := bent(t, ES256, map[string]any{"kid": "one"}), bent(t, PS256, map[string]any{"kid": "two"})
	public := string(keyFor(t, ES384).MarshalPublicJWK())
	encryption := bent(t, PS512, map[string]any{"use": "enc", "kid": "three"})
	for name, text := range map[string]string{
		"one":                            ec,
		"beside public ones":             public + "," + ec + "," + public,
		"beside a key for encryption":    encryption + "," + ec,
		"beside odd ones":                `{"d":1,"d":2},null,{"kty":"oct","k":"AAAA"},` + ec,
		"beside an Ed25519 key":          `{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA"},` + ec,
		"with a hundred that are public": strings.Repeat(public+",", 100) + ec,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "one", requireSameKey(t, ES256, `{"keys":[`+text+`]}`, KeyOptions{}).ID())
		})
	}
	t.Run("several", func(t *testing.T) {
		t.Parallel()
		_, err := ParseKey([]byte(`{"keys":[`+ec+","+public+","+rsaKey+`]}`), KeyOptions{})
		require.ErrorIs(t, err, ErrKey)
		for _, text := range []string{"2 private keys", `"one"`, `"two"`} {
			require.ErrorContains(t, err, text)
		}
	})
	for name, test := range map[string]struct{ text, says string }{
		"none":              {`{"keys":[]}`, "no private key"},
		"public ones only":  {`{"keys":[` + public + `]}`, "no private key"},
		"a key for other":   {`{"keys":[` + encryption + `]}`, "use"},
		"keys twice":        {`{"keys":[],"keys":[` + ec + `]}`, "duplicate"},
		"a configuration":   {`{"clientId":"x","privateJwk":"{}"}`, "LoadConfig"},
		"a duplicate in it": {strings.Replace(ec, "{", `{"kid":"x",`, 1), "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(test.text), KeyOptions{})
			require.ErrorIs(t, err, ErrKey)
			require.ErrorContains(t, err, test.says)
		})
	}
}

// Every accepted key is the one that a standard library would read from the same
// numbers, whatever else the JWK says.
func TestPrivateJWKMembersDoNotChangeTheKey(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(privateJWK(t, PS256)))
	for _, name := range names {
		for _, value := range []any{nil, json.RawMessage("null"), "", "AQ", "AAAA", []int{}, 0, map[string]any{}} {
			text := bent(t, PS256, map[string]any{name: value})
			key, err := ParseKey([]byte(text), KeyOptions{})
			if err != nil {
				require.ErrorIs(t, err, ErrKey)
				continue
			}
			private := key.Signer().(*rsa.PrivateKey)
			require.True(t, private.Equal(sharedRSA()), "%s", name)
			require.Equal(t, sharedRSA().Precomputed.Dp, private.Precomputed.Dp)
			require.Equal(t, sharedRSA().Precomputed.Qinv, private.Precomputed.Qinv)
		}
	}
}
