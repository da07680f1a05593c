package middleware_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/jose"
)

// forge holds the private keys that sign the attacks. Some are published by the issuer
// as signing keys; others are in its key set in a form that must not be used.
type forge struct {
	rsa, other, weak *rsa.PrivateKey
	ec               map[string]*ecdsa.PrivateKey // by curve
}

var theForge = sync.OnceValue(func() *forge {
	f := &forge{ec: make(map[string]*ecdsa.PrivateKey)}
	for size, target := range map[**rsa.PrivateKey]int{&f.rsa: 2048, &f.other: 2048, &f.weak: 1024} {
		key, err := rsa.GenerateKey(rand.Reader, target)
		if err != nil {
			panic(err)
		}
		*size = key
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		f.ec[curve.Params().Name] = key
	}
	return f
})

var segmentEncoding = base64.RawURLEncoding

func b64(data []byte) string { return segmentEncoding.EncodeToString(data) }

func rsaMembers(key *rsa.PublicKey) string {
	return fmt.Sprintf(`"kty":"RSA","n":%q,"e":%q`, b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
}

func ecMembers(key *ecdsa.PublicKey) string {
	point, err := key.Bytes()
	if err != nil {
		panic(err)
	}
	size := (len(point) - 1) / 2
	return fmt.Sprintf(`"kty":"EC","crv":%q,"x":%q,"y":%q`, key.Curve.Params().Name, b64(point[1:1+size]), b64(point[1+size:]))
}

// published is the part of the issuer's key set with the forge's keys. Keys whose kid
// starts with "bad" must be ignored.
func (f *forge) published() []string {
	p256, rsaA := ecMembers(&f.ec["P-256"].PublicKey), rsaMembers(&f.rsa.PublicKey)
	n := b64(f.rsa.N.Bytes())
	even := new(big.Int).Lsh(f.rsa.N, 1)
	return []string{
		`{"kid":"rs256","alg":"RS256","use":"sig",` + rsaA + `}`,
		`{"kid":"noalg",` + rsaA + `}`,
		`{"kid":"ops","alg":"RS256","key_ops":["sign","verify"],` + rsaA + `}`,
		`{"kid":"ps256","alg":"PS256","use":"sig",` + rsaA + `}`,
		`{"kid":"ps384","alg":"PS384","use":"sig",` + rsaA + `}`,
		`{"kid":"es256","alg":"ES256","use":"sig",` + p256 + `}`,
		`{"kid":"es384","alg":"ES384","use":"sig",` + ecMembers(&f.ec["P-384"].PublicKey) + `}`,
		`{"kid":"es512","alg":"ES512","use":"sig",` + ecMembers(&f.ec["P-521"].PublicKey) + `}`,
		`{"kid":"es-noalg",` + p256 + `}`,
		`{"kid":"twice","alg":"RS256",` + rsaA + `}`,
		`{"kid":"twice","alg":"RS256",` + rsaMembers(&f.other.PublicKey) + `}`,
		`{"kid":"twice","alg":"ES256",` + p256 + `}`,
		`{"kid":"mixed","alg":"RS256",` + rsaA + `}`,
		`{"kid":"mixed","alg":"RS256","use":"enc",` + rsaMembers(&f.other.PublicKey) + `}`,

		`{"kid":"bad-enc","alg":"RS256","use":"enc",` + rsaA + `}`,
		`{"kid":"bad-use-number","alg":"RS256","use":1,` + rsaA + `}`,
		`{"kid":"bad-ops-sign","alg":"RS256","key_ops":["sign"],` + rsaA + `}`,
		`{"kid":"bad-ops-encrypt","alg":"RS256","key_ops":["encrypt","wrapKey"],` + rsaA + `}`,
		`{"kid":"bad-ops-empty","alg":"RS256","key_ops":[""],` + rsaA + `}`,
		`{"kid":"bad-ops-text","alg":"RS256","key_ops":"verify",` + rsaA + `}`,
		`{"kid":"bad-private","alg":"RS256","d":` + quote(b64(f.rsa.D.Bytes())) + `,` + rsaA + `}`,
		`{"kid":"bad-1024","alg":"RS256",` + rsaMembers(&f.weak.PublicKey) + `}`,
		`{"kid":"bad-exponent-1","alg":"RS256","kty":"RSA","n":"` + n + `","e":"AQ"}`,
		`{"kid":"bad-exponent-2","alg":"RS256","kty":"RSA","n":"` + n + `","e":"Ag"}`,
		`{"kid":"bad-exponent-huge","alg":"RS256","kty":"RSA","n":"` + n + `","e":"_________w"}`,
		`{"kid":"bad-even","alg":"RS256","kty":"RSA","n":"` + b64(even.Bytes()) + `","e":"AQAB"}`,
		`{"kid":"bad-padded","alg":"RS256","kty":"RSA","n":"` + n + `==","e":"AQAB"}`,
		`{"kid":"bad-alg-none","alg":"none",` + rsaA + `}`,
		`{"kid":"bad-alg-hs","alg":"HS256",` + rsaA + `}`,
		`{"kid":"bad-alg-number","alg":256,` + rsaA + `}`,
		`{"kid":"bad-alg-type","alg":"ES256",` + rsaA + `}`,
		`{"kid":"bad-alg-curve","alg":"ES384",` + p256 + `}`,
		`{"kid":"bad-alg-ec","alg":"RS256",` + p256 + `}`,
		`{"kid":"bad-oct","kty":"oct","alg":"HS256","k":"c2VjcmV0"}`,
		`{"kid":"bad-okp","kty":"OKP","alg":"EdDSA","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		`{"kid":"bad-akp","kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`,
		`{"kid":"bad-point","kty":"EC","alg":"ES256","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`,
		`{"kid":"bad-short-x","kty":"EC","alg":"ES256","crv":"P-256","x":"AQ","y":"AQ"}`,
		`{"kty":"RSA","alg":"RS256","n":"` + n + `","e":"AQAB"}`,
		`{"kid":7,"alg":"RS256",` + rsaA + `}`,
		`null`, `"text"`, `[]`,
	}
}

func quote(text string) string { return `"` + text + `"` }

// signer makes a signature over a JWS signing input, right or wrong.
type signer func(input []byte) []byte

// compact joins any texts to a JWS.
func compact(header, payload string, sign signer) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(sign([]byte(input)))
}

func digestOf(hash crypto.Hash, input []byte) []byte {
	h := hash.New()
	h.Write(input)
	return h.Sum(nil)
}

func pkcs1(key *rsa.PrivateKey, hash crypto.Hash) signer {
	return func(input []byte) []byte {
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, hash, digestOf(hash, input))
		if err != nil {
			panic(err)
		}
		return signature
	}
}

func pss(key *rsa.PrivateKey, hash crypto.Hash, salt int) signer {
	return func(input []byte) []byte {
		signature, err := rsa.SignPSS(rand.Reader, key, hash, digestOf(hash, input), &rsa.PSSOptions{SaltLength: salt, Hash: hash})
		if err != nil {
			panic(err)
		}
		return signature
	}
}

// rawRSA signs an encoded message that need not be one (RFC 8017 section 9.2).
func rawRSA(key *rsa.PrivateKey, encoded func(digest []byte, size int) []byte) signer {
	return func(input []byte) []byte {
		size := key.Size()
		em := encoded(digestOf(crypto.SHA256, input), size)
		signature := new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N)
		return signature.FillBytes(make([]byte, size))
	}
}

// encodedMessage is 00 || block type || padding || 00 || rest.
func encodedMessage(size int, blockType byte, rest ...[]byte) []byte {
	var tail []byte
	for _, part := range rest {
		tail = append(tail, part...)
	}
	em := append([]byte{0, blockType}, make([]byte, size-3-len(tail))...)
	for i := 2; i < len(em); i++ {
		em[i] = 0xff
	}
	return append(append(em, 0), tail...)
}

// ecdsaRaw returns r || s of a good signature after a change.
func ecdsaRaw(key *ecdsa.PrivateKey, hash crypto.Hash, change func(r, s, n *big.Int)) signer {
	return func(input []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, key, digestOf(hash, input))
		if err != nil {
			panic(err)
		}
		if change != nil {
			change(r, s, key.Params().N)
		}
		size := (key.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
}

func constant(signature []byte) signer { return func([]byte) []byte { return signature } }

// newKey makes a key for proofs.
func newKey(t testing.TB, signing crypto.Signer, algorithm jose.Algorithm) *jose.Key {
	t.Helper()
	key, err := jose.NewKey(signing, jose.KeyOptions{Algorithm: algorithm})
	require.NoError(t, err)
	return key
}
