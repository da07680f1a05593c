package helseid_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// selvbetjeningFile is a file as HelseID Selvbetjening hands it out, with
// members replaced or, if nil, left out.
func selvbetjeningFile(t testing.TB, changes map[string]any) []byte {
	t.Helper()
	file := map[string]any{
		"clientName":             "A journal",
		"authority":              "https://helseid-sts.test.nhn.no",
		"clientId":               "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11",
		"grantTypes":             []string{"authorization_code", "client_credentials"},
		"scopes":                 []string{"openid", "profile", testScope},
		"redirectUris":           []string{"http://localhost:8080/callback"},
		"postLogoutRedirectUris": []string{"http://localhost:8080/"},
		"secretType":             "private_key_jwt:RsaPrivateKeyJwtSecret",
		"rsaPrivateKey":          "<RSAKeyValue><Modulus>q+AB/w==</Modulus></RSAKeyValue>",
		"rsaKeySizeBits":         2048,
		"privateJwk":             asText(t, rsaJWK(rsa2048(), nil)),
		"pkceRequired":           true,
	}
	for name, value := range changes {
		file[name] = value
		if value == nil {
			delete(file, name)
		}
	}
	return []byte(asText(t, file))
}

func asText(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value) // escapes < and > as the real file does
	require.NoError(t, err)
	return string(text)
}

func TestLoadConfig(t *testing.T) {
	t.Parallel()
	good := selvbetjeningFile(t, nil)
	tests := map[string][]byte{
		"T097 as handed out":          good,
		"with a byte order mark":      append([]byte("\ufeff"), good...),
		"with white space around":     append(append([]byte("\r\n "), good...), "\r\n\r\n"...),
		"privateJwk as an object":     selvbetjeningFile(t, map[string]any{"privateJwk": rsaJWK(rsa2048(), nil)}),
		"T099 privateJwk in Base64":   selvbetjeningFile(t, map[string]any{"privateJwk": base64.StdEncoding.EncodeToString([]byte(asText(t, rsaJWK(rsa2048(), nil))))}),
		"T099 privateJwk as PEM":      selvbetjeningFile(t, map[string]any{"privateJwk": pkcs8(t)}),
		"without rsaPrivateKey":       selvbetjeningFile(t, map[string]any{"rsaPrivateKey": nil, "rsaKeySizeBits": nil}),
		"with members unheard of":     selvbetjeningFile(t, map[string]any{"somethingNew": map[string]any{"a": []int{1}}}),
		"unused member of other type": selvbetjeningFile(t, map[string]any{"pkceRequired": "true", "secretType": 7}),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "client.json")
			require.NoError(t, os.WriteFile(path, data, 0o600))
			config, err := helseid.LoadConfig(path)
			require.NoError(t, err)
			require.Equal(t, helseid.Test.Issuer(), config.Issuer)
			require.Equal(t, "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11", config.ClientID)
			require.Equal(t, helseid.Registration{
				ClientName:             "A journal",
				GrantTypes:             []string{"authorization_code", "client_credentials"},
				Scopes:                 []string{"openid", "profile", testScope},
				RedirectURIs:           []string{"http://localhost:8080/callback"},
				PostLogoutRedirectURIs: []string{"http://localhost:8080/"},
			}, config.Registered)
			// T093: neither kid nor alg in the file.
			require.Equal(t, "PS256", config.Key.Algorithm())
			require.Equal(t, config.Key.Thumbprint(), config.Key.ID())
			require.Nil(t, config.DPoPKey)
			client, err := helseid.New(config)
			require.NoError(t, err)
			client.Close()
		})
	}
}

// A member that is information only does not cost the file, and neither does what
// editors, environment variables and secret stores do to it.
func TestParseConfigShapes(t *testing.T) {
	t.Parallel()
	good := string(selvbetjeningFile(t, nil))
	change := func(name string, value any) string {
		return string(selvbetjeningFile(t, map[string]any{name: value}))
	}
	jwk := asText(t, rsaJWK(rsa2048(), nil))
	std := base64.StdEncoding.EncodeToString
	for name, file := range map[string]string{
		"spaces in authority":         change("authority", " https://helseid-sts.test.nhn.no\t"),
		"a slash behind authority":    change("authority", "https://helseid-sts.test.nhn.no/"),
		"a line end in clientId":      change("clientId", "\r\n6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11\n"),
		"privateJwk twice in JSON":    change("privateJwk", asText(t, jwk)),
		"privateJwk with spaces":      change("privateJwk", "\n "+jwk+" "),
		"privateJwk percent-encoded":  change("privateJwk", strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", ":", "%3A").Replace(jwk)),
		"privateJwk PEM on one line":  change("privateJwk", strings.ReplaceAll(pkcs8(t), "\n", " ")),
		"privateJwk with lists":       change("privateJwk", rsaJWK(rsa2048(), map[string]any{"key_ops": []int{}, "oth": []int{}, "x5c": []int{}})),
		"privateJwk with n, e, d":     change("privateJwk", rsaJWK(rsa2048(), map[string]any{"p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil})),
		"privateJwk a set":            change("privateJwk", map[string]any{"keys": []any{rsaJWK(rsa2048(), nil)}}),
		"Base64":                      std([]byte(good)),
		"Base64 with a line end":      std([]byte(good)) + "\n",
		"Base64 twice":                std([]byte(std([]byte(good)))),
		"base64url":                   base64.RawURLEncoding.EncodeToString([]byte(good)),
		"a JSON string":               asText(t, good),
		"single quotes":               "'" + good + "'",
		"a mark and spaces":           "\ufeff \r\n" + good + "\n\u00a0",
		"a mark in Base64":            std([]byte("\ufeff" + good)),
		"comments":                    "// a client\n" + strings.Replace(good, "{", "{ /* the // \" client */ // , }\r\n", 1) + "// end",
		"a comma at the end":          strings.TrimSuffix(good, "}") + ", // last\n }",
		"a comma in a list":           strings.Replace(good, `"]`, `" , ]`, 1),
		"comments that are none":      change("clientName", "/* , } */ // ,]"),
		"clientName a number":         change("clientName", 1),
		"clientName null":             strings.Replace(good, `"A journal"`, "null", 1),
		"in a section of .NET":        `{"Logging":{"LogLevel":{"Default":"Information"}},"HelseID":` + good + `}`,
		"in a section, other case":    `{"helseid":` + good + `}`,
		"an empty section beside it":  `{"HelseIdWebKonfigurasjon":{"Authority":"x"},"HelseID":` + good + `}`,
		"a section beside the client": strings.TrimSuffix(good, "}") + `,"HelseID":{"ClientId":"other"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := helseid.ParseConfig([]byte(file))
			require.NoError(t, err)
			require.Equal(t, helseid.Test.Issuer(), strings.TrimSuffix(config.Issuer, "/"))
			require.Equal(t, "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11", config.ClientID)
			require.Equal(t, []string{"openid", "profile", testScope}, config.Registered.Scopes)
			require.NotNil(t, config.Key)
			client, err := helseid.New(config)
			require.NoError(t, err)
			client.Close()
		})
	}
	for _, test := range []struct {
		value any
		want  []string
	}{
		{"a b", []string{"a", "b"}}, {" a\n", []string{"a"}}, {"", nil}, {json.RawMessage("null"), nil}, {7, nil}, {true, nil},
		{map[string]any{"a": "b"}, nil}, {[]any{"a", 1, nil, " b ", "", []string{"c"}}, []string{"a", "b"}}, {[]string{}, nil},
	} {
		for _, name := range []string{"scopes", "grantTypes", "redirectUris", "postLogoutRedirectUris"} {
			config, err := helseid.ParseConfig([]byte(change(name, test.value)))
			require.NoError(t, err)
			registered := map[string][]string{
				"scopes": config.Registered.Scopes, "grantTypes": config.Registered.GrantTypes,
				"redirectUris": config.Registered.RedirectURIs, "postLogoutRedirectUris": config.Registered.PostLogoutRedirectURIs,
			}
			require.Len(t, registered[name], len(test.want), "%s: %v", name, test.value)
			if len(test.want) > 0 {
				require.Equal(t, test.want, registered[name])
			}
		}
	}
}

// The sections of appsettings.json as HelseID.Library and Folkehelseinstituttet's
// library read them; .NET folds the case of names.
func TestParseConfigAppSettings(t *testing.T) {
	t.Parallel()
	jwk := asText(t, rsaJWK(rsa2048(), nil))
	for name, test := range map[string]struct {
		file      map[string]any
		algorithm string
	}{
		"HelseID.Library, StsUrl": {map[string]any{"HelseID": map[string]any{
			"ClientId": "client", "Scope": "a b", "StsUrl": "https://helseid-sts.test.nhn.no", "Jwk": jwk, "Algorithm": "RS512",
		}}, "RS512"},
		"HelseID.Library, IssuerUri": {map[string]any{"HelseID": map[string]any{
			"ClientId": "client", "Scope": "a b", "IssuerUri": " https://helseid-sts.test.nhn.no ", "PrivateJwk": rsaJWK(rsa2048(), nil),
			"SelvbetjeningConfiguration": map[string]any{"SelvbetjeningScope": "nhn:selvbetjening/client"},
		}}, "PS256"},
		"names in other cases": {map[string]any{"helseId": map[string]any{
			"clientid": "client", "SCOPE": "a b", "stsurl": "https://helseid-sts.test.nhn.no", "jwk": jwk,
		}}, "PS256"},
		"HelseIdConfiguration": {map[string]any{"HelseIdConfiguration": map[string]any{
			"ClientId": "client", "Scope": "a b", "StsUrl": "https://helseid-sts.test.nhn.no", "Jwk": jwk,
		}}, "PS256"},
		"HelseIdWebKonfigurasjon": {map[string]any{"Logging": map[string]any{}, "HelseIdWebKonfigurasjon": map[string]any{
			"Authority": "https://helseid-sts.test.nhn.no", "ClientId": "client", "ClientSecret": jwk, "Scopes": []string{"a", "b"},
			"SecurityLevels": []string{"4"}, "UseHprNumber": "false", "Apis": []any{},
		}}, "PS256"},
		"HelseIdWorkerKonfigurasjon": {map[string]any{"HelseIdWorkerKonfigurasjon": map[string]any{
			"Authority": "https://helseid-sts.test.nhn.no", "ClientId": "client", "ClientSecret": jwk, "Scopes": []string{"a", "b"},
		}}, "PS256"},
		"an unset member beside the set one": {map[string]any{"HelseID": map[string]any{
			"ClientId": "client", "Scope": "a b", "Authority": "", "StsUrl": "https://helseid-sts.test.nhn.no", "ClientSecret": nil, "Jwk": jwk,
		}}, "PS256"},
		"one thing said twice": {map[string]any{"HelseID": map[string]any{
			"ClientId": "client", "Scopes": "a b", "Authority": "https://helseid-sts.test.nhn.no", "StsUrl": "https://helseid-sts.test.nhn.no", "Jwk": jwk,
		}}, "PS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := helseid.ParseConfig([]byte(asText(t, test.file)))
			require.NoError(t, err)
			require.Equal(t, helseid.Test.Issuer(), config.Issuer)
			require.Equal(t, "client", config.ClientID)
			require.Equal(t, []string{"a", "b"}, config.Registered.Scopes)
			require.Equal(t, test.algorithm, config.Key.Algorithm())
		})
	}
}

func pkcs8(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(rsa2048())
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestParseConfigKeepsWhatTheKeySays(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		jwk       map[string]any
		algorithm string
		id        string // "" means the thumbprint
	}{
		"T093 RSA without alg and kid":      {rsaJWK(rsa2048(), nil), "PS256", ""},
		"T093 alg PS512":                    {rsaJWK(rsa2048(), map[string]any{"alg": "PS512"}), "PS512", ""},
		"T093 alg RS256 and kid":            {rsaJWK(rsa2048(), map[string]any{"alg": "RS256", "kid": "a key"}), "RS256", "a key"},
		"T095 P-256 without alg":            {ecJWK(t, elliptic.P256(), nil), "ES256", ""},
		"T095 P-384 without alg":            {ecJWK(t, elliptic.P384(), nil), "ES384", ""},
		"T095 P-521 without alg":            {ecJWK(t, elliptic.P521(), nil), "ES512", ""},
		"T095 P-384 with its alg":           {ecJWK(t, elliptic.P384(), map[string]any{"alg": "ES384", "kid": "ec"}), "ES384", "ec"},
		"members of a JWK that do not hurt": {rsaJWK(rsa2048(), map[string]any{"use": "sig", "key_ops": []string{"sign"}}), "PS256", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := helseid.ParseConfig(selvbetjeningFile(t, map[string]any{"privateJwk": asText(t, test.jwk)}))
			require.NoError(t, err)
			require.Equal(t, test.algorithm, config.Key.Algorithm())
			if test.id == "" {
				test.id = config.Key.Thumbprint()
			}
			require.Equal(t, test.id, config.Key.ID())
		})
	}
}

func TestParseConfigMistakes(t *testing.T) {
	t.Parallel()
	change := func(name string, value any) []byte { return selvbetjeningFile(t, map[string]any{name: value}) }
	jwk := func(changes map[string]any) []byte {
		return change("privateJwk", asText(t, rsaJWK(rsa2048(), changes)))
	}
	good := string(selvbetjeningFile(t, nil))
	dir := t.TempDir() // one for all: a name ending in digits would look like an identity number
	tests := map[string]struct {
		file []byte
		says []string
	}{
		"empty":                             {nil, []string{"JSON object"}},
		"only a byte order mark":            {[]byte("\ufeff"), []string{"JSON object"}},
		"not JSON":                          {[]byte("<xml/>"), []string{"JSON object"}},
		"an array":                          {[]byte("[" + good + "]"), []string{"JSON object"}},
		"cut off":                           {[]byte(good[:len(good)/2]), []string{"cut off"}},
		"two objects":                       {[]byte(good + good), []string{"after the object"}},
		"invalid UTF-8":                     {[]byte(strings.Replace(good, "A journal", "A \xe5 journal", 1)), []string{"UTF-8"}},
		"UTF-16":                            {[]byte("\xff\xfe{\x00}\x00"), []string{"JSON object"}},
		"duplicate clientId":                {[]byte(strings.Replace(good, `"clientId"`, `"clientId":"x","clientId"`, 1)), []string{"duplicate"}},
		"duplicate in another form":         {[]byte(strings.Replace(good, `"clientId"`, `"client\u0049d":"x","clientId"`, 1)), []string{"duplicate"}},
		"duplicate member in the JWK":       {change("privateJwk", strings.Replace(asText(t, rsaJWK(rsa2048(), nil)), `{`, `{"kty":"RSA",`, 1)), []string{"privateJwk"}},
		"T093 no key":                       {selvbetjeningFile(t, map[string]any{"privateJwk": nil, "rsaPrivateKey": nil}), []string{"privateJwk", "missing"}},
		"only rsaPrivateKey":                {change("privateJwk", nil), []string{"privateJwk", "rsaPrivateKey", "XML"}},
		"privateJwk null":                   {[]byte(`{"privateJwk":null}`), []string{"privateJwk", "missing"}},
		"T099 privateJwk empty":             {change("privateJwk", ""), []string{"privateJwk", "empty"}},
		"T093 privateJwk not JSON":          {change("privateJwk", "hunter2"), []string{"privateJwk"}},
		"privateJwk a number":               {change("privateJwk", 7), []string{"privateJwk"}},
		"privateJwk an array":               {change("privateJwk", []any{rsaJWK(rsa2048(), nil)}), []string{"privateJwk"}},
		"a public key":                      {jwk(map[string]any{"d": nil, "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}), []string{"privateJwk", "public"}},
		"a damaged key":                     {jwk(map[string]any{"d": b64([]byte("0123456789abcdef0123456789abcdef"))}), []string{"privateJwk"}},
		"a key without modulus":             {jwk(map[string]any{"n": nil}), []string{"privateJwk"}},
		"an even exponent":                  {jwk(map[string]any{"e": b64([]byte{2})}), []string{"exponent"}},
		"a key for encryption":              {jwk(map[string]any{"use": "enc"}), []string{"use"}},
		"an alg that is a number":           {jwk(map[string]any{"alg": 256}), []string{"alg"}},
		"an alg that does not exist":        {jwk(map[string]any{"alg": "RS123"}), []string{"alg", "RS256"}},
		"alg none":                          {jwk(map[string]any{"alg": "none"}), []string{"alg"}},
		"alg HS256":                         {jwk(map[string]any{"alg": "HS256"}), []string{"alg"}},
		"a kid that is a number":            {jwk(map[string]any{"kid": 1}), []string{"kid"}},
		"T094 RSA with ES256":               {jwk(map[string]any{"alg": "ES256"}), []string{"ES256", "RSA"}},
		"T094 EC with RS256":                {change("privateJwk", asText(t, ecJWK(t, elliptic.P256(), map[string]any{"alg": "RS256"}))), []string{"RS256", "EC"}},
		"T095 P-256 with ES384":             {change("privateJwk", asText(t, ecJWK(t, elliptic.P256(), map[string]any{"alg": "ES384"}))), []string{"ES384", "P-256"}},
		"T095 curve P-224":                  {change("privateJwk", asText(t, ecJWK(t, elliptic.P224(), nil))), []string{"curve"}},
		"RSA with 1024 bits":                {change("privateJwk", asText(t, rsaJWK(rsa1024(), nil))), []string{"1024", "2048"}},
		"a symmetric key":                   {change("privateJwk", `{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0"}`), []string{"RSA or EC"}},
		"an Ed25519 key":                    {change("privateJwk", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`), []string{"RSA or EC"}},
		"authority a number":                {change("authority", 1), []string{"authority", "string"}},
		"clientId an object":                {change("clientId", map[string]any{}), []string{"clientId", "string"}},
		"authority an empty list of values": {change("authority", []any{1}), []string{"authority", "string"}},
		"a JWK alone":                       {[]byte(asText(t, rsaJWK(rsa2048(), nil))), []string{"ParseKey"}},
		"a PEM key alone":                   {[]byte(pkcs8(t)), []string{"JSON object"}},
		"a file in Base64, cut off":         {[]byte(base64.StdEncoding.EncodeToString([]byte(good[:len(good)/2]))), []string{"cut off"}},
		"a section with another name":       {[]byte(`{"MyClient":{"ClientId":"x","Jwk":{}}}`), []string{"section", "HelseIdWebKonfigurasjon"}},
		"a section without a key":           {[]byte(`{"HelseID":{"ClientId":"x","StsUrl":"https://h","Scope":"a"}}`), []string{"HelseID", "PrivateJwk"}},
		"two sections":                      {[]byte(`{"HelseID":{"ClientId":"x"},"HelseIdWebKonfigurasjon":{"ClientId":"y"}}`), []string{"HelseID", "HelseIdWebKonfigurasjon"}},
		"two issuers in a section":          {[]byte(`{"HelseID":{"ClientId":"x","StsUrl":"https://h","Authority":"https://g"}}`), []string{"Authority", "StsUrl"}},
		"two spellings in a section":        {[]byte(`{"HelseID":{"ClientId":"x","clientid":"y"}}`), []string{"ClientId", "clientid"}},
		"a comment that does not end":       {[]byte("/* " + good), []string{"JSON object"}},
		"two commas":                        {[]byte(strings.Replace(good, ",", ",,", 1)), []string{"not well formed"}},
		"all at once": {
			selvbetjeningFile(t, map[string]any{"authority": 1, "clientId": 2, "privateJwk": 3, "scopes": 4}),
			[]string{"authority", "clientId", "privateJwk"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := helseid.ParseConfig(test.file)
			requireError(t, err, helseid.ErrConfig)
			for _, word := range test.says {
				require.ErrorContains(t, err, word)
			}
			require.Less(t, len(err.Error()), 1000)
			requireNoQuote(t, err, test.file)

			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".client.json")
			require.NoError(t, os.WriteFile(path, test.file, 0o600))
			config, err := helseid.LoadConfig(path)
			requireError(t, err, helseid.ErrConfig)
			require.ErrorContains(t, err, "client.json")
			require.Equal(t, helseid.Config{}, config)
		})
	}
}

// requireNoQuote checks that an error holds no longer piece of the file's
// values. Names of members and the texts of the library are no such pieces.
func requireNoQuote(t *testing.T, err error, file []byte) {
	t.Helper()
	var members map[string]any
	if json.Unmarshal(file, &members) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if text, ok := members[name].(string); ok && len(text) >= 12 && name != "secretType" {
			require.NotContains(t, err.Error(), text[:12], "the value of %s is quoted", name)
		}
	}
}

func TestParseConfigWithoutClient(t *testing.T) {
	t.Parallel()
	// T101: what the file does not say may come from elsewhere.
	config, err := helseid.ParseConfig(selvbetjeningFile(t, map[string]any{"authority": nil, "clientId": nil}))
	require.NoError(t, err)
	_, err = helseid.New(config)
	requireError(t, err, helseid.ErrConfig)
	require.ErrorContains(t, err, "Issuer")
	require.ErrorContains(t, err, "ClientID")
	require.NotContains(t, err.Error(), "Key is required")
	config.Issuer, config.ClientID = helseid.Test.Issuer(), "client"
	client, err := helseid.New(config)
	require.NoError(t, err)
	client.Close()
}

func TestLoadConfigFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Run("T097 missing file", func(t *testing.T) {
		t.Parallel()
		_, err := helseid.LoadConfig(filepath.Join(dir, "nowhere.json"))
		requireError(t, err, helseid.ErrConfig)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, err, "nowhere.json")
	})
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		_, err := helseid.LoadConfig(dir)
		requireError(t, err, helseid.ErrConfig)
	})
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(dir, "large.json")
		require.NoError(t, os.WriteFile(path, append(selvbetjeningFile(t, nil), make([]byte, 1<<20)...), 0o600))
		_, err := helseid.LoadConfig(path)
		requireError(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "1 MiB")
	})
	t.Run("as large as it may be", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(dir, "padded.json")
		file := selvbetjeningFile(t, nil)
		padding := strings.Repeat(" ", 1<<20-len(file))
		require.NoError(t, os.WriteFile(path, append(file, padding...), 0o600))
		_, err := helseid.LoadConfig(path)
		require.NoError(t, err)
	})
}

func TestConfigFileOfTheTestServer(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t)
	file := server.ConfigFile(helseidtest.Scopes(testScope))
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	config, err := helseid.LoadConfig(path)
	require.NoError(t, err)
	token, err := newClient(t, config).Token(t.Context(), helseid.TokenRequest{Scopes: config.Registered.Scopes})
	require.NoError(t, err)
	require.Equal(t, []string{testScope}, token.Scopes)
}

// FuzzParseConfig looks for files that make the reader panic, accept a client
// without a key, or quote a key.
func FuzzParseConfig(f *testing.F) {
	const small = `{"clientId":"c","authority":"https://h","scopes":["a"],"privateJwk":"{\"kty\":\"EC\",\"crv\":\"P-256\",` +
		`\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",` +
		`\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}"}`
	for _, seed := range []string{
		small, "\ufeff" + small, small[:len(small)-1], "{}", "", "null", "[]", `{"privateJwk":{}}`, `{"privateJwk":{"kty":"EC"}}`,
		`{"privateJwk":"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"}`, `{"rsaPrivateKey":"<RSAKeyValue/>"}`,
		`{"HelseID":` + small + `}`, `{"HelseID":{"ClientId":1,"StsUrl":"x","Jwk":[]},"HelseIdConfiguration":{}}`, "// x\n" + small,
		strings.TrimSuffix(small, "}") + ",}", base64.StdEncoding.EncodeToString([]byte(small)), asText(f, small), "\xff\xfe{\x00",
		strings.Replace(small, "P-256", "P-384", 1), strings.Replace(small, `"c"`, `{"a":{"a":[[[]]]}}`, 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := helseid.ParseConfig(data)
		if err == nil && config.Key == nil {
			t.Fatal("no key and no error")
		}
		if err != nil {
			require.ErrorIs(t, err, helseid.ErrConfig)
			require.NotContains(t, err.Error(), "jpsQnnGQmL")
			require.Less(t, len(err.Error()), 2000)
		}
	})
}

// A member in another spelling is named: the file's are case-sensitive.
func TestConfigFileSpelling(t *testing.T) {
	t.Parallel()
	_, err := helseid.ParseConfig([]byte(`{"Authority":"https://helseid.test","clientID":"x","PrivateJwk":"{}","SCOPES":[]}`))
	require.ErrorIs(t, err, helseid.ErrConfig)
	for _, text := range []string{"there is Authority", "there is clientID", "there is PrivateJwk", "case-sensitive"} {
		require.ErrorContains(t, err, text)
	}
	require.NotContains(t, err.Error(), "SCOPES", "what is not needed may be called anything")
}
