package middleware_test

import (
	"crypto"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
)

// issued is an attack with tokens and proofs of helseidtest.
func issued(name, reason string, options ...mint.ProofOption) attack {
	return newAttack(name, reason, func(w *world) *http.Request {
		token := w.server.Token()
		return plain("DPoP "+token, w.server.Proof(http.MethodGet, resource, token, options...))
	})
}

// signedBy is an attack with a proof by another key, to which the token is bound. Its
// jwk is that key's with a change.
func signedBy(name, reason string, key func(w *world) *jose.Key, jwk edit, sign func(key *jose.Key) signer) attack {
	return newAttack(name, reason, func(w *world) *http.Request {
		w.key = key(w)
		token := w.token(nil, nil)
		header := with("jwk", jwk.apply(w.key.Public().JWK()))(w.proofHeader())
		proof := compact(header, w.proofClaims(token), sign(w.key))
		return plain("DPoP "+token, proof)
	})
}

func proofFormatAttacks() []attack {
	const malformed = "proof_malformed"
	mangledProof := func(name, reason string, change func(h, p, s string) string) attack {
		return badProof(name, reason, func(w *world, token string) string {
			parts := strings.Split(w.proof(token, nil, nil), ".")
			return change(parts[0], parts[1], parts[2])
		})
	}
	literal := func(text string) func(*world, string) string { return func(*world, string) string { return text } }
	p256 := func(w *world) *ecdsa.PrivateKey { return w.key.Signer().(*ecdsa.PrivateKey) }
	ec := func(name string, change func(r, s, n *big.Int)) attack {
		return badProof("ECDSA: "+name, "proof_signature", func(w *world, token string) string {
			return compact(w.proofHeader(), w.proofClaims(token), ecdsaRaw(p256(w), crypto.SHA256, change))
		})
	}
	rsaKey := func(algorithm jose.Algorithm) func(*world) *jose.Key {
		return func(w *world) *jose.Key { return newKey(w, theForge().rsa, algorithm) }
	}
	table := []attack{
		badProof("T119 not a JWT", malformed, literal("not-a-jwt")),
		badProof("the token in its place", "proof_typ", func(_ *world, token string) string { return token }),
		badProof("a word", malformed, literal("null")),
		badProof("two dots", malformed, literal("..")),
		mangledProof("null signature", malformed, func(h, p, _ string) string { return h + "." + p + "." }),
		mangledProof("no signature", malformed, func(h, p, _ string) string { return h + "." + p }),
		mangledProof("detached", malformed, func(h, _, s string) string { return h + ".." + s }),
		mangledProof("five segments", malformed, func(h, p, s string) string { return h + "." + p + "." + s + "." + s + "." + s }),
		mangledProof("JSON serialisation", malformed, func(h, p, s string) string {
			return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p, h, s)
		}),
		mangledProof("padded signature", malformed, func(h, p, s string) string { return h + "." + p + "." + s + "==" }),
		mangledProof("line feed in the payload", malformed, func(h, p, s string) string { return h + "." + p[:4] + "\n" + p[4:] + "." + s }),
		mangledProof("space at the end", malformed, func(h, p, s string) string { return h + "." + p + "." + s + " " }),
		mangledProof("bits left over", malformed, func(h, p, s string) string { return h + "." + p + "." + s[:len(s)-1] + "_" }),
		mangledProof("a comma and rubbish after it", malformed, func(h, p, s string) string { return h + "." + p + "." + s + ", x" }),

		issued("T127 T147 broken signature", "proof_signature", mint.BrokenProofSignature()),
		mangledProof("claims of another proof", "proof_signature", func(h, p, s string) string {
			claims := with("jti", `"another"`)(string(decoded(p)))
			return h + "." + b64([]byte(claims)) + "." + s
		}),
		mangledProof("header of another proof", "proof_signature", func(h, p, s string) string {
			return b64([]byte(also(`"x":1`)(string(decoded(h))))) + "." + p + "." + s
		}),
		mangledProof("signature cut", "proof_signature", func(h, p, s string) string { return h + "." + p + "." + b64(decoded(s)[:63]) }),
		mangledProof("signature longer", "proof_signature", func(h, p, s string) string { return h + "." + p + "." + b64(append(decoded(s), 0)) }),
		badProof("signed by another key under the bound jwk", "proof_signature", func(w *world, token string) string {
			return compact(w.proofHeader(), w.proofClaims(token), ecdsaRaw(theForge().ec["P-256"], crypto.SHA256, nil))
		}),
		ec("all zeros", func(r, s, _ *big.Int) { r.SetInt64(0); s.SetInt64(0) }),
		ec("r zero", func(r, _, _ *big.Int) { r.SetInt64(0) }),
		ec("s zero", func(_, s, _ *big.Int) { s.SetInt64(0) }),
		ec("r and s one", func(r, s, _ *big.Int) { r.SetInt64(1); s.SetInt64(1) }),
		ec("r is n", func(r, _, n *big.Int) { r.Set(n) }),
		ec("r and s are n", func(r, s, n *big.Int) { r.Set(n); s.Set(n) }),
		signedBy("PSS with another salt", "proof_signature", rsaKey(jose.PS256), nil, func(*jose.Key) signer { return pss(theForge().rsa, crypto.SHA256, 20) }),
		signedBy("PSS without salt", "proof_signature", rsaKey(jose.PS256), nil, func(*jose.Key) signer {
			return func(input []byte) []byte { return pssWithoutSalt(theForge().rsa, input) }
		}),
		signedBy("PKCS#1 where alg says PSS", "proof_signature", rsaKey(jose.PS256), nil, func(*jose.Key) signer { return pkcs1(theForge().rsa, crypto.SHA256) }),
		signedBy("PKCS#1 with garbage", "proof_signature", rsaKey(jose.RS256), nil, func(*jose.Key) signer {
			return rawRSA(theForge().rsa, paddings()["garbage after the digest"])
		}),
		newAttack("T139 T147 HS256 with the public key", "proof_alg", func(w *world) *http.Request {
			w.key = newKey(w, theForge().rsa, jose.RS256)
			token := w.token(nil, nil)
			header := with("alg", `"HS256"`)(w.proofHeader())
			return plain("DPoP "+token, compact(header, w.proofClaims(token), hmacSigner(crypto.SHA256, publicPEM(theForge(), "PUBLIC KEY"))))
		}),
	}
	for name, payload := range map[string]string{
		"an array": `[]`, "a string": `"x"`, "null": `null`, "empty": "", "two objects": `{}{}`, "cut off": `{"jti":"x"`, "not UTF-8": "{\"jti\":\"\xff\"}",
		"nested 40 deep": strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "NaN": `{"iat":NaN}`,
	} {
		table = append(table, badProof("payload: "+name, malformed, func(w *world, token string) string {
			return w.proof(token, nil, entirely(payload))
		}))
	}
	return table
}

func proofHeaderAttacks() []attack {
	f := theForge()
	p256 := strings.TrimSuffix(newKeyMust(f.ec["P-256"]).Public().JWK(), "}")
	n := b64(f.rsa.N.Bytes())
	table := []attack{
		issued("T125 T147 typ JWT", "proof_typ", mint.ProofHeader("typ", "JWT")),
		issued("T147 no alg", "proof_alg", mint.ProofHeader("alg", nil)),
		issued("T147 symmetric alg", "proof_alg", mint.ProofHeader("alg", "HS256")),
		issued("T147 no jwk", "proof_jwk", mint.ProofHeader("jwk", nil)),
		issued("T128 T147 private key in jwk", "proof_jwk", mint.PrivateKeyInProof()),
		badProofHeader("crit", "proof_malformed", also(`"crit":["exp"],"exp":1`)),
		badProofHeader("crit empty", "proof_malformed", also(`"crit":[]`)),
		badProofHeader("b64 without crit", "proof_malformed", also(`"b64":true`)),
		badProofHeader("b64 false without crit", "proof_malformed", also(`"b64":false`)),
		badProofHeader("b64 false with crit", "proof_malformed", also(`"crit":["b64"],"b64":false`)),
		badProofHeader("duplicate alg", "proof_malformed", also(`"alg":"ES256"`)),
		badProofHeader("duplicate jwk", "proof_malformed", also(`"jwk":{}`)),
		badProofHeader("duplicate typ, escaped", "proof_malformed", also(`"t\u0079p":"dpop+jwt"`)),
		badProofHeader("duplicate x in jwk", "proof_malformed", replace(`"x":`, `"x":"AAAA","x":`)),
		badProofHeader("TYP in place of typ", "proof_typ", replace(`"typ"`, `"TYP"`)),
		badProofHeader("Alg in place of alg", "proof_alg", replace(`"alg"`, `"Alg"`)),
		badProofHeader("JWK in place of jwk", "proof_jwk", replace(`"jwk"`, `"JWK"`)),
		badProofHeader("a kid in place of jwk", "proof_jwk", both(without("jwk"), also(`"kid":"rs256"`))),
		badProofHeader("a jku in place of jwk", "proof_jwk", both(without("jwk"), also(`"jku":"https://attacker.example/jwks"`))),
		badProofHeader("an x5c in place of jwk", "proof_jwk", both(without("jwk"), also(`"x5c":["AAAA"]`))),
	}
	for _, typ := range []string{"", `null`, `1`, `""`, `"at+jwt"`, `"dpop"`, `"dpop+jwt "`, `"dpop jwt"`, `["dpop+jwt"]`, `"x/dpop+jwt"`, `"dpop+jwt;a=b"`, `"appl\u0130cation/dpop+jwt"`} {
		table = append(table, badProofHeader("T125 typ "+typ, "proof_typ", with("typ", typ)))
	}
	for _, alg := range []string{`"none"`, `"None"`, `"nOnE"`, `""`, `null`, `1`, `["ES256"]`, `"es256"`, `"HS256"`, `"HS384"`, `"HS512"`, `"EdDSA"`, `"ES256K"`, `"ES256 "`} {
		table = append(table, badProofHeader("T126 T139 alg "+alg, "proof_alg", with("alg", alg)))
	}
	for _, alg := range []string{"ES384", "ES512", "RS256", "PS256"} {
		table = append(table, badProofHeader("alg "+alg+" with a P-256 key", "proof_alg", with("alg", quote(alg))))
	}
	for name, jwk := range map[string]string{
		"null": `null`, "text": `"{}"`, "array": `[{}]`, "number": `1`, "empty": `{}`, "a key set": `{"keys":[` + p256 + `}]}`,
		"oct":     `{"kty":"oct","k":"c2VjcmV0"}`,
		"OKP":     `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"kty ec":  strings.Replace(p256, `"EC"`, `"ec"`, 1) + `}`,
		"no kty":  strings.Replace(p256, `"kty":"EC",`, ``, 1) + `}`,
		"no y":    strings.Split(p256, `,"y"`)[0] + `}`,
		"with d":  p256 + `,"d":"AAAA"}`,
		"with k":  p256 + `,"k":"AAAA"}`,
		"with p":  p256 + `,"p":"AAAA"}`,
		"with q":  p256 + `,"q":"AAAA"}`,
		"with dp": p256 + `,"dp":"AAAA"}`, "with dq": p256 + `,"dq":"AAAA"}`, "with qi": p256 + `,"qi":"AAAA"}`, "with oth": p256 + `,"oth":[{"r":"AQ"}]}`,
		"with an empty d":      p256 + `,"d":""}`,
		"alg not text":         p256 + `,"alg":256}`,
		"the point at 0":       `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`,
		"a point off curve":    `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 42) + `E","y":"` + strings.Repeat("A", 42) + `E"}`,
		"short coordinates":    `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`,
		"another curve's name": strings.Replace(p256, "P-256", "P-384", 1) + `}`,
		"an unknown curve":     strings.Replace(p256, "P-256", "secp256k1", 1) + `}`,
		"padded coordinate":    strings.Replace(p256, `","y"`, `=","y"`, 1) + `}`,
		"x a number":           `{"kty":"EC","crv":"P-256","x":1,"y":2}`,
		"for encryption":       p256 + `,"use":"enc"}`,
		"key_ops to sign":      p256 + `,"key_ops":["sign"]}`,
		"key_ops a text":       p256 + `,"key_ops":"verify"}`,
	} {
		table = append(table, badProofHeader("jwk: "+name, "proof_jwk", with("jwk", jwk)))
	}
	rsaHeader := func(jwk string) edit { return both(with("alg", `"RS256"`), with("jwk", jwk)) }
	for name, jwk := range map[string]string{
		"1024 bits":         "{" + rsaMembers(&f.weak.PublicKey) + "}",
		"exponent 1":        `{"kty":"RSA","n":"` + n + `","e":"AQ"}`,
		"exponent 2":        `{"kty":"RSA","n":"` + n + `","e":"Ag"}`,
		"exponent 0":        `{"kty":"RSA","n":"` + n + `","e":"AA"}`,
		"exponent empty":    `{"kty":"RSA","n":"` + n + `","e":""}`,
		"exponent too long": `{"kty":"RSA","n":"` + n + `","e":"AQAAAAE"}`,
		"even modulus":      `{"kty":"RSA","n":"` + b64(new(big.Int).Lsh(f.rsa.N, 1).Bytes()) + `","e":"AQAB"}`,
		"n a number":        `{"kty":"RSA","n":1,"e":"AQAB"}`,
		"a key too large":   `{"kty":"RSA","n":"` + b64(new(big.Int).SetBit(big.NewInt(1), 9000, 1).Bytes()) + `","e":"AQAB"}`,
		"with d":            `{"kty":"RSA","n":"` + n + `","e":"AQAB","d":"AAAA"}`,
	} {
		table = append(table, badProofHeader("RSA jwk: "+name, "proof_jwk", rsaHeader(jwk)))
	}
	return append(table, badProofHeader("jwk: alg of another kind", "proof_alg", func(header string) string {
		return strings.Replace(header, `"jwk":{`, `"jwk":{"alg":"ES512",`, 1)
	}))
}

func newKeyMust(signing crypto.Signer) *jose.Key {
	key, err := jose.NewKey(signing, jose.KeyOptions{})
	if err != nil {
		panic(err)
	}
	return key
}

func proofClaimAttacks() []attack {
	table := []attack{
		issued("T120 T147 no jti", "proof_jti", mint.ProofClaim("jti", nil)),
		issued("T121 T147 no htm", "proof_htm", mint.ProofClaim("htm", nil)),
		issued("T122 T147 no htu", "proof_htu", mint.ProofClaim("htu", nil)),
		issued("T123 no iat", "proof_iat", mint.ProofClaim("iat", nil)),
		issued("T124 T147 no ath", "proof_ath", mint.ProofClaim("ath", nil)),
		newAttack("T131 T147 iat two hours old", "proof_iat", func(w *world) *http.Request {
			token := w.server.Token()
			return plain("DPoP "+token, w.server.Proof(http.MethodGet, resource, token, mint.ProofClaim("iat", time.Now().Add(-2*time.Hour).Unix())))
		}),
		newAttack("T147 iat in an hour", "proof_iat", func(w *world) *http.Request {
			token := w.server.Token()
			return plain("DPoP "+token, w.server.Proof(http.MethodGet, resource, token, mint.ProofClaim("iat", time.Now().Add(time.Hour).Unix())))
		}),
		badProofClaims("iat 12 s old", "proof_iat", at("iat", -12)),
		badProofClaims("iat in 11 s", "proof_iat", at("iat", 11)),
		badProofClaims("exp long past", "proof_iat", at("exp", -60)),
		badProofClaims("exp text", "proof_iat", also(`"exp":"9999999999"`)),
		badProofClaims("nbf in a minute", "proof_iat", at("nbf", 60)),
		badProofClaims("nbf text", "proof_iat", also(`"nbf":"1"`)),
		badProof("T132 ath of another token", "proof_ath", func(w *world, _ string) string { return w.proof(w.token(nil, with("x", "1")), nil, nil) }),
		badProof("T132 the token as ath", "proof_ath", func(w *world, token string) string { return w.proof(token, nil, with("ath", quote(token))) }),
		badProof("ath padded", "proof_ath", func(w *world, token string) string { return w.proof(token, nil, with("ath", quote(hashOf(token)+"="))) }),
		badProof("ath of the token in lower case", "proof_ath", func(w *world, token string) string {
			return w.proof(token, nil, with("ath", quote(hashOf(strings.ToLower(token)))))
		}),
		badProof("ath of the whole header", "proof_ath", func(w *world, token string) string {
			return w.proof(token, nil, with("ath", quote(hashOf("DPoP "+token))))
		}),
		badProof("a proof for a token request", "proof_ath", func(w *world, _ string) string { return w.proof("", nil, without("ath")) }),
		badProofClaims("JTI in place of jti", "proof_jti", replace(`"jti"`, `"JTI"`)),
		badProofClaims("HTU in place of htu", "proof_htu", replace(`"htu"`, `"HTU"`)),
		badProofClaims("empty", "proof_jti", entirely(`{}`)),
		badProofClaims("jti of 257 characters", "proof_jti", with("jti", quote(strings.Repeat("j", 257)))),
	}
	for _, name := range []string{"jti", "htm", "htu", "iat", "ath"} {
		table = append(table, badProofClaims("duplicate "+name, "proof_malformed", also(quote(name)+`:null`)))
	}
	for claim, values := range map[string][]string{
		"jti": {`null`, `""`, `1`, `[]`, `["x"]`, `{}`, `true`},
		"htm": {`null`, `""`, `"get"`, `"Get"`, `"POST"`, `"HEAD"`, `"GET "`, `" GET"`, `["GET"]`, `1`, `"GET,POST"`, `"*"`},
		"iat": {`null`, `""`, `"now"`, `[1]`, `{}`, `true`, `0`, `-1`, `1e300`, `99999999999999999999`, `1e-400`},
		"ath": {`null`, `""`, `1`, `[]`, `{}`, `"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"`},
	} {
		for _, value := range values {
			table = append(table, badProofClaims(claim+" "+value, "proof_"+claim, with(claim, value)))
		}
	}
	table = append(table, newAttack("iat as a text of now", "proof_iat", func(w *world) *http.Request {
		token := w.token(nil, nil)
		return plain("DPoP "+token, w.proof(token, nil, with("iat", fmt.Sprintf("\"%d\"", time.Now().Unix()))))
	}), newAttack("iat in milliseconds", "proof_iat", func(w *world) *http.Request {
		token := w.token(nil, nil)
		return plain("DPoP "+token, w.proof(token, nil, with("iat", fmt.Sprint(time.Now().UnixMilli()))))
	}), newAttack("X-HTTP-Method-Override does not change htm", "proof_htm", func(w *world) *http.Request {
		token := w.token(nil, nil)
		request := plain("DPoP "+token, w.proof(token, nil, with("htm", `"DELETE"`)))
		request.Header.Set("X-HTTP-Method-Override", "DELETE")
		request.Header.Set("X-Method-Override", "DELETE")
		request.Header.Set("X-Forwarded-Method", "DELETE")
		return request
	}))
	return table
}
