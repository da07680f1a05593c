package dpop

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crypto/elliptic"
	"math/big"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/testkit"
)

func TestRFC9449Proofs(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/rfc9449.json")
	require.NoError(t, err)
	var vectors struct {
		Thumbprint string
		Proofs     []struct {
			Name, Proof, Method, URI, ID string
			AccessToken                  string `json:"access_token"`
			IAT                          int64
		}
	}
	require.NoError(t, json.Unmarshal(data, &vectors))
	require.Len(t, vectors.Proofs, 3)
	for _, vector := range vectors.Proofs {
		at := func(seconds int64) *Verifier {
			return newVerifier(t, VerifierConfig{Time: func() time.Time { return time.Unix(vector.IAT+seconds, 0) }})
		}
		expected := Expectation{Method: vector.Method, URI: vector.URI, AccessToken: vector.AccessToken, Thumbprint: vectors.Thumbprint}
		t.Run(vector.Name, func(t *testing.T) {
			t.Parallel()
			verified, err := at(0).Verify(context.Background(), vector.Proof, expected)
			require.NoError(t, err)
			require.Equal(t, &Proof{ID: vector.ID, Thumbprint: vectors.Thumbprint, IssuedAt: time.Unix(vector.IAT, 0).UTC()}, verified)

			_, err = at(11).Verify(context.Background(), vector.Proof, expected)
			requireReason(t, ReasonTime, err)
			other := expected
			other.AccessToken += "x"
			_, err = at(0).Verify(context.Background(), vector.Proof, other)
			requireReason(t, ReasonTokenHash, err)
			other = expected
			other.Thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
			_, err = at(0).Verify(context.Background(), vector.Proof, other)
			requireReason(t, ReasonBinding, err)
		})
	}
}

// Members of the jwk that are unset, as .NET and others write them, are ignored.
func TestVerifyUnsetKeyMembers(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"null": nil, "an empty list": []any{}, "an empty text": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, "PS256")
			d := newDraft(t, key)
			var jwk map[string]any
			require.NoError(t, json.Unmarshal([]byte(key.key.Public().JWK()), &jwk))
			for _, member := range []string{"use", "key_ops", "alg", "kid", "x5c", "x5t", "x5u"} {
				jwk[member] = value
			}
			for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
				jwk[member] = nil
			}
			if name == "an empty list" {
				jwk["oth"] = value
			}
			d.header["jwk"] = jwk
			verified, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), expectedGET(key))
			require.NoError(t, err)
			require.Equal(t, key.Thumbprint(), verified.Thumbprint)
		})
	}
}

// TestVerifyRefuses changes one thing of a valid proof at a time. T147 marks the
// thirteen bad proofs that Norsk helsenett's test token service makes.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	private := privateJWK(t, "ES256")
	public := func(change func(map[string]any)) any {
		var jwk map[string]any
		require.NoError(t, json.Unmarshal([]byte(keyFor(t, "ES256").key.Public().JWK()), &jwk))
		change(jwk)
		return jwk
	}
	header := func(name string, value any) func(*draft) { return func(d *draft) { d.header[name] = value } }
	claim := func(name string, value any) func(*draft) { return func(d *draft) { d.claims[name] = value } }
	noHeader := func(name string) func(*draft) { return func(d *draft) { delete(d.header, name) } }
	noClaim := func(name string) func(*draft) { return func(d *draft) { delete(d.claims, name) } }
	now := time.Now().Unix

	for name, test := range map[string]struct {
		bend   func(*draft)
		reason Reason
	}{
		"T125 T147 typ missing":           {noHeader("typ"), ReasonType},
		"T125 T147 typ JWT":               {header("typ", "JWT"), ReasonType},
		"T125 typ at+jwt":                 {header("typ", "at+jwt"), ReasonType},
		"T125 typ client assertion":       {header("typ", "client-authentication+jwt"), ReasonType},
		"typ with more":                   {header("typ", "dpop+jwt2"), ReasonType},
		"typ image/dpop+jwt":              {header("typ", "image/dpop+jwt"), ReasonType},
		"typ twice the prefix":            {header("typ", "application/application/dpop+jwt"), ReasonType},
		"typ no string":                   {header("typ", []string{"dpop+jwt"}), ReasonType},
		"typ null":                        {header("typ", nil), ReasonType},
		"typ number":                      {header("typ", 1), ReasonType},
		"T126 T147 alg missing":           {noHeader("alg"), ReasonAlgorithm},
		"T139 alg none":                   {header("alg", "none"), ReasonAlgorithm},
		"T139 T147 alg HS256":             {header("alg", "HS256"), ReasonAlgorithm},
		"T139 alg HS384":                  {header("alg", "HS384"), ReasonAlgorithm},
		"T139 alg HS512":                  {header("alg", "HS512"), ReasonAlgorithm},
		"T126 alg EdDSA":                  {header("alg", "EdDSA"), ReasonAlgorithm},
		"alg lower case":                  {header("alg", "es256"), ReasonAlgorithm},
		"alg no string":                   {header("alg", []string{"ES256"}), ReasonAlgorithm},
		"alg of another curve":            {header("alg", "ES384"), ReasonAlgorithm},
		"alg of another key type":         {header("alg", "PS256"), ReasonAlgorithm},
		"the JWK's alg is another":        {header("jwk", public(func(m map[string]any) { m["alg"] = "ES384" })), ReasonAlgorithm},
		"T147 jwk missing":                {noHeader("jwk"), ReasonKey},
		"jwk null":                        {header("jwk", nil), ReasonKey},
		"jwk a string":                    {header("jwk", "{}"), ReasonKey},
		"jwk an array":                    {header("jwk", []any{public(func(map[string]any) {})}), ReasonKey},
		"jwk empty":                       {header("jwk", map[string]any{}), ReasonKey},
		"jwk symmetric":                   {header("jwk", map[string]any{"kty": "oct", "k": "AAAA"}), ReasonKey},
		"T128 T147 jwk private":           {header("jwk", private), ReasonKey},
		"jwk with an empty d":             {header("jwk", public(func(m map[string]any) { m["d"] = "" })), ReasonKey},
		"jwk with an empty p":             {header("jwk", public(func(m map[string]any) { m["p"] = "" })), ReasonKey},
		"jwk with d a list":               {header("jwk", public(func(m map[string]any) { m["d"] = []any{} })), ReasonKey},
		"jwk with other primes":           {header("jwk", public(func(m map[string]any) { m["oth"] = []any{nil} })), ReasonKey},
		"jwk with two crv":                {header("jwk", json.RawMessage(strings.Replace(keyFor(t, "ES256").key.Public().JWK(), "{", `{"crv":"P-256",`, 1))), ReasonMalformed},
		"jwk padded":                      {header("jwk", public(func(m map[string]any) { m["x"] = m["x"].(string) + "=" })), ReasonKey},
		"jwk for encryption":              {header("jwk", public(func(m map[string]any) { m["use"] = "enc" })), ReasonKey},
		"jwk off its curve":               {header("jwk", public(func(m map[string]any) { m["x"] = m["y"] })), ReasonKey},
		"jwk cut short":                   {header("jwk", public(func(m map[string]any) { m["x"] = m["x"].(string)[:40] })), ReasonKey},
		"jwk on P-224":                    {header("jwk", public(func(m map[string]any) { m["crv"] = "P-224" })), ReasonKey},
		"jwk of another key":              {header("jwk", json.RawMessage(testkit.Must(GenerateKey(KeyOptions{})).key.Public().JWK())), ReasonBinding},
		"jku in place of jwk":             {func(d *draft) { delete(d.header, "jwk"); d.header["jku"] = "https://evil.example/jwks" }, ReasonKey},
		"x5c in place of jwk":             {func(d *draft) { delete(d.header, "jwk"); d.header["x5c"] = []string{"AAAA"} }, ReasonKey},
		"crit":                            {header("crit", []string{"exp"}), ReasonMalformed},
		"T120 T147 jti missing":           {noClaim("jti"), ReasonID},
		"jti empty":                       {claim("jti", ""), ReasonID},
		"jti null":                        {claim("jti", nil), ReasonID},
		"jti number":                      {claim("jti", 7), ReasonID},
		"jti too long":                    {claim("jti", strings.Repeat("j", 257)), ReasonID},
		"T121 T147 htm missing":           {noClaim("htm"), ReasonMethod},
		"T129 htm another":                {claim("htm", "POST"), ReasonMethod},
		"htm lower case":                  {claim("htm", "get"), ReasonMethod},
		"htm empty":                       {claim("htm", ""), ReasonMethod},
		"htm no string":                   {claim("htm", []string{"GET"}), ReasonMethod},
		"T122 T147 htu missing":           {noClaim("htu"), ReasonURI},
		"T130 htu of another host":        {claim("htu", "https://other.example.no/v1/things"), ReasonURI},
		"htu of another path":             {claim("htu", apiURI+"/1"), ReasonURI},
		"htu of a path in another case":   {claim("htu", "https://api.example.no/V1/things"), ReasonURI},
		"htu http":                        {claim("htu", strings.Replace(apiURI, "https", "http", 1)), ReasonURI},
		"htu with user information":       {claim("htu", "https://a@api.example.no/v1/things"), ReasonURI},
		"htu relative":                    {claim("htu", "/v1/things"), ReasonURI},
		"htu no string":                   {claim("htu", []string{apiURI}), ReasonURI},
		"htu empty":                       {claim("htu", ""), ReasonURI},
		"T123 iat missing":                {noClaim("iat"), ReasonTime},
		"iat null":                        {claim("iat", nil), ReasonTime},
		"iat a string":                    {claim("iat", "1562262616"), ReasonTime},
		"iat in milliseconds":             {claim("iat", now()*1000), ReasonTime},
		"iat huge":                        {claim("iat", json.RawMessage("9223372036854775807")), ReasonTime},
		"iat very negative":               {claim("iat", json.RawMessage("-9223372036854775808")), ReasonTime},
		"iat 1e400":                       {claim("iat", json.RawMessage("1e400")), ReasonTime},
		"T131 iat two hours old":          {claim("iat", now()-7200), ReasonTime},
		"T147 iat in the past":            {claim("iat", now()-60), ReasonTime},
		"T147 iat in the future":          {claim("iat", now()+60), ReasonTime},
		"exp long past":                   {claim("exp", now()-60), ReasonTime},
		"exp a second ago":                {claim("exp", now()-1), ReasonTime},
		"exp at the moment":               {claim("exp", now()), ReasonTime},
		"exp a string":                    {claim("exp", "soon"), ReasonTime},
		"nbf far ahead":                   {claim("nbf", now()+60), ReasonTime},
		"nbf a string":                    {claim("nbf", "now"), ReasonTime},
		"T124 T147 ath missing":           {noClaim("ath"), ReasonTokenHash},
		"ath null":                        {claim("ath", nil), ReasonTokenHash},
		"ath empty":                       {claim("ath", ""), ReasonTokenHash},
		"T132 ath of another token":       {claim("ath", accessTokenHash("other")), ReasonTokenHash},
		"T132 ath is the token":           {claim("ath", accessToken), ReasonTokenHash},
		"ath padded":                      {claim("ath", accessTokenHash(accessToken)+"="), ReasonTokenHash},
		"ath no string":                   {claim("ath", []string{accessTokenHash(accessToken)}), ReasonTokenHash},
		"nonce no string":                 {claim("nonce", 1), ReasonNonce},
		"claim names in another case":     {func(d *draft) { delete(d.claims, "jti"); d.claims["JTI"] = "x" }, ReasonID},
		"header names in another case":    {func(d *draft) { delete(d.header, "typ"); d.header["Typ"] = "dpop+jwt" }, ReasonType},
		"everything wrong at once, typ 1": {func(d *draft) { clear(d.claims); d.header["typ"] = "x" }, ReasonType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &countingStore{first: true}
			key := keyFor(t, "ES256")
			d := newDraft(t, key)
			verifier := newVerifier(t, VerifierConfig{Replay: store})
			test.bend(d)
			_, err := verifier.Verify(context.Background(), d.sign(t), expectedGET(key))
			requireReason(t, test.reason, err)
			require.Empty(t, store.uses, "only a good proof may reach the replay store")
		})
	}

	key := keyFor(t, "ES256")
	good := func() (string, string) {
		d := newDraft(t, key)
		return string(testkit.Must(json.Marshal(d.header))), string(testkit.Must(json.Marshal(d.claims)))
	}
	headerJSON, claimsJSON := good()
	proof := signRaw(t, key, headerJSON, claimsJSON)
	for name, test := range map[string]struct {
		proof  string
		reason Reason
	}{
		"T119 not a JWT":          {"not-a-jwt", ReasonMalformed},
		"T119 empty":              {"", ReasonMalformed},
		"two proofs":              {proof + "," + proof, ReasonMalformed},
		"header duplicate":        {signRaw(t, key, strings.Replace(headerJSON, "{", `{"typ":"dpop+jwt",`, 1), claimsJSON), ReasonMalformed},
		"jwk duplicate":           {signRaw(t, key, strings.Replace(headerJSON, `"kty"`, `"kty":"EC","kty"`, 1), claimsJSON), ReasonMalformed},
		"claim duplicate":         {signRaw(t, key, headerJSON, strings.Replace(claimsJSON, "{", `{"htm":"GET",`, 1)), ReasonMalformed},
		"claims no object":        {signRaw(t, key, headerJSON, `[]`), ReasonMalformed},
		"claims empty":            {signRaw(t, key, headerJSON, ``), ReasonMalformed},
		"claims with rubbish":     {signRaw(t, key, headerJSON, claimsJSON+"x"), ReasonMalformed},
		"T127 T147 signature":     {proof[:len(proof)-86] + strings.Repeat("A", 86), ReasonSignature},
		"signature of another":    {swapPart(proof, signRaw(t, key, headerJSON, claimsJSON+" "), 2), ReasonSignature},
		"signature by another":    {swapPart(proof, signRaw(t, testkit.Must(GenerateKey(KeyOptions{})), headerJSON, claimsJSON), 2), ReasonSignature},
		"T137 a byte too long":    {strings.Repeat("x", maxProof+1), ReasonTooLong},
		"as long as may be":       {strings.Repeat("x", maxProof), ReasonMalformed},
		"padded":                  {proof + "=", ReasonMalformed},
		"trailing line feed":      {proof + "\n", ReasonMalformed},
		"JSON serialisation":      {`{"payload":""}`, ReasonMalformed},
		"signature missing":       {proof[:strings.LastIndex(proof, ".")+1], ReasonMalformed},
		"unsecured, no algorithm": {signRaw(t, key, `{"typ":"dpop+jwt","alg":"none"}`, claimsJSON), ReasonAlgorithm},
	} {
		t.Run(name, func(t *testing.T) {
			store := &countingStore{first: true}
			_, err := newVerifier(t, VerifierConfig{Replay: store}).Verify(context.Background(), test.proof, expectedGET(key))
			requireReason(t, test.reason, err)
			require.Empty(t, store.uses)
			require.NotContains(t, err.Error(), "things", "an error holds nothing of the proof")
		})
	}
}

// swapPart gives a proof the part of another.
func swapPart(proof, other string, part int) string {
	parts, others := strings.Split(proof, "."), strings.Split(other, ".")
	parts[part] = others[part]
	return strings.Join(parts, ".")
}

// The times of a proof to the second, by a clock that stands still.
func TestVerifyTimes(t *testing.T) {
	t.Parallel()
	const now = 1_800_000_000
	for name, test := range map[string]struct {
		claims map[string]int64
		good   bool
	}{
		"as old as may be":       {map[string]int64{"iat": now - 10}, true},
		"older":                  {map[string]int64{"iat": now - 11}, false},
		"ahead as far as may be": {map[string]int64{"iat": now + 8}, true},
		"further ahead":          {map[string]int64{"iat": now + 9}, false},
		"exp to come":            {map[string]int64{"iat": now, "exp": now + 1}, true},
		"exp now":                {map[string]int64{"iat": now, "exp": now}, false},
		"nbf as far as may be":   {map[string]int64{"iat": now, "nbf": now + 8}, true},
		"nbf further ahead":      {map[string]int64{"iat": now, "nbf": now + 9}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, "ES256")
			d := newDraft(t, key)
			for claim, value := range test.claims {
				d.claims[claim] = value
			}
			verifier := newVerifier(t, VerifierConfig{Replay: &countingStore{first: true}, Time: func() time.Time { return time.Unix(now, 0) }})
			_, err := verifier.Verify(t.Context(), d.sign(t), expectedGET(key))
			if test.good {
				require.NoError(t, err)
				return
			}
			requireReason(t, ReasonTime, err)
		})
	}
}

func TestVerifyBindings(t *testing.T) {
	t.Parallel()
	key := keyFor(t, "ES256")
	proof := newDraft(t, key).sign(t)
	for name, test := range map[string]struct {
		change func(*Expectation)
		reason Reason
	}{
		"T133 T147 the token is bound to another key": {func(e *Expectation) { e.Thumbprint = testkit.Must(GenerateKey(KeyOptions{})).Thumbprint() }, ReasonBinding},
		"thumbprint in another case":                  {func(e *Expectation) { e.Thumbprint = strings.ToLower(e.Thumbprint) }, ReasonBinding},
		"another method":                              {func(e *Expectation) { e.Method = "DELETE" }, ReasonMethod},
		"method not filled in":                        {func(e *Expectation) { e.Method = "" }, ReasonMethod},
		"another URL":                                 {func(e *Expectation) { e.URI += "/1" }, ReasonURI},
		"URL not filled in":                           {func(e *Expectation) { e.URI = "" }, ReasonURI},
		"another token":                               {func(e *Expectation) { e.AccessToken += "x" }, ReasonTokenHash},
		"ath at a token endpoint":                     {func(e *Expectation) { e.AccessToken = "" }, ReasonTokenHash},
	} {
		t.Run(name, func(t *testing.T) {
			expected := expectedGET(key)
			test.change(&expected)
			_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), proof, expected)
			requireReason(t, test.reason, err)
		})
	}
	t.Run("a method not filled in accepts no empty htm", func(t *testing.T) {
		t.Parallel()
		// Method is required: a server that forgets it must not get a proof
		// that is good for any method.
		d := newDraft(t, key)
		d.claims["htm"] = ""
		expected := expectedGET(key)
		expected.Method = ""
		_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), expected)
		require.Error(t, err)
	})
	t.Run("any key if none is expected", func(t *testing.T) {
		expected := expectedGET(key)
		expected.Thumbprint = ""
		verified, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), proof, expected)
		require.NoError(t, err)
		require.Equal(t, key.Thumbprint(), verified.Thumbprint)
	})
	t.Run("a proof for the token endpoint", func(t *testing.T) {
		t.Parallel()
		d := newDraft(t, key)
		delete(d.claims, "ath")
		_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), Expectation{Method: "GET", URI: apiURI})
		require.NoError(t, err)
	})
}

// TestVerifyAccepts has what the OpenID Foundation's conformance suite wants
// accepted, and more that is right but unusual.
func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	for name, bend := range map[string]func(*draft){
		"T114 as it is":      func(*draft) {},
		"T052 extra members": func(d *draft) { d.claims["extra"], d.header["extra"] = map[string]any{"a": 1}, []int{1} },
		"kid in the header":  func(d *draft) { d.header["kid"] = "x" },
		"extra members in the jwk": func(d *draft) {
			d.header["jwk"] = jwkWith(t, d, map[string]any{"kid": "x", "alg": "ES256", "use": "sig"})
		},
		"jwk in another order":        func(d *draft) { d.header["jwk"] = jwkWith(t, d, nil) },
		"typ in capitals":             func(d *draft) { d.header["typ"] = "DPoP+JWT" },
		"typ with application/":       func(d *draft) { d.header["typ"] = "application/dpop+jwt" },
		"htu with a query":            func(d *draft) { d.claims["htu"] = apiURI + "?a=b" },
		"htu with a fragment":         func(d *draft) { d.claims["htu"] = apiURI + "#c" },
		"htu in capitals":             func(d *draft) { d.claims["htu"] = "HTTPS://API.EXAMPLE.NO/v1/things" },
		"htu with the default port":   func(d *draft) { d.claims["htu"] = "https://api.example.no:443/v1/things" },
		"htu percent-encoded":         func(d *draft) { d.claims["htu"] = "https://api.example.no/v1/%74hings" },
		"iat ten seconds ago":         func(d *draft) { d.claims["iat"] = now - 10 },
		"iat eight seconds ahead":     func(d *draft) { d.claims["iat"] = now + 8 },
		"iat with a fraction":         func(d *draft) { d.claims["iat"] = float64(now) + 0.5 },
		"nbf and exp":                 func(d *draft) { d.claims["nbf"], d.claims["exp"] = now, now+30 },
		"nbf a little ahead":          func(d *draft) { d.claims["nbf"] = now + 5 },
		"nbf and exp null":            func(d *draft) { d.claims["nbf"], d.claims["exp"] = nil, nil },
		"a nonce nobody asked for":    func(d *draft) { d.claims["nonce"] = "x" },
		"an empty nonce":              func(d *draft) { d.claims["nonce"] = "" },
		"the longest jti":             func(d *draft) { d.claims["jti"] = strings.Repeat("j", 256) },
		"the shortest jti":            func(d *draft) { d.claims["jti"] = "j" },
		"iss and sub as in some SDKs": func(d *draft) { d.claims["iss"], d.claims["sub"] = "a", "b" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, "ES256")
			d := newDraft(t, key)
			d.claims["iat"] = now
			bend(d)
			verified, err := newVerifier(t, VerifierConfig{
				Time: func() time.Time { return time.Unix(now, 0) }, AcceptProofsFromBeforeStart: true,
			}).Verify(context.Background(), d.sign(t), expectedGET(key))
			require.NoError(t, err)
			require.Equal(t, d.claims["jti"], verified.ID)
		})
	}
	t.Run("the type spelled with an escape, as in HelseID's example", func(t *testing.T) {
		t.Parallel()
		key := keyFor(t, "ES256")
		d := newDraft(t, key)
		header := strings.Replace(string(testkit.Must(json.Marshal(d.header))), "dpop+jwt", `dpop\u002Bjwt`, 1)
		_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(),
			signRaw(t, key, header, string(testkit.Must(json.Marshal(d.claims)))), expectedGET(key))
		require.NoError(t, err)
	})
	t.Run("the server's URL may have a query and a default port", func(t *testing.T) {
		t.Parallel()
		key := keyFor(t, "ES256")
		expected := expectedGET(key)
		expected.URI = "https://API.example.no:443/v1/things?page=2"
		_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), newDraft(t, key).sign(t), expected)
		require.NoError(t, err)
	})
}

func jwkWith(t testing.TB, d *draft, extra map[string]any) map[string]any {
	t.Helper()
	var jwk map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.key.key.Public().JWK()), &jwk))
	maps.Copy(jwk, extra)
	return jwk
}

func TestVerifyWindow(t *testing.T) {
	t.Parallel()
	type window struct{ age, future time.Duration }
	for name, test := range map[string]struct {
		config     window
		age, ahead int64
	}{
		"default": {window{}, 10, 8},
		"wider":   {window{60 * time.Second, 30 * time.Second}, 60, 30},
		"least":   {window{time.Second, time.Second}, 1, 1},
	} {
		t.Run("T141 "+name, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, "ES256")
			// Whole seconds: what is left of the current one does not matter.
			for _, fraction := range []time.Duration{0, time.Nanosecond, 999 * time.Millisecond} {
				clock := time.Unix(1_800_000_000, 0).Add(fraction)
				for iat, fresh := range map[int64]bool{
					clock.Unix() - test.age:       true,
					clock.Unix() - test.age - 1:   false,
					clock.Unix():                  true,
					clock.Unix() + test.ahead:     true,
					clock.Unix() + test.ahead + 1: false,
				} {
					verifier := newVerifier(t, VerifierConfig{
						MaxAge: test.config.age, MaxFuture: test.config.future,
						Time: func() time.Time { return clock }, AcceptProofsFromBeforeStart: true,
					})
					d := newDraft(t, key)
					d.claims["iat"] = iat
					_, err := verifier.Verify(context.Background(), d.sign(t), expectedGET(key))
					if fresh {
						require.NoError(t, err, "%d", iat-clock.Unix())
					} else {
						requireReason(t, ReasonTime, err)
					}
				}
			}
		})
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	t.Run("T135 the second use is refused", func(t *testing.T) {
		t.Parallel()
		key := keyFor(t, "ES256")
		verifier := newVerifier(t, VerifierConfig{})
		proof := newDraft(t, key).sign(t)
		_, err := verifier.Verify(context.Background(), proof, expectedGET(key))
		require.NoError(t, err)
		_, err = verifier.Verify(context.Background(), proof, expectedGET(key))
		requireReason(t, ReasonReplayed, err)
		require.NotErrorIs(t, err, ErrUseNonce)
	})
	t.Run("of twenty at once one passes", func(t *testing.T) {
		t.Parallel()
		key := keyFor(t, "ES256")
		verifier := newVerifier(t, VerifierConfig{})
		proof := newDraft(t, key).sign(t)
		errs := make([]error, 20)
		start := make(chan struct{})
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				<-start
				_, errs[i] = verifier.Verify(context.Background(), proof, expectedGET(key))
			})
		}
		close(start)
		group.Wait()
		passed := 0
		for _, err := range errs {
			if err == nil {
				passed++
			} else {
				requireReason(t, ReasonReplayed, err)
			}
		}
		require.Equal(t, 1, passed)
	})
	t.Run("a proof is its key and its jti, however it is spelled", func(t *testing.T) {
		t.Parallel()
		// Proofs that differ in all else are still one: else each spelling of
		// the URL would be a use more.
		key := keyFor(t, "ES256")
		verifier := newVerifier(t, VerifierConfig{})
		first := newDraft(t, key)
		_, err := verifier.Verify(context.Background(), first.sign(t), expectedGET(key))
		require.NoError(t, err)
		for _, bend := range []func(*draft){
			func(*draft) {}, // another ECDSA signature of the same proof
			func(d *draft) { d.claims["htu"] = "HTTPS://API.EXAMPLE.NO:443/v1/things?x" },
			func(d *draft) { d.claims["iat"] = time.Now().Unix() + 5 },
			func(d *draft) { d.claims["extra"] = "x" },
			func(d *draft) { d.header["typ"] = "DPOP+JWT" },
			func(d *draft) { d.header["jwk"] = jwkWith(t, d, map[string]any{"kid": "x"}) },
		} {
			d := newDraft(t, key)
			d.claims["jti"] = first.claims["jti"]
			bend(d)
			_, err := verifier.Verify(context.Background(), d.sign(t), expectedGET(key))
			requireReason(t, ReasonReplayed, err)
		}
	})
	t.Run("the other ECDSA signature of a proof is the same proof", func(t *testing.T) {
		t.Parallel()
		// (r, n-s) verifies whenever (r, s) does, and anyone can compute it.
		key := keyFor(t, "ES256")
		verifier := newVerifier(t, VerifierConfig{})
		proof := newDraft(t, key).sign(t)
		_, err := verifier.Verify(context.Background(), proof, expectedGET(key))
		require.NoError(t, err)
		_, err = verifier.Verify(context.Background(), mirrored(t, proof), expectedGET(key))
		requireReason(t, ReasonReplayed, err)
	})
	t.Run("another key may use the same jti", func(t *testing.T) {
		t.Parallel()
		verifier := newVerifier(t, VerifierConfig{})
		for _, key := range []*Key{testkit.Must(GenerateKey(KeyOptions{})), testkit.Must(GenerateKey(KeyOptions{}))} {
			d := newDraft(t, key)
			d.claims["jti"] = "same"
			_, err := verifier.Verify(context.Background(), d.sign(t), expectedGET(key))
			require.NoError(t, err)
		}
	})
	t.Run("T143 remembered until iat, the age, two seconds and the skew", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct {
			config       VerifierConfig
			want, before time.Duration
		}{
			{VerifierConfig{}, 12 * time.Second, 8 * time.Second},
			{VerifierConfig{ReplicaSkew: 5 * time.Second}, 17 * time.Second, 13 * time.Second},
			{VerifierConfig{MaxAge: time.Minute, MaxFuture: time.Second}, 62 * time.Second, time.Second},
		} {
			store := &countingStore{first: true}
			test.config.Replay = store
			key := keyFor(t, "ES256")
			d := newDraft(t, key)
			d.claims["iat"] = time.Now().Unix() - 1
			verified, err := newVerifier(t, test.config).Verify(context.Background(), d.sign(t), expectedGET(key))
			require.NoError(t, err)
			require.Len(t, store.uses, 1)
			require.WithinDuration(t, verified.IssuedAt.Add(test.want), store.uses[0].Expiry, 0)
			earliest := verified.IssuedAt.Add(-test.before)
			require.False(t, store.uses[0].NotBefore.After(earliest), "it could have been used before that")
			require.WithinDuration(t, earliest, store.uses[0].NotBefore, time.Second)
		}
	})
	t.Run("never accepted twice, at any time of its life", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			key := keyFor(t, "ES256")
			verifier := newVerifier(t, VerifierConfig{})
			d := newDraft(t, key)
			d.claims["iat"] = time.Now().Unix() + 8
			proof := d.sign(t)
			_, err := verifier.Verify(t.Context(), proof, expectedGET(key))
			require.NoError(t, err)
			for range 120 {
				testkit.Sleep(250 * time.Millisecond)
				_, err := verifier.Verify(t.Context(), proof, expectedGET(key))
				require.ErrorIs(t, err, ErrInvalidProof)
			}
		})
	})
	t.Run("a verifier with a clock of its own refuses the second use too", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			key := keyFor(t, "ES256")
			clock := time.Now().Add(-time.Hour)
			verifier := newVerifier(t, VerifierConfig{Time: func() time.Time { return clock }})
			d := newDraft(t, key)
			d.claims["iat"] = clock.Unix()
			proof := d.sign(t)
			_, err := verifier.Verify(t.Context(), proof, expectedGET(key))
			require.NoError(t, err)
			testkit.Sleep(2 * time.Second)
			clock = clock.Add(2 * time.Second)
			_, err = verifier.Verify(t.Context(), proof, expectedGET(key))
			requireReason(t, ReasonReplayed, err)
		})
	})
	t.Run("a store that fails is not a bad proof", func(t *testing.T) {
		t.Parallel()
		key := keyFor(t, "ES256")
		outage := errors.New("redis is away")
		verifier := newVerifier(t, VerifierConfig{Replay: &countingStore{first: true, err: outage}})
		verified, err := verifier.Verify(context.Background(), newDraft(t, key).sign(t), expectedGET(key))
		require.Nil(t, verified)
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, outage)
		require.NotErrorIs(t, err, ErrInvalidProof)
	})
	t.Run("T144 many keys at once", func(t *testing.T) {
		t.Parallel()
		verifier := newVerifier(t, VerifierConfig{})
		errs := make([]error, 60)
		var group sync.WaitGroup
		for i := range errs {
			key := testkit.Must(GenerateKey(KeyOptions{}))
			proof := newDraft(t, key).sign(t)
			group.Go(func() {
				var verified *Proof
				verified, errs[i] = verifier.Verify(context.Background(), proof, expectedGET(key))
				if errs[i] == nil && verified.Thumbprint != key.Thumbprint() {
					errs[i] = errors.New("cross-talk")
				}
			})
		}
		group.Wait()
		require.NoError(t, errors.Join(errs...))
	})
}

// mirrored replaces s by the order minus s in an ES256 signature.
func mirrored(t testing.TB, proof string) string {
	t.Helper()
	dot := strings.LastIndex(proof, ".")
	signature, err := rawURL.DecodeString(proof[dot+1:])
	require.NoError(t, err)
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return proof[:dot+1] + rawURL.EncodeToString(signature)
}

func TestVerifierNonce(t *testing.T) {
	t.Parallel()
	issuer := testkit.Must(NewNonceIssuer(NonceIssuerConfig{}))
	other := testkit.Must(NewNonceIssuer(NonceIssuerConfig{}))
	for name, test := range map[string]struct {
		nonce any
		good  bool
	}{
		"T142 valid":   {issuer.Nonce(), true},
		"T142 missing": {nil, false},
		"T142 garbage": {"garbage", false},
		"empty":        {"", false},
		"no string":    {1, false},
		"of another":   {other.Nonce(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &countingStore{first: true}
			key := keyFor(t, "ES256")
			d := newDraft(t, key)
			if test.nonce != nil {
				d.claims["nonce"] = test.nonce
			}
			verified, err := newVerifier(t, VerifierConfig{Nonces: issuer, Replay: store}).
				Verify(context.Background(), d.sign(t), expectedGET(key))
			if test.good {
				require.NoError(t, err)
				require.Equal(t, test.nonce, verified.Nonce)
				return
			}
			requireReason(t, ReasonNonce, err)
			require.ErrorIs(t, err, ErrUseNonce)
			require.Empty(t, store.uses)
		})
	}
}

func TestVerifierAlgorithms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range testkit.Algorithms {
		t.Run("T139 "+algorithm, func(t *testing.T) {
			t.Parallel()
			key := keyFor(t, algorithm)
			_, err := newVerifier(t, VerifierConfig{Algorithms: []string{algorithm}}).
				Verify(context.Background(), newDraft(t, key).sign(t), expectedGET(key))
			require.NoError(t, err)
			others := slices.DeleteFunc(slices.Clone(testkit.Algorithms), func(a string) bool { return a == algorithm })
			_, err = newVerifier(t, VerifierConfig{Algorithms: others}).
				Verify(context.Background(), newDraft(t, key).sign(t), expectedGET(key))
			requireReason(t, ReasonAlgorithm, err)
		})
	}
	t.Run("the header decides nothing", func(t *testing.T) {
		t.Parallel()
		// One RSA key, signed with RS256 and called PS256.
		key := keyFor(t, "RS256")
		d := newDraft(t, key)
		d.header["alg"] = "PS256"
		_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), expectedGET(key))
		requireReason(t, ReasonSignature, err)
	})
	t.Run("the list is a copy", func(t *testing.T) {
		t.Parallel()
		config := VerifierConfig{Algorithms: []string{"ES256"}}
		verifier := newVerifier(t, config)
		config.Algorithms[0] = "RS256"
		verifier.Algorithms()[0] = "RS256"
		require.Equal(t, []string{"ES256"}, verifier.Algorithms())
		require.Equal(t, testkit.Algorithms, newVerifier(t, VerifierConfig{}).Algorithms())
	})
}

func TestVerifierRSAKeySize(t *testing.T) {
	t.Parallel()
	key := keyFor(t, "PS256")
	d := newDraft(t, key)
	d.header["jwk"] = map[string]any{"kty": "RSA", "e": "AQAB", "n": strings.Repeat("q", 171)} // 1024 bits
	_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), expectedGET(key))
	requireReason(t, ReasonKey, err)
	d.header["jwk"] = map[string]any{"kty": "RSA", "e": "AQ", "n": jwkWith(t, d, nil)["n"]} // exponent 1
	_, err = newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), expectedGET(key))
	requireReason(t, ReasonKey, err)
}

func TestNewVerifierConfig(t *testing.T) {
	t.Parallel()
	_, err := NewVerifier(VerifierConfig{
		Algorithms: []string{"ES256", "none", "HS256"}, MaxAge: -time.Second, MaxFuture: 1500 * time.Millisecond, ReplicaSkew: -1,
	})
	for _, part := range []string{`"none"`, `"HS256"`, "MaxAge", "MaxFuture", "ReplicaSkew"} {
		require.ErrorContains(t, err, part)
	}
	require.ErrorIs(t, err, ErrConfig)
	for _, bad := range []time.Duration{1, -1, time.Millisecond, 5*time.Minute + time.Second, time.Hour} {
		_, err := NewVerifier(VerifierConfig{MaxAge: bad})
		require.ErrorContains(t, err, "MaxAge")
		require.NotContains(t, err.Error(), "MaxFuture")
		_, err = NewVerifier(VerifierConfig{MaxFuture: bad})
		require.ErrorContains(t, err, "MaxFuture")
	}
	_, err = NewVerifier(VerifierConfig{MaxAge: 5 * time.Minute, MaxFuture: 5 * time.Minute})
	require.NoError(t, err)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	reasons := []Reason{
		ReasonMalformed, ReasonTooLong, ReasonType, ReasonAlgorithm, ReasonKey, ReasonBinding, ReasonID, ReasonMethod,
		ReasonURI, ReasonTime, ReasonTokenHash, ReasonNonce, ReasonSignature, ReasonReplayed, ReasonBeforeStart,
	}
	seen := map[string]bool{}
	for _, reason := range reasons {
		err := refuse(reason)
		require.ErrorIs(t, err, ErrInvalidProof)
		require.Equal(t, reason == ReasonNonce, errors.Is(err, ErrUseNonce))
		require.NotErrorIs(t, err, ErrUnavailable)
		require.Greater(t, len(err.Error()), len("DPoP: ")+10, "each reason has a text")
		require.False(t, seen[err.Error()])
		seen[err.Error()] = true
	}
	require.Len(t, reasonTexts, len(reasons))
}

func FuzzVerify(f *testing.F) {
	key := keyFor(f, "ES256")
	d := newDraft(f, key)
	clock := time.Unix(1_800_000_000, 0)
	d.claims["iat"], d.claims["jti"] = clock.Unix(), "genuine"
	genuine := d.sign(f)
	rsaDraft := newDraft(f, keyFor(f, "PS256"))
	rsaDraft.claims["iat"] = clock.Unix()
	for _, seed := range []string{genuine, mirrored(f, genuine), rsaDraft.sign(f), "", "..", "a.b.c", genuine + "=", genuine[1:], signRaw(f, key, "{}", "{}")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, proof string) {
		verifier := newVerifier(t, VerifierConfig{Time: func() time.Time { return clock }, Replay: NewMemoryReplay(MemoryReplayConfig{Capacity: 1 << 10})})
		verified, err := verifier.Verify(context.Background(), proof, expectedGET(key))
		if err != nil {
			require.Nil(t, verified)
			require.ErrorIs(t, err, ErrInvalidProof)
			return
		}
		// Nobody else can sign: it is the genuine header and claims, with the
		// one other signature that follows from a signature.
		want, err := jose.ParseCompact(genuine, maxProof)
		require.NoError(t, err)
		got, err := jose.ParseCompact(proof, maxProof)
		require.NoError(t, err)
		require.Equal(t, want.HeaderJSON, got.HeaderJSON)
		require.Equal(t, want.Payload, got.Payload)
		require.Equal(t, "genuine", verified.ID)
	})
}
