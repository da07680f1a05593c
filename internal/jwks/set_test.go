package jwks

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/jose"
)

// A key that cannot be used is skipped, and does not shut out the others.
func TestParseSet(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	n := encode(private.N.Bytes())
	rsaKey := fmt.Sprintf(`"kty":"RSA","n":%q,"e":"AQAB"`, n)
	ec := strings.Trim(testKey().Public().JWK(), "{}")
	for name, test := range map[string]struct {
		key string
		alg jose.Algorithm // "" if it must be skipped
	}{
		"RSA without alg is RS256":    {`"kid":"k",` + rsaKey, jose.RS256},
		"RSA with null alg is RS256":  {`"kid":"k","alg":null,` + rsaKey, jose.RS256},
		"RSA with PS512":              {`"kid":"k","alg":"PS512",` + rsaKey, jose.PS512},
		"EC without alg":              {`"kid":"k",` + ec, jose.ES256},
		"EC with alg":                 {`"kid":"k","alg":"ES256",` + ec, jose.ES256},
		"use sig":                     {`"kid":"k","use":"sig",` + ec, jose.ES256},
		"use null":                    {`"kid":"k","use":null,` + ec, jose.ES256},
		"key_ops verify":              {`"kid":"k","key_ops":["verify"],` + ec, jose.ES256},
		"unknown members":             {`"kid":"k","x5c":["AAAA"],"x5t":"","exp":1,"nbf":{},` + ec, jose.ES256},
		"no kid":                      {ec, ""},
		"kid null":                    {`"kid":null,` + ec, ""},
		"kid empty":                   {`"kid":"",` + ec, ""},
		"kid a number":                {`"kid":1,` + ec, ""},
		"use enc":                     {`"kid":"k","use":"enc",` + ec, ""},
		"use SIG":                     {`"kid":"k","use":"SIG",` + ec, ""},
		"use a number":                {`"kid":"k","use":1,` + ec, ""},
		"key_ops sign":                {`"kid":"k","key_ops":["sign"],` + ec, ""},
		"key_ops empty":               {`"kid":"k","key_ops":[],` + ec, jose.ES256},
		"lists of .NET":               {`"kid":"k","key_ops":[],"oth":[],"x5c":[],"use":"",` + rsaKey, jose.RS256},
		"alg empty":                   {`"kid":"k","alg":"",` + rsaKey, jose.RS256},
		"private members null":        {`"kid":"k","d":null,"p":null,"k":null,` + rsaKey, jose.RS256},
		"kid a list":                  {`"kid":["k"],` + ec, ""},
		"d empty":                     {`"kid":"k","d":"",` + rsaKey, ""},
		"kty in small letters":        {`"kid":"k","kty":"rsa","e":"AQAB","n":"` + n + `"`, ""},
		"a duplicate member":          {`"kid":"k","kid":"k",` + ec, ""},
		"a duplicate alg":             {`"kid":"k","alg":"ES256","alg":"ES256",` + ec, ""},
		"a duplicate in a member":     {`"kid":"k","x":{"a":1,"a":2},` + ec, ""},
		"no UTF-8":                    {`"kid":"k","x":"` + "\xff" + `",` + ec, ""},
		"half a surrogate pair":       {`"kid":"k","x":"\ud800",` + ec, ""},
		"nested too deeply":           {`"kid":"k","x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `,` + ec, ""},
		"oversized":                   {`"kid":"k","kty":"RSA","e":"AQAB","n":"` + strings.Repeat("x", 1<<18) + `"`, ""},
		"many that are odd":           {`"kty":"oct"},` + strings.Repeat(`{"kty":"oct","kid":"x","k":"AAAA"},`, 1000) + `{"kty":"oct"`, ""},
		"key_ops a text":              {`"kid":"k","key_ops":"verify",` + ec, ""},
		"use sig, key_ops encrypt":    {`"kid":"k","use":"sig","key_ops":["encrypt"],` + ec, ""},
		"use enc, key_ops verify":     {`"kid":"k","use":"enc","key_ops":["verify"],` + ec, ""},
		"private":                     {`"kid":"k","d":"AAAA",` + ec, ""},
		"alg none":                    {`"kid":"k","alg":"none",` + ec, ""},
		"alg a number":                {`"kid":"k","alg":1,` + rsaKey, ""},
		"alg of another type":         {`"kid":"k","alg":"ES256",` + rsaKey, ""},
		"alg of another curve":        {`"kid":"k","alg":"ES384",` + ec, ""},
		"alg HS256":                   {`"kid":"k","alg":"HS256",` + rsaKey, ""},
		"alg for encryption":          {`"kid":"k","alg":"RSA-OAEP",` + rsaKey, ""},
		"oct":                         {`"kid":"k","kty":"oct","k":"AAAA"`, ""},
		"OKP":                         {`"kid":"k","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`, ""},
		"post-quantum":                {`"kid":"k","kty":"AKP","alg":"ML-DSA-65","pub":"AAAA"`, ""},
		"no kty":                      {`"kid":"k","n":"` + n + `","e":"AQAB"`, ""},
		"kty a number":                {`"kid":"k","kty":1`, ""},
		"1024 bits":                   {`"kid":"k","kty":"RSA","e":"AQAB","n":"` + encode(new(big.Int).Rsh(private.N, 1024).Bytes()) + `"`, ""},
		"exponent 1":                  {`"kid":"k","kty":"RSA","e":"AQ","n":"` + n + `"`, ""},
		"n in the standard alphabet":  {`"kid":"k","kty":"RSA","e":"AQAB","n":"` + n[:4] + "+/" + n[6:] + `"`, ""},
		"n padded":                    {`"kid":"k","kty":"RSA","e":"AQAB","n":"` + n + `=="`, ""},
		"a point that is not on P256": {`"kid":"k","kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := `{"keys":[{` + test.key + `},` + jwkOf("good") + `]}`
			found, err := parseSet([]byte(document))
			require.NoError(t, err)
			require.Len(t, found.keys["good"], 1)
			if test.alg == "" {
				require.Len(t, found.keys, 1)
				return
			}
			require.Len(t, found.keys["k"], 1)
			require.Equal(t, test.alg, found.keys["k"][0].Algorithm())
		})
	}
}

func TestParseSetDuplicates(t *testing.T) {
	t.Parallel()
	found, err := parseSet([]byte(jwkSet("a", "a", "b")))
	require.NoError(t, err)
	require.Len(t, found.keys["a"], 2)
	require.Len(t, found.keys["b"], 1)
}

// A document that is not a key set, or holds no key that can be used, is
// refused as a whole.
func TestParseSetRefused(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"empty": "", "not JSON": "x", "an array": "[]", "no keys": "{}", "keys null": `{"keys":null}`, "keys an object": `{"keys":{}}`,
		"keys empty": `{"keys":[]}`, "KEYS": `{"KEYS":[` + jwkOf("a") + `]}`, "keys twice": `{"keys":[],"keys":[` + jwkOf("a") + `]}`,
		"text after": jwkSet("a") + "x", "cut": jwkSet("a")[:20], "not objects": `{"keys":[1,null,"x",[]]}`,
		"a duplicate member in a key": strings.Replace(jwkSet("a"), `"kid"`, `"kid":"b","kid"`, 1),
		"too deep":                    `{"keys":[],"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseSet([]byte(document))
			require.Error(t, err)
		})
	}
}

// A hundred others beside a key do not cost it, and one kid cannot hold so many
// keys that a token with it is dear to refuse.
func TestParseSetManyKeys(t *testing.T) {
	t.Parallel()
	var ids, same []string
	for i := range 300 {
		ids, same = append(ids, fmt.Sprint("kid-", i)), append(same, "same")
	}
	found, err := parseSet([]byte(jwkSet(append(ids, "good")...)))
	require.NoError(t, err)
	require.Len(t, found.keys, 301)
	found, err = parseSet([]byte(jwkSet(append(same, "good")...)))
	require.NoError(t, err)
	require.Len(t, found.keys["same"], maxSameID)
	require.Len(t, found.keys["good"], 1)
}

// The generation goes by the keys that can be used, and not by what is beside them.
func TestParseSetDigest(t *testing.T) {
	t.Parallel()
	parse := func(document string) *set {
		found, err := parseSet([]byte(document))
		require.NoError(t, err)
		again, err := parseSet(found.raw)
		require.NoError(t, err)
		require.Equal(t, found.digest, again.digest)
		require.Equal(t, string(found.raw), string(again.raw))
		return found
	}
	one, other := parse(jwkSet("a")), parse(jwkSet("b"))
	require.NotEqual(t, one.digest, other.digest)
	require.Equal(t, one.digest, parse(` { "keys" : [ {"kty":"oct"}, `+jwkOf("a")+` ] } `).digest)
	unstated := strings.Replace(jwkOf("a"), `"alg":"ES256"`, `"alg":null,"key_ops":[]`, 1)
	require.Equal(t, one.digest, parse(`{"keys":[`+unstated+`]}`).digest)
}

// FuzzParseSet: whatever is in a set, it holds usable keys or is an error.
func FuzzParseSet(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"keys":[]}`, jwkSet("a"), jwkSet("a", "b"), `{"keys":[{"kty":"oct","k":"AAAA","kid":"x"}]}`, `{"keys":[{"kty":"RSA","kid":"x","n":"AQAB","e":"AQAB"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		found, err := parseSet(document)
		if err != nil {
			require.Nil(t, found)
			return
		}
		require.NotEmpty(t, found.keys)
		for kid, keys := range found.keys {
			require.NotEmpty(t, kid)
			require.NotEmpty(t, keys)
			for _, key := range keys {
				require.Contains(t, jose.Algorithms(), key.Algorithm())
			}
		}
	})
}

// FuzzRestore: whatever is in a snapshot, it is an error or gives a set.
func FuzzRestore(f *testing.F) {
	f.Add(`{"version":1,"issuer":"https://issuer.test","jwks_uri":"https://issuer.test/keys","fetched_at":1,"jwks":` + jwkSet("a") + `}`)
	f.Add(`{"version":1,"issuer":"https://issuer.test","jwks_uri":"http://127.0.0.1/","fetched_at":-1,"jwks":{"keys":[]}}`)
	f.Add(`{"version":2}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, snapshot string) {
		set := newIssuer("a").keySet(t)
		if set.Restore([]byte(snapshot), issuerURL) != nil {
			require.Nil(t, set.current.Load())
			return
		}
		current := set.current.Load()
		require.NotEmpty(t, current.keys)
		require.NotEmpty(t, current.uri)
		_, err := set.Snapshot(issuerURL)
		require.NoError(t, err)
	})
}
