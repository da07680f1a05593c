package jose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

// ders are one RSA key and one EC key in the three structures.
func ders(t testing.TB) map[string][]byte {
	t.Helper()
	rsaKey, ec := sharedRSA(), sharedEC[elliptic.P256()]()
	pkcs8RSA, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	require.NoError(t, err)
	pkcs8EC, err := x509.MarshalPKCS8PrivateKey(ec)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	return map[string][]byte{
		"RSA in PKCS#8": pkcs8RSA, "RSA in PKCS#1": x509.MarshalPKCS1PrivateKey(rsaKey), "EC in PKCS#8": pkcs8EC, "EC in SEC1": sec1,
	}
}

func algorithmIn(structure string) Algorithm {
	if strings.HasPrefix(structure, "EC") {
		return ES256
	}
	return PS256
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// bodyOf is the block without its first and its last line.
func bodyOf(block string) string {
	lines := strings.SplitAfter(strings.TrimSpace(block), "\n")
	return strings.Join(lines[1:len(lines)-1], "")
}

func quoted(t testing.TB, text string) string {
	t.Helper()
	data, err := json.Marshal(text)
	require.NoError(t, err)
	return string(data)
}

func inUTF16(text string, mark bool, big bool) string {
	if mark {
		text = "\ufeff" + text
	}
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := []byte{byte(unit), byte(unit >> 8)}
		if big {
			pair[0], pair[1] = pair[1], pair[0]
		}
		out = append(out, pair...)
	}
	return string(out)
}

// What is in a PEM block decides, and not its label (RFC 7468 section 2).
func TestPEMLabels(t *testing.T) {
	t.Parallel()
	for structure, der := range ders(t) {
		for _, label := range []string{"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"} {
			t.Run(structure+" as "+label, func(t *testing.T) {
				t.Parallel()
				requireSameKey(t, algorithmIn(structure), block(label, der), KeyOptions{})
			})
		}
	}
}

// wrappings are the ways in which a key's text arrives.
func wrappings(t testing.TB) map[string]func(string) string {
	std := base64.StdEncoding.EncodeToString
	return map[string]func(string) string{
		"as it is":                    func(s string) string { return s },
		"a byte order mark":           func(s string) string { return "\ufeff" + s },
		"UTF-16, little":              func(s string) string { return inUTF16(s, true, false) },
		"UTF-16, big":                 func(s string) string { return inUTF16(s, true, true) },
		"UTF-16 without a mark":       func(s string) string { return inUTF16(s, false, false) },
		"UTF-16 in Base64":            func(s string) string { return std([]byte(inUTF16(s, false, false))) },
		"Base64":                      func(s string) string { return std([]byte(s)) },
		"Base64 twice":                func(s string) string { return std([]byte(std([]byte(s)))) },
		"Base64 with lines":           func(s string) string { return bodyOf(block("X", []byte(s))) },
		"base64url":                   func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"base64url, not padded":       segment,
		"Base64, quoted":              func(s string) string { return `"` + std([]byte(s)) + `"` + "\n" },
		"a JSON string":               func(s string) string { return quoted(t, s) },
		"a JSON string twice":         func(s string) string { return quoted(t, quoted(t, s)) },
		"a JSON string, Base64":       func(s string) string { return std([]byte(quoted(t, s))) },
		"single quotes":               func(s string) string { return "'" + s + "'" },
		"double quotes, not JSON":     func(s string) string { return `"` + s + `"` },
		"spaces around":               func(s string) string { return "\n\t " + s + " \r\n\u00a0" },
		"percent-encoded":             url.PathEscape,
		"Base64, then line ends lost": func(s string) string { return std([]byte(s)) + `\n` },
	}
}

func TestKeyWrappings(t *testing.T) {
	t.Parallel()
	texts := map[string]string{"EC JWK": bent(t, ES256, nil), "EC JWK set": `{"keys":[` + bent(t, ES256, nil) + `]}`}
	for structure, der := range ders(t) {
		texts[structure] = block("PRIVATE KEY", der)
	}
	for wrapping, wrap := range wrappings(t) {
		for name, text := range texts {
			t.Run(name+", "+wrapping, func(t *testing.T) {
				t.Parallel()
				requireSameKey(t, algorithmIn(name), wrap(text), KeyOptions{})
			})
		}
	}
	jwk := bent(t, ES256, nil)
	escaped := strings.Trim(quoted(t, jwk), `"`)
	for name, text := range map[string]string{
		"escaped without quotes":       escaped,
		"escaped twice":                strings.Trim(quoted(t, escaped), `"`),
		"line ends written out":        strings.Replace(jwk, "{", `{\n  `, 1),
		"line ends and escapes":        strings.Replace(escaped, "{", `{\n  `, 1),
		"in single and double quotes":  `'"` + escaped + `"'`,
		"with a line end in it":        strings.ReplaceAll(jwk, ",", ",\r\n\t"),
		"in double quotes, no escapes": `"` + jwk + `"`,
	} {
		t.Run("JWK "+name, func(t *testing.T) {
			t.Parallel()
			requireSameKey(t, ES256, text, KeyOptions{})
		})
	}
}

// PEM that lost or changed its line ends has one meaning still.
func TestPEMLines(t *testing.T) {
	t.Parallel()
	ec, rsaKey := ders(t)["EC in SEC1"], ders(t)["RSA in PKCS#8"]
	params := block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, sharedRSA().Public(), sharedRSA())
	require.NoError(t, err)
	certificate := block("CERTIFICATE", der)
	in := func(from, to string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, from, to) }
	}
	for name, change := range map[string]func(string) string{
		"CR LF":                     in("\n", "\r\n"),
		"CR only":                   in("\n", "\r"),
		"literal \\n":               in("\n", `\n`),
		"literal \\r\\n":            in("\n", `\r\n`),
		"literal \\n, doubled":      in("\n", `\\n`),
		"literal \\n, twice":        in("\n", `\\\\n`),
		"one line with spaces":      in("\n", " "),
		"one line without anything": in("\n", ""),
		"indentation":               in("\n", "\n    "),
		"indentation with tabs":     func(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") },
		"empty lines":               in("\n", "\n\n"),
		"spaces at the ends":        in("\n", "  \n"),
		"literal \\n, quoted":       func(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` },
		"literal \\n, single":       func(s string) string { return `'` + strings.ReplaceAll(s, "\n", `\n`) + `'` },
		"no last line end":          strings.TrimSpace,
		"text around":               func(s string) string { return "Bag Attributes\n  friendlyName: x\n" + s + "# end\n" },
		"a certificate before":      func(s string) string { return certificate + s },
		"certificates around":       func(s string) string { return certificate + s + certificate + certificate },
		"a certificate, one line":   func(s string) string { return strings.ReplaceAll(certificate+s, "\n", " ") },
		"parameters before":         func(s string) string { return params + s },
		"its public key behind":     func(s string) string { return s + publicPEM(t, sharedEC[elliptic.P256()]()) },
		"lines of another length":   func(s string) string { return s[:50] + "\n" + s[50:80] + "\n" + s[80:] },
		"old headers": func(s string) string {
			return strings.Replace(s, "KEY-----\n", "KEY-----\nComment: made by hand\n\n", 1)
		},
		"no padding": in("=", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireSameKey(t, ES256, change(block("EC PRIVATE KEY", ec)), KeyOptions{})
			requireSameKey(t, PS256, change(block("PRIVATE KEY", rsaKey)), KeyOptions{})
		})
	}
}

func TestKeyDER(t *testing.T) {
	t.Parallel()
	std := base64.StdEncoding.EncodeToString
	for structure, der := range ders(t) {
		for name, text := range map[string]string{
			"as it is": string(der), "with a line end": string(der) + "\r\n", "in Base64": std(der), "in Base64 twice": std([]byte(std(der))),
			"the body of PEM alone": bodyOf(block("X", der)),
			"in base64url":          segment(string(der)), "in Base64, quoted": `"` + std(der) + `"`,
		} {
			t.Run(structure+" "+name, func(t *testing.T) {
				t.Parallel()
				requireSameKey(t, algorithmIn(structure), text, KeyOptions{})
			})
		}
	}
}

type (
	encryptedDER struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	privateDER struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	storeDER struct {
		Version  int
		AuthSafe struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"tag:0,explicit"`
		}
	}
)

func asDER(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	require.NoError(t, err)
	return der
}

// What is no key that can be read is called by its name, with the command that
// mends it.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	rsaKey, ec := sharedRSA(), sharedEC[elliptic.P256()]()
	spki, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey.Public(), rsaKey)
	require.NoError(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
	require.NoError(t, err)
	pbes2 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}}
	encrypted := asDER(t, encryptedDER{pbes2, []byte("0123456789abcdef")})
	store := storeDER{Version: 3}
	store.AuthSafe.Type, store.AuthSafe.Content = oidPKCS7Data, []byte("0123")
	pkcs12 := asDER(t, store)
	pss := asDER(t, privateDER{0, pkix.AlgorithmIdentifier{Algorithm: oidRSAPSS}, x509.MarshalPKCS1PrivateKey(rsaKey)})
	dsa := asDER(t, privateDER{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}}, []byte{2, 1, 1}})
	secp256k1 := asDER(t, privateDER{0, pkix.AlgorithmIdentifier{
		Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: []byte{6, 5, 43, 129, 4, 0, 10}},
	}, []byte{48, 3, 2, 1, 1}})
	many, err := rsa.GenerateMultiPrimeKey(rand.Reader, 3, 2048) //nolint:staticcheck // three primes are what must be refused
	require.NoError(t, err)
	broken := *rsaKey
	broken.Primes, broken.Precomputed = []*big.Int{broken.Primes[0], new(big.Int).Add(broken.Primes[1], big.NewInt(2))}, rsa.PrecomputedValues{}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	for name, test := range map[string]struct{ text, says string }{
		"encrypted PKCS#8":              {block("ENCRYPTED PRIVATE KEY", encrypted), "openssl pkey"},
		"encrypted, one line":           {strings.ReplaceAll(block("ENCRYPTED PRIVATE KEY", encrypted), "\n", " "), "openssl pkey"},
		"encrypted, plain label":        {block("PRIVATE KEY", encrypted), "openssl pkey"},
		"encrypted, DER":                {string(encrypted), "openssl pkey"},
		"encrypted, DER in Base64":      {base64.StdEncoding.EncodeToString(encrypted), "openssl pkey"},
		"encrypted the old way":         {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "openssl pkey"},
		"encrypted the old way, spaces": {"-----BEGIN RSA PRIVATE KEY----- Proc-Type: 4,ENCRYPTED DEK-Info: AES-256-CBC,00 AAAA -----END RSA PRIVATE KEY-----", "openssl pkey"},
		"PKCS#12":                       {string(pkcs12), "openssl pkcs12"},
		"PKCS#12 in Base64":             {base64.StdEncoding.EncodeToString(pkcs12), "openssl pkcs12"},
		"a public key":                  {publicPEM(t, ec), "public key"},
		"a public key, one line":        {strings.ReplaceAll(publicPEM(t, ec), "\n", ""), "public key"},
		"a public key, PKCS#1":          {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), "public key"},
		"a public key, private label":   {block("PRIVATE KEY", spki), "public key"},
		"a public key, DER":             {string(spki), "public key"},
		"a public key, PKCS#1, DER":     {string(x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), "public key"},
		"a public JWK":                  {keyFor(t, ES256).Public().JWK(), "public key"},
		"an SSH public key":             {"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB a@b", "public key"},
		"an SSH public key, EC":         {"ecdsa-sha2-nistp256 AAAAE2VjZHNh a@b", "public key"},
		"a certificate":                 {block("CERTIFICATE", certificate), "certificate"},
		"a certificate, literal \\n":    {strings.ReplaceAll(block("CERTIFICATE", certificate), "\n", `\n`), "certificate"},
		"a certificate, DER":            {string(certificate), "certificate"},
		"a certificate, DER in Base64":  {base64.StdEncoding.EncodeToString(certificate), "certificate"},
		"a certificate, private label":  {block("RSA PRIVATE KEY", certificate), "certificate"},
		"a certificate request":         {block("CERTIFICATE REQUEST", request), "certificate request"},
		"PKCS#7":                        {block("PKCS7", []byte{48, 0}), "PKCS#7"},
		"parameters":                    {block("DH PARAMETERS", []byte{48, 0}), "parameters"},
		"EC parameters":                 {block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), "parameters"},
		"OpenSSH":                       {block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00")), "ssh-keygen"},
		"PuTTY":                         {"PuTTY-User-Key-File-3: ssh-rsa\r\nEncryption: none\r\n", "puttygen"},
		"PGP":                           {"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ==\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n", "PGP"},
		"a Java key store":              {"\xfe\xed\xfe\xed\x00\x00\x00\x02", "keytool"},
		".NET's XML":                    {"<RSAKeyValue><Modulus>AQAB</Modulus></RSAKeyValue>", "ExportPkcs8PrivateKeyPem"},
		"an encrypted JWK":              {"eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA", "decrypt"},
		"the name of a file":            {"/run/secrets/client-key.pem", "read the file"},
		"the name of a JSON file":       {`C:\keys\client.json`, "read the file"},
		"a list":                        {"[" + bent(t, ES256, nil) + "]", "array"},
		"RSASSA-PSS only":               {block("PRIVATE KEY", pss), "PS256"},
		"DSA":                           {block("PRIVATE KEY", dsa), "RSA or EC"},
		"secp256k1":                     {block("PRIVATE KEY", secp256k1), "P-256"},
		"P-224":                         {pkcs8(t, p224), "P-256"},
		"three primes":                  {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(many)), "primes"},
		"numbers that do not fit":       {block("RSA PRIVATE KEY", asDER(t, pkcs1Of(&broken))), ""},
		"two keys":                      {pkcs8(t, rsaKey) + pkcs8(t, ec), "more than one"},
		"two keys, one line":            {strings.ReplaceAll(pkcs8(t, rsaKey)+pkcs8(t, ec), "\n", " "), "more than one"},
		"no end":                        {strings.Split(pkcs8(t, ec), "-----END")[0], "damaged"},
		"another end":                   {strings.Replace(pkcs8(t, ec), "END PRIVATE", "END RSA PRIVATE", 1), "damaged"},
		"a block in a block":            {strings.Replace(pkcs8(t, ec), "\n", "\n-----BEGIN X-----\n", 1), "damaged"},
		"not Base64 in it":              {strings.Replace(pkcs8(t, ec), "\n", "\n!\n", 1), "damaged"},
		"nothing in it":                 {"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "damaged"},
		"too large":                     {strings.Repeat(" ", maxKeyText) + pkcs8(t, ec), "KiB"},
		"wrapped too often":             {quoted(t, quoted(t, quoted(t, quoted(t, quoted(t, bent(t, ES256, nil)))))), ""},
		"binary":                        {"\x80\x81\x82\x00", ""},
		"only quotes":                   {`""`, "empty"},
		"one quote":                     {`"`, ""},
		"a password":                    {"hunter2", "neither"},
		"a password in Base64":          {base64.StdEncoding.EncodeToString([]byte("a password")), "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(test.text), KeyOptions{})
			require.ErrorIs(t, err, ErrKey)
			require.ErrorContains(t, err, test.says)
			require.Less(t, len(err.Error()), 400)
		})
	}
}

// pkcs1Of writes the structure without looking at the numbers.
func pkcs1Of(key *rsa.PrivateKey) any {
	p, q := key.Primes[0], key.Primes[1]
	return struct {
		Version                   int
		N, E, D, P, Q, Dp, Dq, Qi *big.Int
	}{0, key.N, big.NewInt(int64(key.E)), key.D, p, q, new(big.Int).Mod(key.D, lessOne(p)), new(big.Int).Mod(key.D, lessOne(q)), new(big.Int).ModInverse(q, p)}
}

// The derived numbers of a PKCS#1 key are not taken over: with a wrong one, each
// signature would give the key away.
func TestPEMDerivedNumbers(t *testing.T) {
	t.Parallel()
	key := sharedRSA()
	wrong := struct {
		Version                   int
		N, E, D, P, Q, Dp, Dq, Qi *big.Int
	}{0, key.N, big.NewInt(int64(key.E)), key.D, key.Primes[0], key.Primes[1], big.NewInt(3), big.NewInt(5), big.NewInt(7)}
	parsed, err := ParseKey([]byte(block("RSA PRIVATE KEY", asDER(t, wrong))), KeyOptions{})
	if err != nil {
		require.ErrorIs(t, err, ErrKey)
		return
	}
	private := parsed.Signer().(*rsa.PrivateKey)
	require.Equal(t, key.Precomputed.Dp, private.Precomputed.Dp)
	require.Equal(t, key.Precomputed.Dq, private.Precomputed.Dq)
	require.Equal(t, key.Precomputed.Qinv, private.Precomputed.Qinv)
}
