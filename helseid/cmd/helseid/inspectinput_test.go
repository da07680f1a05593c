package main_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

// folded breaks a text into lines, as terminals do.
func folded(text string) string {
	var lines strings.Builder
	for len(text) > 60 {
		lines.WriteString(text[:60] + "\r\n  ")
		text = text[60:]
	}
	return lines.String() + text
}

// Tokens come from wherever they are copied from.
func TestInspectPastedHeaders(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := server.Token()
	proof := server.Proof("GET", inspectedURL, token)
	for name, text := range map[string]string{
		"itself":               token,
		"white space":          "\n\t " + token + " \r\n",
		"lines":                folded(token),
		"quotes":               `"` + token + `",`,
		"a scheme":             "DPoP " + token,
		"a scheme in capitals": "BEARER\t" + folded(token),
		"a header":             "Authorization: DPoP " + token,
		"a header in lines":    "authorization:DPoP " + folded(token) + "\r\nAccept: */*\r\n",
		"a request":            "GET /x HTTP/1.1\r\nHost: api.example.no\r\nAuthorization: Bearer " + token + "\r\nAccept: */*\r\n\r\n",
		"curl -v":              "> GET /x HTTP/2\n> Host: a\n> authorization: DPoP " + token + "\n> \n< HTTP/2 401\n",
		"a response":           `{"access_token":"` + token + `","token_type":"DPoP","expires_in":60}`,
		"of token -show-token": `{"event":"token","claims":{"iss":"a"},"token":"` + token + `"}`,
		"among other lines":    "a DPoP token for nhn:a/b, until 2026-01-31\n{\n  \"aud\": \"nhn:a\"\n}\n" + token + "\n",
		"folded among others":  "it is:\n" + folded(token) + "\n\nwords",
		"of a test token":      `{"isError":false,"successResponse":{"accessTokenJwt":"` + token + `"}}`,
		"curl":                 `curl -H 'Accept: */*' -H 'Authorization: DPoP ` + token + `' https://api.example.no/x`,
	} {
		found := inspect(t, text, "-audience", mint.DefaultAudience)
		require.Equal(t, "access_token", found.kind, name)
		require.Empty(t, found.broken, name)
	}
	for name, text := range map[string]string{
		"a header":    "DPoP: " + proof,
		"in lines":    "dpop: " + folded(proof),
		"curl's":      `-H "DPoP: ` + proof + `" \`,
		"with a name": "X-Request-Id: 1\nDPoP: " + proof + "\nAccept: */*",
	} {
		require.Equal(t, "dpop_proof", inspect(t, text).kind, name)
	}
	// Both headers are looked at, and the proof is compared with the token.
	both := "Authorization: DPoP " + token + "\r\nDPoP: " + proof + "\r\n"
	found := inspect(t, both)
	require.Equal(t, 2, strings.Count(found.text, `"event":"summary"`))
	require.NotContains(t, found.unchecked, "proof_ath")
	another := server.Proof("GET", inspectedURL, server.Token(), mint.ProofWithAnotherKey())
	require.Equal(t, 1, run(t, nil, []byte("Authorization: DPoP "+token+"\nDPoP: "+another), "inspect").exit)
	asJSON := `{"successResponse":{"accessTokenJwt":"` + token + `","dPoPProof":"` + another + `"}}`
	require.Contains(t, inspect(t, asJSON, "-audience", mint.DefaultAudience).broken, "proof_key_mismatch")
	// So is a token in a file that is a whole header.
	require.Empty(t, inspect(t, proof, "-now", "iat", "-token", tokenFile(t, "Authorization: DPoP "+token+"\n")).broken)
	// And one among other lines.
	found = inspect(t, proof, "-now", "iat", "-token", tokenFile(t, "a DPoP token\n{}\n"+token+"\n"))
	require.Empty(t, found.broken)
	require.NotContains(t, found.unchecked, "proof_ath")
}

// What cannot be read as what it seems to be is said with where it is wrong.
func TestInspectMalformed(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	const header = `{"typ":"at+jwt","alg":"RS256","kid":"k"}`
	token := helseidtest.NewServer(t, helseidtest.InMemory()).Token()
	for _, test := range []struct{ input, kind, rule, says string }{
		{encode([]byte(header)) + "." + encode([]byte(`{"iss":"a","iss":"b"}`)) + ".AA", "access_token", "token_malformed", "duplicate member"},
		{encode([]byte(`{"typ":"dpop+jwt","typ":"at+jwt"}`)) + ".e30.AA", "access_token", "token_malformed", "the header: unusable JSON: it has a duplicate member"},
		{encode([]byte(header)) + ".e30.", "access_token", "token_malformed", "signature is empty"},
		{encode([]byte(header)) + ".e30=.AA", "access_token", "token_malformed", "with +, / or ="},
		{encode([]byte(header)) + ".e3.AA", "access_token", "token_malformed", "cut off"},
		{encode([]byte(header)) + "." + encode([]byte(`[1]`)) + ".AA", "access_token", "token_malformed", "not a JSON object"},
		{"a.b.c", "access_token", "token_malformed", "not base64url"},
		{encode([]byte(`{"alg":"none"}`)) + ".e30.", "access_token", "token_malformed", "not signed (alg is none)"},
		{token + "\n" + token + "\n", "unknown", "recognised", "several tokens"},
		{"\x30\x82\x04\x00\x02\x01\x00", "unknown", "recognised", "openssl"},
		{`{"access_token":"C1F5E0B8A8E4D4F2A9C1"}`, "unknown", "recognised", "neither a JWK"},
		{"", "unknown", "recognised", "empty"},
		{"hello", "unknown", "recognised", "neither a JWT"},
		{"two words\nand more,", "unknown", "recognised", "neither a JWT"},
		{"it is:\neyJhbGciOiJSUzI1NiJ9.e30\nand more,", "unknown", "recognised", "neither a JWT"},
		{"eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "unknown", "recognised", "encrypted"},
		{`{"a":1}`, "unknown", "recognised", "neither a JWK"},
		{`{"kty":"EC","kty":"RSA"}`, "jwk", "key_json", "duplicate member"},
		{`{"KTY":"EC"}`, "jwk", "key_members", "case-sensitive"},
		{`{"keys":{}}`, "jwks", "jwks_keys", "a list"},
		{`{"keys":[1]}`, "jwks", "keys[0]", "no object"},
		{"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "pem", "key_members", "damaged"},
		{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", "pem", "key_members", "openssl pkey"},
		{"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "pem", "key_members", "certificate request"},
	} {
		found := inspect(t, test.input)
		require.Equal(t, test.kind, found.kind, test.input)
		require.Contains(t, found.problems[test.rule], test.says, test.input)
	}
	require.NotContains(t, inspect(t, token, "-kind", "dpop_proof").broken, "proof_malformed")
}

// A terminal does what is in a token, unless it is escaped.
func TestInspectEscapes(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := server.Token(
		mint.Claim("x", "\x1b[31m\u009b0m\u202e\\u0041\"\\"), mint.Claim("\x1b]0;y\x07", 1), mint.Header("typ", "\x1b[2J"), mint.Issuer("https://a\x1b.example"),
		mint.Claim("pid", 13116900216), mint.Claim("text", "number 13116900216."), mint.Claim("13116900216", "name"),
		mint.Claim("jwk", map[string]any{"kty": "EC", "D": "s3cret", "k": []int{1}, "x": "y"}), mint.Claim("token", "a "+server.IDToken()),
		mint.Claim("pem", "-----BEGIN PRIVATE KEY-----"), mint.Claim("nested", `{"kty":"EC","d":"s3cret"}`), mint.Claim("client_secret", "s3cret"),
	)
	found := inspect(t, token, "-kind", "access_token")
	words := run(t, nil, []byte(token), "inspect", "-kind", "access_token")
	requireNoSecretIn(t, words)
	for _, text := range []string{found.text, words.stdout} {
		require.False(t, strings.ContainsAny(text, "\x1b\x07\u009b\u202e"))
		require.NotContains(t, text, "13116900216")
		require.NotContains(t, text, "s3cret")
		require.Contains(t, text, `\u001b[31m\u009b0m\u202e\\u0041\"\\`)
		require.Contains(t, text, "***********")
	}
}

func TestInspectKeys(t *testing.T) {
	t.Parallel()
	private := func(key *jose.Key) string { return string(testkit.Must(key.MarshalPrivateJWK())) }
	elliptic256, elliptic521 := testkit.Must(jose.GenerateKey()), testkit.Must(jose.GenerateECKey(elliptic.P521(), jose.KeyOptions{}))
	rsa2048 := testkit.Must(jose.NewKey(testkit.Signer("RS256"), jose.KeyOptions{Algorithm: jose.RS256}))
	change := func(jwk string, changes members) string {
		var changed members
		require.NoError(t, json.Unmarshal([]byte(jwk), &changed))
		return string(testkit.Must(json.Marshal(changed.with(changes))))
	}
	public := string(elliptic256.MarshalPublicJWK())
	for name, test := range map[string]struct {
		jwk    string
		broken []string
	}{
		"private":            {private(elliptic256), nil},
		"private P-521":      {private(elliptic521), nil},
		"private RSA":        {private(rsa2048), nil},
		"public":             {public, nil},
		"public RSA":         {string(rsa2048.MarshalPublicJWK()), nil},
		"as a JSON string":   {string(testkit.Must(json.Marshal(private(elliptic256)))), nil},
		"bare":               {change(private(elliptic256), members{"alg": nil, "kid": nil, "use": nil}), nil},
		"for encryption":     {change(public, members{"use": "enc"}), broken("key_use")},
		"for other uses":     {change(private(elliptic256), members{"key_ops": []string{"verify"}}), broken("key_use")},
		"another algorithm":  {change(private(rsa2048), members{"alg": "ES256"}), broken("key_alg")},
		"encryption's":       {change(public, members{"alg": "ECDH-ES"}), broken("key_alg")},
		"a number for a kid": {change(private(elliptic256), members{"kid": 1}), broken("key_kid")},
		"all of these":       {change(public, members{"use": "enc", "key_ops": []string{}, "alg": "HS256", "kid": []int{1}}), broken("key_use", "key_alg", "key_kid")},
		"symmetric":          {`{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQ"}`, broken("key_members")},
		"of another curve":   {change(public, members{"crv": "P-384"}), broken("key_members")},
		"not on its curve":   {change(public, members{"x": public[20:63], "use": "enc"}), broken("key_members", "key_use")},
		"a weak one":         {`{"kty":"RSA","n":"AQAB","e":"AQAB"}`, broken("key_members")},
		"cut off":            {private(elliptic256)[:len(private(elliptic256))-5], broken("key_json")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := inspect(t, test.jwk)
			require.Equal(t, "jwk", found.kind)
			require.Equal(t, test.broken, found.broken, found.problems)
		})
	}
	t.Run("sets", func(t *testing.T) {
		t.Parallel()
		set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
		found := inspect(t, set(public, string(rsa2048.MarshalPublicJWK())))
		require.Equal(t, "jwks", found.kind)
		require.Empty(t, found.broken)
		require.Empty(t, inspect(t, set(private(elliptic256))).broken)
		require.Contains(t, inspect(t, set(private(elliptic256))).text, "must not be published")
		require.Equal(t, broken("keys[0]", "keys[2]"), inspect(t, set(change(public, members{"kid": nil}), public, change(public, members{"use": "enc"}))).broken)
		require.Contains(t, inspect(t, set(public, public)).text, "have the kid")
	})
	t.Run("PEM", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{
			string(testkit.Must(rsa2048.MarshalPrivatePEM())), string(testkit.Must(elliptic256.MarshalPrivatePEM())),
			string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: testkit.Must(x509.MarshalPKIXPublicKey(rsa2048.Public().CryptoKey()))})),
		} {
			found := inspect(t, text)
			require.Equal(t, "pem", found.kind)
			require.Empty(t, found.broken)
			require.Contains(t, found.text, "thumbprint")
		}
	})
}

func TestInspectConfigurations(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := string(server.ConfigFile(helseidtest.Scopes("nhn:a/b")))
	found := inspect(t, file)
	require.Equal(t, "configuration", found.kind)
	require.Empty(t, found.broken)
	require.Contains(t, found.text, "nhn:a/b")
	config, err := helseid.ParseConfig([]byte(file))
	require.NoError(t, err)
	require.Contains(t, found.text, config.Key.ID())
	for text, says := range map[string][]string{
		`{"clientId":"c"}`: {"privateJwk is missing"},
		`{"clientId":1,"authority":"https://a.example","privateJwk":"x"}`:                          {"clientId is not a string", "privateJwk"},
		strings.Replace(file, `"authority"`, `"Authority"`, 1):                                     {"case-sensitive"},
		strings.Replace(file, server.Issuer(), "http://helseid.example", 1):                        {"field Issuer"},
		strings.Replace(file, `"clientId"`, `"x"`, 1):                                              {"field ClientID"},
		strings.Replace(strings.Replace(file, `"clientId"`, `"x"`, 1), server.Issuer(), "a.no", 1): {"field Issuer", "field ClientID"},
		file[:len(file)-10]: {"cut off"},
		"\xff\xfe" + strings.Join(strings.Split(file, ""), "\x00") + "\x00": {"UTF-16"},
	} {
		found := inspect(t, text)
		require.Equal(t, "configuration", found.kind)
		for _, part := range says {
			require.Contains(t, found.problems["configuration"], part)
		}
	}
}

// A token or a key as an argument is refused, and not repeated.
func TestInspectArguments(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	token := server.Token()
	key := testkit.Must(testkit.Must(clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})).MarshalPrivateJWK())
	long := filepath.Join(t.TempDir(), "long")
	require.NoError(t, os.WriteFile(long, make([]byte, 1<<20+1), 0o600))
	for name, arguments := range map[string][]string{
		"stays in the shell's history": {token},
		"shell's history":              {"DPoP " + token},
		"the shell's history":          {"DPoP", token},
		"in the shell's history":       {string(key)},
		"the token or key itself":      {"-token", token, "-"},
		"one FILE":                     {"a", "b"},
		"open missing":                 {"missing"},
		"longer than 1 MiB":            {long},
		"-issuer":                      {"-issuer", "http://helseid.example", "-"},
		"-kind":                        {"-kind", "jwk", "-"},
		"-now":                         {"-now", "yesterday", "-"},
		"-url must be absolute":        {"-kind", "dpop_proof", "-url", "/x", "-"},
		"no access token":              {"-token", filepath.Join(t.TempDir(), "missing"), "-"},
	} {
		if name == "no access token" {
			arguments[1] = tokenFile(t, " ")
		}
		got := run(t, nil, []byte(server.Proof("GET", inspectedURL, token)), append([]string{"inspect"}, arguments...)...)
		require.Equal(t, 2, got.exit, name)
		require.Contains(t, got.stderr, name)
		requireNoSecretIn(t, got)
	}
	// What relaxes is no matter of the environment.
	expired := server.Token(mint.Expired())
	require.Equal(t, 1, run(t, []string{"HELSEID_NOW=iat"}, []byte(expired), "inspect").exit)
	require.Equal(t, 1, run(t, []string{"HELSEID_AUDIENCE=nhn:other"}, []byte(token), "inspect").exit)
	require.Equal(t, 0, run(t, nil, []byte(token), "inspect").exit)
	// A variable of that name holds a token, and is no matter of this command.
	require.Equal(t, 0, run(t, []string{"HELSEID_TOKEN=" + token}, []byte(token), "inspect").exit)
	file := tokenFile(t, token)
	require.Equal(t, 0, run(t, nil, nil, "inspect", file).exit)
	help := run(t, nil, nil, "inspect", "-h")
	require.Contains(t, help.stdout, "helseid inspect client.json")
}
