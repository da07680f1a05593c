package middleware_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

func publicDER(f *forge) []byte {
	der, err := x509.MarshalPKIXPublicKey(&f.rsa.PublicKey)
	if err != nil {
		panic(err)
	}
	return der
}

func publicPEM(f *forge, kind string) []byte {
	der := publicDER(f)
	if kind == "RSA PUBLIC KEY" {
		der = x509.MarshalPKCS1PublicKey(&f.rsa.PublicKey)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func hmacSigner(hash crypto.Hash, secret []byte) signer {
	return func(input []byte) []byte {
		mac := hmac.New(hash.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

// forged is a token with the attack's header and a signature by the signer.
func forged(kid, alg string, sign signer) func(*world) string {
	return func(w *world) string {
		return compact(both(with("kid", quote(kid)), with("alg", quote(alg)))(w.tokenHeader()), w.tokenClaims(), sign)
	}
}

// sha256Info is the DigestInfo before a SHA-256 digest (RFC 8017 section 9.2).
var sha256Info = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

func changed(data []byte, at int, value byte) []byte {
	data = bytes.Clone(data)
	data[at] = value
	return data
}

// paddings are wrong ways to pad an RSA signature. The known forgeries of PKCS#1 v1.5
// signatures rely on verifiers that accept them.
func paddings() map[string]func(digest []byte, size int) []byte {
	withoutNull := append([]byte{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20}, nil...)
	sha512Info := changed(sha256Info, 14, 0x03)
	longForm := append([]byte{0x30, 0x81, 0x31}, sha256Info[2:]...)
	return map[string]func(digest []byte, size int) []byte{
		"DigestInfo without NULL":   func(d []byte, size int) []byte { return encodedMessage(size, 1, withoutNull, d) },
		"no DigestInfo":             func(d []byte, size int) []byte { return encodedMessage(size, 1, d) },
		"the OID of SHA-512":        func(d []byte, size int) []byte { return encodedMessage(size, 1, sha512Info, d) },
		"a length in long form":     func(d []byte, size int) []byte { return encodedMessage(size, 1, longForm, d) },
		"block type 2":              func(d []byte, size int) []byte { return encodedMessage(size, 2, sha256Info, d) },
		"block type 0":              func(d []byte, size int) []byte { return encodedMessage(size, 0, sha256Info, d) },
		"garbage after the digest":  func(d []byte, size int) []byte { return encodedMessage(size, 1, sha256Info, d, []byte("garbage")) },
		"garbage before the digest": func(d []byte, size int) []byte { return encodedMessage(size, 1, []byte("garbage"), sha256Info, d) },
		"a hole in the padding": func(d []byte, size int) []byte {
			return changed(encodedMessage(size, 1, sha256Info, d), 20, 0xfe)
		},
		"an end in the padding": func(d []byte, size int) []byte {
			return changed(encodedMessage(size, 1, sha256Info, d), 20, 0)
		},
		"short padding, garbage at the end": func(d []byte, size int) []byte {
			em := append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, append(bytes.Clone(sha256Info), d...)...)
			return append(em, make([]byte, size-len(em))...)
		},
		"no padding": func(d []byte, size int) []byte {
			em := append([]byte{0, 1, 0}, append(bytes.Clone(sha256Info), d...)...)
			return append(em, make([]byte, size-len(em))...)
		},
		"a digest of zeros": func(_ []byte, size int) []byte { return encodedMessage(size, 1, sha256Info, make([]byte, 32)) },
		"an ANSI X9.31 frame": func(d []byte, size int) []byte {
			em := append(append([]byte{0x6b}, bytes.Repeat([]byte{0xbb}, size-36)...), 0xba)
			return append(append(em, d...), 0x34, 0xcc)
		},
	}
}

func tokenSignatureAttacks() []attack {
	const signature = "token_signature"
	f := theForge()
	table := []attack{
		badToken("T148 T150 another key under a known kid", signature, func(w *world) string { return w.server.Token(mint.SignedWithUnknownKey()) }),
		badToken("T127 broken", signature, func(w *world) string { return w.server.Token(mint.BrokenSignature()) }),
		badToken("another claim", signature, mangled(func(h, p, s string) string {
			return h + "." + b64([]byte(with("scope", `["nhn:test-api/admin"]`)(string(decoded(p))))) + "." + s
		})),
		badToken("claims of another token", signature, func(w *world) string {
			first, second := strings.Split(w.token(nil, nil), "."), strings.Split(w.token(nil, with("client_id", `"another"`)), ".")
			return first[0] + "." + second[1] + "." + first[2]
		}),
		badToken("header of another token", signature, func(w *world) string {
			first, second := strings.Split(w.token(also(`"x":1`), nil), "."), strings.Split(w.token(nil, nil), ".")
			return first[0] + "." + second[1] + "." + second[2]
		}),
		badToken("cut by a byte", signature, mangled(func(h, p, s string) string { return h + "." + p + "." + b64(decoded(s)[:255]) })),
		badToken("longer by a zero at the end", signature, mangled(func(h, p, s string) string { return h + "." + p + "." + b64(append(decoded(s), 0)) })),
		badToken("longer by a zero at the front", signature, mangled(func(h, p, s string) string { return h + "." + p + "." + b64(append([]byte{0}, decoded(s)...)) })),
		badToken("twice in a row", signature, mangled(func(h, p, s string) string { return h + "." + p + "." + b64(append(decoded(s), decoded(s)...)) })),
		badToken("plus the modulus", signature, func(w *world) string {
			return forged("rs256", "RS256", func(input []byte) []byte {
				s := new(big.Int).SetBytes(pkcs1(f.rsa, crypto.SHA256)(input))
				return s.Add(s, f.rsa.N).FillBytes(make([]byte, 257))
			})(w)
		}),
		badToken("zeros", signature, forged("rs256", "RS256", constant(make([]byte, 256)))),
		badToken("one", signature, forged("rs256", "RS256", constant(new(big.Int).SetInt64(1).FillBytes(make([]byte, 256))))),
		badToken("a zero byte", signature, forged("rs256", "RS256", constant([]byte{0}))),
		badToken("the modulus itself", signature, forged("rs256", "RS256", constant(f.rsa.N.Bytes()))),
		badToken("the text of the header's alg", signature, forged("rs256", "RS256", constant([]byte("RS256")))),
		badToken("PSS where alg says PKCS#1", signature, forged("rs256", "RS256", pss(f.rsa, crypto.SHA256, 32))),
		badToken("PKCS#1 where alg says PSS", signature, forged("ps256", "PS256", pkcs1(f.rsa, crypto.SHA256))),
		badToken("SHA-512 where alg says SHA-256", signature, forged("rs256", "RS256", pkcs1(f.rsa, crypto.SHA512))),
		badToken("SHA-1 where alg says SHA-256", signature, forged("rs256", "RS256", pkcs1(f.rsa, crypto.SHA1))),

		badToken("alg RS384 with a key for RS256", "token_alg", forged("rs256", "RS384", pkcs1(f.rsa, crypto.SHA384))),
		badToken("alg RS512 with a key for RS256", "token_alg", forged("rs256", "RS512", pkcs1(f.rsa, crypto.SHA512))),
		badToken("alg PS256 with a key for RS256", "token_alg", forged("rs256", "PS256", pss(f.rsa, crypto.SHA256, 32))),
		badToken("alg RS256 with a key for PS256", "token_alg", forged("ps256", "RS256", pkcs1(f.rsa, crypto.SHA256))),
		badToken("alg PS384 with a key for PS256", "token_alg", forged("ps256", "PS384", pss(f.rsa, crypto.SHA384, 48))),
		badToken("alg ES256 with an RSA key", "token_alg", forged("rs256", "ES256", constant(make([]byte, 64)))),
		badToken("alg RS256 with an EC key", "token_alg", forged("es256", "RS256", pkcs1(f.rsa, crypto.SHA256))),
		badToken("alg ES384 with a P-256 key", "token_alg", forged("es256", "ES384", ecdsaRaw(f.ec["P-256"], crypto.SHA384, nil))),
		badToken("alg ES256 with a P-521 key", "token_alg", forged("es512", "ES256", ecdsaRaw(f.ec["P-521"], crypto.SHA256, nil))),
		badToken("alg PS256 with a key without alg", "token_alg", forged("noalg", "PS256", pss(f.rsa, crypto.SHA256, 32))),
		badToken("alg RS512 with a key without alg", "token_alg", forged("noalg", "RS512", pkcs1(f.rsa, crypto.SHA512))),
		badToken("a third key under the kid of two", signature, forged("twice", "RS256", func(input []byte) []byte { return pkcs1(f.rsa, crypto.SHA384)(input) })),
		badToken("the encryption key of a mixed kid", signature, forged("mixed", "RS256", pkcs1(f.other, crypto.SHA256))),
	}
	for name, padding := range paddings() {
		table = append(table, badToken("padding: "+name, signature, forged("rs256", "RS256", rawRSA(f.rsa, padding))))
	}
	for name, salt := range map[string]int{"no salt": -2, "a salt of 20": 20, "a salt of 31": 31, "a salt of 33": 33, "a salt of 64": 64, "the longest salt": f.rsa.Size() - sha256.Size - 2} {
		table = append(table, badToken("PSS with "+name, signature, forged("ps256", "PS256", func(input []byte) []byte {
			if salt == -2 {
				return pssWithoutSalt(f.rsa, input)
			}
			return pss(f.rsa, crypto.SHA256, salt)(input)
		})))
	}
	for name, change := range map[string]func(r, s, n *big.Int){
		"all zeros":      func(r, s, _ *big.Int) { r.SetInt64(0); s.SetInt64(0) },
		"r zero":         func(r, _, _ *big.Int) { r.SetInt64(0) },
		"s zero":         func(_, s, _ *big.Int) { s.SetInt64(0) },
		"r and s one":    func(r, s, _ *big.Int) { r.SetInt64(1); s.SetInt64(1) },
		"r is n":         func(r, _, n *big.Int) { r.Set(n) },
		"s is n":         func(_, s, n *big.Int) { s.Set(n) },
		"r and s are n":  func(r, s, n *big.Int) { r.Set(n); s.Set(n) },
		"r is zero, s n": func(r, s, n *big.Int) { r.SetInt64(0); s.Set(n) },
		"r is n - 1":     func(r, _, n *big.Int) { r.Sub(n, big.NewInt(1)) },
		"r negated":      func(r, _, n *big.Int) { r.Sub(n, r) },
		"r and s turned": func(r, s, _ *big.Int) { t := new(big.Int).Set(r); r.Set(s); s.Set(t) },
		"the most bits":  func(r, s, _ *big.Int) { r.Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)); s.Set(r) },
	} {
		table = append(table, badToken("ECDSA: "+name, signature, forged("es256", "ES256", ecdsaRaw(f.ec["P-256"], crypto.SHA256, change))))
	}
	table = append(table,
		badToken("ECDSA: zeros on P-521", signature, forged("es512", "ES512", constant(make([]byte, 132)))),
		badToken("ECDSA: empty but for a byte", signature, forged("es256", "ES256", constant([]byte{0}))),
		badToken("ECDSA: 63 bytes", signature, forged("es256", "ES256", func(input []byte) []byte { return ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)(input)[:63] })),
		badToken("ECDSA: 65 bytes", signature, forged("es256", "ES256", func(input []byte) []byte {
			return append(ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)(input), 0)
		})),
		badToken("ECDSA: halves of 33 bytes", signature, forged("es256", "ES256", func(input []byte) []byte {
			good := ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)(input)
			return append(append(append([]byte{0}, good[:32]...), 0), good[32:]...)
		})),
		badToken("ECDSA: DER", signature, forged("es256", "ES256", func(input []byte) []byte {
			der, err := ecdsa.SignASN1(rand.Reader, f.ec["P-256"], digestOf(crypto.SHA256, input))
			if err != nil {
				panic(err)
			}
			return der
		})),
		badToken("ECDSA: another hash", signature, forged("es256", "ES256", ecdsaRaw(f.ec["P-256"], crypto.SHA512, nil))),
		badToken("ECDSA: another key", signature, func(w *world) string {
			return forged("es256", "ES256", ecdsaRaw(w.key.Signer().(*ecdsa.PrivateKey), crypto.SHA256, nil))(w)
		}),
	)
	return append(table, unusableKeys()...)
}

// unusableKeys sign with keys that the issuer's set contains in a form that must be
// ignored.
func unusableKeys() []attack {
	f := theForge()
	good := pkcs1(f.rsa, crypto.SHA256)
	p256 := ecdsaRaw(f.ec["P-256"], crypto.SHA256, nil)
	var table []attack
	for kid, sign := range map[string]signer{
		"bad-enc": good, "bad-use-number": good, "bad-ops-sign": good, "bad-ops-encrypt": good, "bad-ops-empty": good, "bad-ops-text": good,
		"bad-private": good, "bad-alg-none": good, "bad-alg-hs": good, "bad-alg-number": good, "bad-alg-type": good, "bad-alg-curve": good,
		"bad-padded": good, "bad-exponent-2": good, "bad-exponent-huge": good, "bad-even": good,
		"bad-1024": pkcs1(f.weak, crypto.SHA256),
		// With exponent 1 a message is its own signature.
		"bad-exponent-1": func(input []byte) []byte {
			return encodedMessage(256, 1, sha256Info, digestOf(crypto.SHA256, input))
		},
		"bad-oct": hmacSigner(crypto.SHA256, []byte("secret")), "bad-okp": constant(make([]byte, 64)), "bad-akp": constant(make([]byte, 2420)),
	} {
		table = append(table, badToken("key set: "+kid, "token_unknown_key", forged(kid, "RS256", sign)))
	}
	for _, kid := range []string{"bad-point", "bad-short-x", "bad-alg-ec"} {
		table = append(table, badToken("key set: "+kid, "token_unknown_key", forged(kid, "ES256", p256)))
	}
	return append(table,
		badToken("key set: bad-alg-curve as ES256", "token_unknown_key", forged("bad-alg-curve", "ES256", p256)),
		badToken("key set: bad-alg-curve as ES384", "token_unknown_key", forged("bad-alg-curve", "ES384", ecdsaRaw(f.ec["P-256"], crypto.SHA384, nil))),
		badToken("key set: bad-alg-number as 7", "token_unknown_key", forged("7", "RS256", good)),
	)
}

func decoded(segment string) []byte {
	data, err := segmentEncoding.DecodeString(segment)
	if err != nil {
		panic(err)
	}
	return data
}

// pssWithoutSalt encodes with an empty salt (RFC 8017 section 9.1.1), which the
// standard library has no option for.
func pssWithoutSalt(key *rsa.PrivateKey, input []byte) []byte {
	const hashSize = 32
	digest := digestOf(crypto.SHA256, input)
	size := key.Size()
	h := digestOf(crypto.SHA256, append(make([]byte, 8), digest...))
	db := make([]byte, size-hashSize-1)
	db[len(db)-1] = 1
	var mask []byte
	for counter := byte(0); len(mask) < len(db); counter++ {
		mask = append(mask, digestOf(crypto.SHA256, append(bytes.Clone(h), 0, 0, 0, counter))...)
	}
	for i := range db {
		db[i] ^= mask[i]
	}
	db[0] &= 0x7f
	em := append(append(db, h...), 0xbc)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N).FillBytes(make([]byte, size))
}
