package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/stretchr/testify/require"
)

// privateJWK is a JWK as a map, to be bent by the tests.
func privateJWK(t testing.TB, algorithm Algorithm) map[string]any {
	t.Helper()
	data, err := keyFor(t, algorithm).MarshalPrivateJWK()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	return members
}

func marshal(t testing.TB, members map[string]any) string {
	t.Helper()
	data, err := json.Marshal(members)
	require.NoError(t, err)
	return string(data)
}

func TestParseKeyForms(t *testing.T) {
	t.Parallel()
	ec, rsaKey := sharedEC[elliptic.P256()](), sharedRSA()
	sec1, err := x509.MarshalECPrivateKey(ec)
	sec1PEM := pemOf(t, "EC PRIVATE KEY", sec1, err)
	params := pemOf(t, "EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil)
	pkcs1 := pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey.Public(), rsaKey)
	certificate := pemOf(t, "CERTIFICATE", der, err)
	ecJWK, rsaJWK := marshal(t, privateJWK(t, ES256)), marshal(t, privateJWK(t, PS256))

	ecPrint := keyFor(t, ES256).Public().Thumbprint()
	rsaPrint := keyFor(t, PS256).Public().Thumbprint()
	for name, test := range map[string]struct{ text, thumbprint string }{
		"T099 JWK, EC":                   {ecJWK, ecPrint},
		"T099 JWK, RSA":                  {rsaJWK, rsaPrint},
		"JWK with white space":           {"\n\t " + ecJWK + " \r\n", ecPrint},
		"T099 JWK in Base64":             {base64.StdEncoding.EncodeToString([]byte(ecJWK)), ecPrint},
		"T099 JWK in Base64 with a line": {base64.StdEncoding.EncodeToString([]byte(rsaJWK)) + "\n", rsaPrint},
		"JWK in base64url":               {segment(ecJWK), ecPrint},
		"T099 PEM PKCS#8, EC":            {pkcs8(t, ec), ecPrint},
		"T099 PEM PKCS#8, RSA":           {pkcs8(t, rsaKey), rsaPrint},
		"PEM PKCS#1":                     {pkcs1, rsaPrint},
		"PEM SEC1":                       {sec1PEM, ecPrint},
		"PEM SEC1 as openssl writes it":  {params + sec1PEM, ecPrint},
		"PEM with text before it":        {"Bag Attributes\n  friendlyName: x\n" + pkcs1, rsaPrint},
		"PEM with Windows line ends":     {strings.ReplaceAll(pkcs1, "\n", "\r\n"), rsaPrint},
		"T041 T098 certificate and key":  {certificate + pkcs1, rsaPrint},
		"key and certificate":            {pkcs1 + certificate, rsaPrint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := ParseKey([]byte(test.text), KeyOptions{})
			require.NoError(t, err)
			require.Equal(t, test.thumbprint, key.Public().Thumbprint())
			token := sign(t, key, `{"alg":"`+string(key.Public().Algorithm())+`"}`, "x")
			require.NoError(t, verify(token, key.Public()))
		})
	}
	for name, text := range map[string]string{
		"T099 empty":                "",
		"T099 white space":          " \n\t",
		"T093 not JSON":             "not a key",
		"T093 broken JSON":          `{"kty":`,
		"T098 a certificate only":   certificate,
		"two private keys":          pkcs1 + sec1PEM,
		"the same key twice":        pkcs1 + pkcs1,
		"Base64 of something else":  base64.StdEncoding.EncodeToString([]byte("hello, hello")),
		"JWK with text behind":      ecJWK + "x",
		"two JWKs":                  ecJWK + ecJWK,
		"JSON array":                `[` + ecJWK + `]`,
		"PEM public key":            publicPEM(t, ec),
		"PEM encrypted":             "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"PEM encrypted the old way": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"PEM damaged":               strings.Replace(pkcs1, "MII", "MIJ", 1),
		"PEM cut off":               pkcs1[:len(pkcs1)/2],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(text), KeyOptions{})
			require.ErrorIs(t, err, ErrKey)
		})
	}
}

func publicPEM(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pemOf(t, "PUBLIC KEY", der, err)
}

func TestParseKeyTypes(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	for name, text := range map[string]string{
		"Ed25519 PEM": pkcs8(t, ed),
		"X25519 PEM":  pkcs8(t, x25519),
		"T040 X25519 JWK": `{"kty":"OKP","crv":"X25519","x":"` + b64(x25519.PublicKey().Bytes()) +
			`","d":"` + b64(x25519.Bytes()) + `"}`,
		"Ed25519 JWK":    `{"kty":"OKP","crv":"Ed25519","x":"` + b64(ed[32:]) + `","d":"` + b64(ed[:32]) + `"}`,
		"symmetric JWK":  `{"kty":"oct","k":"` + b64(make([]byte, 32)) + `"}`,
		"symmetric, d":   `{"kty":"oct","k":"AAAA","d":"AAAA"}`,
		"no kty":         `{"d":"AAAA"}`,
		"kty no string":  `{"kty":["RSA"],"d":"AAAA"}`,
		"kty lower case": `{"kty":"ec","d":"AAAA"}`,
		"P-224 PEM":      pkcs8(t, sharedEC[elliptic.P224()]()),
		"secp256k1 JWK":  `{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA","d":"AAAA"}`,
		"RSA-1024 PEM":   pkcs8(t, weak),
		"RSA-1024 JWK": `{"kty":"RSA","n":"` + b64(weak.N.Bytes()) + `","e":"AQAB","d":"` + b64(weak.D.Bytes()) +
			`","p":"` + b64(weak.Primes[0].Bytes()) + `","q":"` + b64(weak.Primes[1].Bytes()) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(text), KeyOptions{})
			require.ErrorIs(t, err, ErrKey)
		})
	}
}

func TestParseKeyOptions(t *testing.T) {
	t.Parallel()
	with := func(algorithm Algorithm, change func(map[string]any)) string {
		members := privateJWK(t, algorithm)
		change(members)
		return marshal(t, members)
	}
	parse := func(t *testing.T, text string, options KeyOptions) *Key {
		key, err := ParseKey([]byte(text), options)
		require.NoError(t, err)
		return key
	}
	without := func(names ...string) func(map[string]any) {
		return func(m map[string]any) {
			for _, name := range names {
				delete(m, name)
			}
		}
	}
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	t.Run("T093 no alg means our default", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, PS256, parse(t, with(RS512, without("alg")), KeyOptions{}).Public().Algorithm())
		require.Equal(t, ES384, parse(t, with(ES384, without("alg")), KeyOptions{}).Public().Algorithm())
	})
	t.Run("T093 no kid means the thumbprint", func(t *testing.T) {
		t.Parallel()
		for _, change := range []func(map[string]any){without("kid"), set("kid", "")} {
			key := parse(t, with(ES256, change), KeyOptions{})
			require.Equal(t, key.Public().Thumbprint(), key.ID())
		}
	})
	t.Run("the JWK's alg and kid", func(t *testing.T) {
		t.Parallel()
		key := parse(t, with(PS512, set("kid", "key-1")), KeyOptions{})
		require.Equal(t, "key-1", key.ID())
		require.Equal(t, PS512, key.Public().Algorithm())
	})
	t.Run("options win", func(t *testing.T) {
		t.Parallel()
		key := parse(t, with(PS512, set("kid", "key-1")), KeyOptions{Algorithm: RS256, ID: "other"})
		require.Equal(t, "other", key.ID())
		require.Equal(t, RS256, key.Public().Algorithm())
	})
	t.Run("use and key_ops that allow it", func(t *testing.T) {
		t.Parallel()
		parse(t, with(ES256, without("use")), KeyOptions{})
		parse(t, with(ES256, set("key_ops", []string{"verify", "sign"})), KeyOptions{})
	})
	for name, test := range map[string]struct {
		text    string
		options KeyOptions
	}{
		"T094 RSA key, alg ES256":      {with(PS256, set("alg", "ES256")), KeyOptions{}},
		"T094 EC key, alg RS256":       {with(ES256, set("alg", "RS256")), KeyOptions{}},
		"T094 EC key, option PS256":    {with(ES256, without()), KeyOptions{Algorithm: PS256}},
		"T095 P-256 key, alg ES384":    {with(ES256, set("alg", "ES384")), KeyOptions{}},
		"alg none":                     {with(ES256, set("alg", "none")), KeyOptions{}},
		"alg HS256":                    {with(PS256, set("alg", "HS256")), KeyOptions{}},
		"alg for encryption":           {with(PS256, set("alg", "RSA-OAEP")), KeyOptions{}},
		"alg no string":                {with(ES256, set("alg", 256)), KeyOptions{}},
		"kid no string":                {with(ES256, set("kid", 1)), KeyOptions{}},
		"option unknown":               {with(ES256, without()), KeyOptions{Algorithm: "ES256K"}},
		"use enc":                      {with(ES256, set("use", "enc")), KeyOptions{}},
		"use no string":                {with(ES256, set("use", []string{"sig"})), KeyOptions{}},
		"key_ops verify only":          {with(ES256, set("key_ops", []string{"verify"})), KeyOptions{}},
		"key_ops no array":             {with(ES256, set("key_ops", "sign")), KeyOptions{}},
		"public, EC":                   {with(ES256, without("d")), KeyOptions{}},
		"public, RSA":                  {with(PS256, without("d", "p", "q", "dp", "dq", "qi")), KeyOptions{}},
		"d null":                       {with(ES256, set("d", nil)), KeyOptions{}},
		"duplicate d":                  {strings.Replace(with(ES256, without()), "{", `{"d":"AAAA",`, 1), KeyOptions{}},
		"EC d of another key":          {with(ES256, set("d", segment(strings.Repeat("x", 32)))), KeyOptions{}},
		"EC d zero":                    {with(ES256, set("d", segment(strings.Repeat("\x00", 32)))), KeyOptions{}},
		"EC d above the order":         {with(ES256, set("d", segment(strings.Repeat("\xff", 32)))), KeyOptions{}},
		"EC d too long":                {with(ES256, set("d", segment(strings.Repeat("x", 33)))), KeyOptions{}},
		"EC point of another key":      {with(ES256, set("x", segment(strings.Repeat("x", 32)))), KeyOptions{}},
		"RSA d of another key":         {with(PS256, set("d", segment(strings.Repeat("x", 256)))), KeyOptions{}},
		"RSA p of another key":         {with(PS256, set("p", segment(strings.Repeat("y", 128)))), KeyOptions{}},
		"RSA n of another key":         {with(PS256, set("n", segment("\xc0"+strings.Repeat("y", 255)))), KeyOptions{}},
		"RSA e of another key":         {with(PS256, set("e", "Aw")), KeyOptions{}},
		"RSA d with standard alphabet": {with(PS256, set("d", "+/+/")), KeyOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(test.text), test.options)
			require.ErrorIs(t, err, ErrKey)
		})
	}
}

func TestMarshalPrivateJWK(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			key, err := NewKey(signerFor(t, algorithm), KeyOptions{Algorithm: algorithm, ID: "kid-1"})
			require.NoError(t, err)
			data, err := key.MarshalPrivateJWK()
			require.NoError(t, err)
			back, err := ParseKey(data, KeyOptions{})
			require.NoError(t, err)
			require.Equal(t, "kid-1", back.ID())
			require.Equal(t, algorithm, back.Public().Algorithm())
			require.Equal(t, key.Public().Thumbprint(), back.Public().Thumbprint())
			require.NoError(t, verify(sign(t, back, `{"alg":"`+string(algorithm)+`"}`, "x"), key.Public()))
			use, _ := object(t, string(data)).Get("use").Text()
			require.Equal(t, "sig", use)
		})
	}
	t.Run("a key in a KMS stays there", func(t *testing.T) {
		t.Parallel()
		key, err := NewKey(&remoteSigner{Signer: sharedRSA()}, KeyOptions{})
		require.NoError(t, err)
		_, err = key.MarshalPrivateJWK()
		require.ErrorIs(t, err, ErrKey)
	})
}

// The published keys come out as they were published, and a number that begins with
// zeros keeps its length (RFC 7518 sections 6.2.1.2 and 6.2.2.1).
func TestMarshalPrivateJWKVectors(t *testing.T) {
	t.Parallel()
	vectors := loadRFC(t)
	one := ecdsaKeyOf(t, elliptic.P256(), 1)
	for name, vector := range map[string]struct {
		jwk       []byte
		algorithm Algorithm
	}{
		"RFC 7515 A.2 RSA":   {vectors.JWS["RFC 7515 A.2 RS256"].Key, RS256},
		"RFC 7515 A.3 P-256": {vectors.JWS["RFC 7515 A.3 ES256"].Key, ES256},
		"RFC 7515 A.4 P-521": {vectors.JWS["RFC 7515 A.4 ES512"].Key, ES512},
		"zeros in front":     {one, ES256},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := ParseKey(vector.jwk, KeyOptions{Algorithm: vector.algorithm, ID: "kid-1"})
			require.NoError(t, err)
			data, err := key.MarshalPrivateJWK()
			require.NoError(t, err)
			var want, got map[string]string
			require.NoError(t, json.Unmarshal(vector.jwk, &want))
			require.NoError(t, json.Unmarshal(data, &got))
			want["kid"], want["alg"], want["use"] = "kid-1", string(vector.algorithm), "sig"
			require.Equal(t, want, got)
		})
	}
}

// ecdsaKeyOf is the JWK of a private number.
func ecdsaKeyOf(t *testing.T, curve elliptic.Curve, number int64) []byte {
	t.Helper()
	size := (curve.Params().BitSize + 7) / 8
	raw := big.NewInt(number).FillBytes(make([]byte, size))
	private, err := ecdsa.ParseRawPrivateKey(curve, raw)
	require.NoError(t, err)
	public, err := NewPublicKey(&private.PublicKey, "")
	require.NoError(t, err)
	return []byte(strings.TrimSuffix(public.JWK(), "}") + `,"d":"` + base64.RawURLEncoding.EncodeToString(raw) + `"}`)
}

func TestMarshalPrivatePEM(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, algorithm)
			data, err := key.MarshalPrivatePEM()
			require.NoError(t, err)
			block, rest := pem.Decode(data)
			require.NotNil(t, block)
			require.Empty(t, rest)
			require.Equal(t, "PRIVATE KEY", block.Type)
			private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			require.NoError(t, err)
			require.True(t, private.(interface{ Equal(crypto.PrivateKey) bool }).Equal(signerFor(t, algorithm)))
			back, err := ParseKey(data, KeyOptions{Algorithm: algorithm})
			require.NoError(t, err)
			require.Equal(t, key.Public().Thumbprint(), back.Public().Thumbprint())
			require.NoError(t, verify(sign(t, back, `{"alg":"`+string(algorithm)+`"}`, "x"), key.Public()))
		})
	}
	t.Run("a key in a KMS stays there", func(t *testing.T) {
		t.Parallel()
		key, err := NewKey(&remoteSigner{Signer: sharedRSA()}, KeyOptions{})
		require.NoError(t, err)
		_, err = key.MarshalPrivatePEM()
		require.ErrorIs(t, err, ErrKey)
	})
}

func TestMarshalPublicJWK(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			key, err := NewKey(signerFor(t, algorithm), KeyOptions{Algorithm: algorithm, ID: `k"1`})
			require.NoError(t, err)
			public := object(t, string(key.MarshalPublicJWK()))
			require.False(t, HasPrivateMember(public))
			names := []string{"e", "kty", "n", "use", "alg", "kid"}
			if algorithm[:2] == "ES" {
				names = []string{"crv", "kty", "x", "y", "use", "alg", "kid"}
			}
			require.Equal(t, names, public.Names())
			kid, _ := public.Get("kid").Text()
			require.Equal(t, `k"1`, kid)
			back, err := ParsePublicJWK(public, "")
			require.NoError(t, err)
			require.Equal(t, algorithm, back.Algorithm())
			require.Equal(t, key.Public().Thumbprint(), back.Thumbprint())
		})
	}
}

// TestKeyErrorsQuoteNothing feeds private keys that are broken in many ways,
// and looks for any part of them in what the errors say.
func TestKeyErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, algorithm := range []Algorithm{ES256, PS256} {
		good := marshal(t, privateJWK(t, algorithm))
		texts = append(texts, good[:len(good)-1], good+"x", "["+good+"]", strings.ReplaceAll(good, `"`, "'"),
			strings.Replace(good, "{", `{"kty":"x",`, 1), base64.StdEncoding.EncodeToString([]byte(good+"x")),
			base64.StdEncoding.EncodeToString([]byte(good))[4:])
		members := privateJWK(t, algorithm)
		for name, value := range members {
			text := value.(string)
			for _, changed := range []any{text + "A", "A" + text, text[1:], text + "=", text + "!", strings.ToUpper(text), []string{text}, map[string]string{text: text}, 17, nil} {
				bent := privateJWK(t, algorithm)
				bent[name] = changed
				texts = append(texts, marshal(t, bent))
			}
			bent := privateJWK(t, algorithm)
			delete(bent, name)
			bent[text] = name
			texts = append(texts, marshal(t, bent))
		}
	}
	for _, good := range []string{pkcs8(t, sharedRSA()), pkcs8(t, sharedEC[elliptic.P256()]())} {
		block, _ := pem.Decode([]byte(good))
		for at := 0; at < len(block.Bytes); at += 1 + len(block.Bytes)/60 {
			bent := append([]byte(nil), block.Bytes...)
			bent[at] ^= 0x55
			texts = append(texts, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bent})))
		}
		body := strings.Split(good, "\n")[1]
		texts = append(texts, good[:100], strings.ReplaceAll(good, "-----", "----"), strings.ReplaceAll(good, "PRIVATE KEY", body))
	}
	refused := 0
	for _, text := range texts {
		_, err := ParseKey([]byte(text), KeyOptions{})
		if err == nil {
			continue // some changes do no harm, to kid for instance
		}
		refused++
		require.ErrorIs(t, err, ErrKey)
		requireNoPart(t, err.Error(), text)
	}
	require.Greater(t, refused, 150)
}

// requireNoPart finds no eight characters of a secret in the message, but for
// the name of the PEM block.
func requireNoPart(t testing.TB, message, secret string) {
	t.Helper()
	const window = 8
	message = strings.ReplaceAll(message, "PRIVATE KEY", "")
	for i := 0; i+window <= len(secret); i++ {
		part := secret[i : i+window]
		if strings.Contains(message, part) {
			require.Failf(t, "the error quotes the key", "%q", message)
		}
	}
}

// FuzzParseKey changes good keys: no text makes the reader panic, and none is one
// key to this reader and another to jwx or the standard library.
func FuzzParseKey(f *testing.F) {
	for _, algorithm := range []Algorithm{ES256, ES512, PS256} {
		f.Add([]byte(marshal(f, privateJWK(f, algorithm))))
		f.Add([]byte(`{"keys":[` + marshal(f, privateJWK(f, algorithm)) + `]}`))
	}
	ec := marshal(f, privateJWK(f, ES256))
	for _, wrap := range wrappings(f) {
		f.Add([]byte(wrap(ec)))
		f.Add([]byte(wrap(pkcs8(f, sharedEC[elliptic.P256()]()))))
	}
	for _, der := range ders(f) {
		f.Add(der)
	}
	f.Add([]byte(pkcs8(f, sharedRSA())))
	f.Add([]byte(bent(f, PS256, map[string]any{"p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil})))
	f.Add([]byte(`{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}`))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"))
	for _, vector := range loadRFC(f).JWS {
		f.Add([]byte(vector.Key))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data, KeyOptions{})
		if err != nil {
			require.ErrorIs(t, err, ErrKey)
			require.NotContains(t, err.Error(), "panic")
			return
		}
		// A key that was accepted works, and matches its public half.
		token := sign(t, key, `{"alg":"`+string(key.Public().Algorithm())+`"}`, "x")
		require.NoError(t, verify(token, key.Public()))
		for reader, other := range otherReaders(data) {
			require.True(t, other.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key.Signer()), "%s reads another key", reader)
		}
	})
}

// otherReaders are the RSA and EC keys that other libraries see in the text.
func otherReaders(data []byte) map[string]crypto.PrivateKey {
	found := map[string]crypto.PrivateKey{}
	add := func(reader string, key any, err error) {
		switch key.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey:
			if err == nil {
				found[reader] = key
			}
		}
	}
	if parsed, err := jwk.ParseKey(data); err == nil {
		var key any
		err = jwk.Export(parsed, &key)
		add("jwx", key, err)
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	key, err := x509.ParsePKCS8PrivateKey(data)
	add("x509, PKCS#8", key, err)
	rsaKey, err := x509.ParsePKCS1PrivateKey(data)
	add("x509, PKCS#1", rsaKey, err)
	ecKey, err := x509.ParseECPrivateKey(data)
	add("x509, SEC1", ecKey, err)
	return found
}

// TestMutatedKeys turns, drops and doubles parts of good keys, as the fuzzer does,
// but the same ones in each run: what is accepted is the same key to all readers.
func TestMutatedKeys(t *testing.T) {
	t.Parallel()
	const letters = `{}[]",:\= AZaz09-_+/` + "\x00\n\xff"
	random := mathrand.New(mathrand.NewPCG(14, 1))
	texts := [][]byte{[]byte(marshal(t, privateJWK(t, ES256))), []byte(bent(t, PS256, map[string]any{"oth": []int{}}))}
	for structure, der := range ders(t) {
		if algorithmIn(structure) == ES256 {
			texts = append(texts, der, []byte(block("PRIVATE KEY", der)))
		}
	}
	for _, text := range texts {
		for range 400 {
			changed := slices.Clone(text)
			for range 1 + random.IntN(2) {
				at := random.IntN(len(changed) - 1)
				switch end := min(len(changed), at+1+random.IntN(8)); random.IntN(4) {
				case 0:
					changed[at] ^= 1 << random.IntN(8)
				case 1:
					changed = slices.Delete(changed, at, end)
				case 2:
					changed = slices.Insert(changed, at, slices.Clone(changed[at:end])...)
				case 3:
					changed[at] = letters[random.IntN(len(letters))]
				}
			}
			key, err := ParseKey(changed, KeyOptions{})
			if err != nil {
				require.ErrorIs(t, err, ErrKey)
				continue
			}
			for reader, other := range otherReaders(changed) {
				require.True(t, other.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key.Signer()), "%s reads another key", reader)
			}
		}
	}
}
