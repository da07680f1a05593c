package metadata

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const issuer = "https://issuer.test"

func document(members string) string { return `{"issuer":"https://issuer.test",` + members + `}` }

// What is not used may have any shape: HelseID's test environment has strings
// where production has booleans.
func TestParseLenient(t *testing.T) {
	t.Parallel()
	parsed, err := Parse([]byte(document(`"token_endpoint":"https://issuer.test/token","jwks_uri":"https://keys.test/jwks",
		"require_pushed_authorization_requests":"true","frontchannel_logout_supported":"True","scopes_supported":null,"claims_supported":7,
		"mtls_endpoint_aliases":{"token_endpoint":"https://mtls.test/"},"x":[{"issuer":"https://other.test"}]`)), issuer, "https://keys.test")
	require.NoError(t, err)
	endpoint, err := parsed.Endpoint("token_endpoint")
	require.NoError(t, err)
	require.Equal(t, "https://issuer.test/token", endpoint.String())
	endpoint, err = parsed.Endpoint("jwks_uri")
	require.NoError(t, err)
	require.Equal(t, "https://keys.test/jwks", endpoint.String())
}

func TestParseRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body string
		want error
	}{
		"empty":                       {"", ErrInvalid},
		"HTML":                        {"<html></html>", ErrInvalid},
		"an array":                    {"[]", ErrInvalid},
		"null":                        {"null", ErrInvalid},
		"cut":                         {`{"issuer":"https://issuer.test"`, ErrInvalid},
		"text after":                  {document(`"a":1`) + "x", ErrInvalid},
		"no issuer":                   {"{}", ErrInvalid},
		"issuer null":                 {`{"issuer":null}`, ErrInvalid},
		"issuer an array":             {`{"issuer":["https://issuer.test"]}`, ErrInvalid},
		"another issuer":              {`{"issuer":"https://other.test"}`, ErrIssuerMismatch},
		"a trailing slash":            {`{"issuer":"https://issuer.test/"}`, ErrIssuerMismatch},
		"another case":                {`{"issuer":"https://Issuer.test"}`, ErrIssuerMismatch},
		"a prefix":                    {`{"issuer":"https://issuer.test.attacker.example"}`, ErrIssuerMismatch},
		"empty issuer":                {`{"issuer":""}`, ErrIssuerMismatch},
		"duplicate issuer":            {document(`"issuer":"https://issuer.test"`), ErrInvalid},
		"duplicate jwks_uri":          {document(`"jwks_uri":"https://a.test","jwks_uri":"https://b.test"`), ErrInvalid},
		"duplicate jwks_uri, escaped": {document(`"jwks_uri":"https://a.test","jwks\u005furi":"https://b.test"`), ErrInvalid},
		"duplicate deep inside":       {document(`"x":{"a":1,"a":2}`), ErrInvalid},
		"ISSUER beside issuer":        {document(`"ISSUER":"https://other.test"`), ErrInvalid},
		"Token_Endpoint":              {document(`"Token_Endpoint":"https://other.test"`), ErrInvalid},
		"JWKS_URI beside jwks_uri":    {document(`"jwks_uri":"https://a.test","JWKS_URI":"https://b.test"`), ErrInvalid},
		"too deep":                    {document(`"x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50)), ErrInvalid},
		"not UTF-8":                   {document("\"x\":\"\xff\""), ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := Parse([]byte(test.body), issuer)
			require.ErrorIs(t, err, test.want)
			require.Nil(t, parsed)
		})
	}
}

// An error about another issuer does not repeat what looks like a credential.
func TestMismatchIsRedacted(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`{"issuer":"https://x.test/`+strings.Repeat("A", 60)+` 06828399789"}`), issuer)
	require.ErrorIs(t, err, ErrIssuerMismatch)
	require.NotContains(t, err.Error(), "AAAAAAAAAA")
	require.NotContains(t, err.Error(), "06828399789")
	require.Contains(t, err.Error(), issuer)
}

func TestEndpointRefused(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"missing": "", "null": `null`, "number": `1`, "array": `["https://issuer.test/keys"]`, "empty": `""`,
		"relative": `"/keys"`, "no scheme": `"issuer.test/keys"`, "no host": `"https:///keys"`, "opaque": `"https:keys"`,
		"plain http": `"http://issuer.test/keys"`, "http on loopback under an https issuer": `"http://127.0.0.1/keys"`, "http on localhost": `"http://localhost:8080/keys"`,
		"ftp": `"ftp://issuer.test/keys"`, "file": `"file:///etc/passwd"`, "javascript": `"javascript:alert(1)"`, "data": `"data:application/json,{}"`,
		"user": `"https://user:secret@issuer.test/keys"`, "fragment": `"https://issuer.test/keys#x"`, "bad escape": `"https://issuer.test/%zz"`, "control character": `"https://issuer.test/\u0001"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			member := `"x":1`
			if value != "" {
				member = `"jwks_uri":` + value
			}
			parsed, err := Parse([]byte(document(member)), issuer)
			require.NoError(t, err)
			_, err = parsed.Endpoint("jwks_uri")
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, "jwks_uri")
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// Plain http is for a loopback issuer, whose endpoints may be loopback too.
func TestEndpointOnLoopback(t *testing.T) {
	t.Parallel()
	parsed, err := Parse([]byte(`{"issuer":"http://127.0.0.1:8080","a":"http://127.0.0.1:8080/a","b":"http://issuer.test/b","c":"https://issuer.test/c"}`), "http://127.0.0.1:8080", "https://issuer.test")
	require.NoError(t, err)
	_, err = parsed.Endpoint("a")
	require.NoError(t, err)
	_, err = parsed.Endpoint("b")
	require.ErrorIs(t, err, ErrInvalid)
	_, err = parsed.Endpoint("c")
	require.NoError(t, err)
}

// Whoever can write the metadata cannot send credentials and trust elsewhere: an
// endpoint is at the issuer's origin, or at one that was named.
func TestEndpointOrigins(t *testing.T) {
	t.Parallel()
	named := []string{"https://keys.test", "https://Other.test:8443/"}
	for location, test := range map[string]struct{ issuers, named bool }{
		"https://issuer.test/keys":                {true, true},
		"https://ISSUER.test:443/keys":            {true, true},
		"HTTPS://issuer.test/a/b?c":               {true, true},
		"https://keys.test/":                      {false, true},
		"https://keys.test:443/keys":              {false, true},
		"https://other.test:8443/keys":            {false, true},
		"https://issuer.test:8443/keys":           {false, false},
		"https://keys.test:444/":                  {false, false},
		"https://other.test/keys":                 {false, false},
		"https://issuer.test.attacker.example/":   {false, false},
		"https://attacker.example/issuer.test":    {false, false},
		"https://sub.issuer.test/keys":            {false, false},
		"https://test/":                           {false, false},
		"https://issuer.test./keys":               {false, false},
		"https://127.0.0.1/keys":                  {false, false},
		"https://attacker.example#@issuer.test/":  {false, false},
		"https://attacker.example?@issuer.test/x": {false, false},
	} {
		t.Run(location, func(t *testing.T) {
			t.Parallel()
			for _, member := range endpointMembers[1:] {
				for i, want := range []bool{test.issuers, test.named} {
					parsed, err := Parse([]byte(document(`"`+member+`":"`+location+`"`)), issuer, named[:i*len(named)]...)
					require.NoError(t, err)
					_, err = parsed.Endpoint(member)
					if want {
						require.NoError(t, err)
						continue
					}
					require.ErrorIs(t, err, ErrInvalid)
					require.ErrorContains(t, err, member)
				}
			}
		})
	}
	parsed, err := Parse([]byte(document(`"token_endpoint":"https://attacker.example/token"`)), issuer)
	require.NoError(t, err)
	_, err = parsed.Endpoint("token_endpoint")
	for _, part := range []string{"token_endpoint", "https://attacker.example:443", "https://issuer.test:443", "EndpointOrigins"} {
		require.ErrorContains(t, err, part)
	}
}

func TestCheckIssuer(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://issuer.test", "https://issuer.test/oidc", "https://issuer.test:8443", "http://127.0.0.1:1", "http://localhost", "http://[::1]:1"} {
		require.NoError(t, CheckIssuer(good), good)
	}
	for _, bad := range []string{"", "issuer.test", "/x", "https://", "http://issuer.test", "http://localhost.attacker.example", "http://127.0.0.1.attacker.example", "http://10.0.0.1",
		"https://issuer.test?x", "https://issuer.test?", "https://issuer.test#x", "https://u:p@issuer.test", "ftp://issuer.test", "::", "https://a b"} {
		require.Error(t, CheckIssuer(bad), bad)
	}
	require.Equal(t, "https://issuer.test", NormalIssuer("https://issuer.test/"))
	require.Equal(t, "https://issuer.test/oidc", NormalIssuer("https://issuer.test/oidc//"))
	require.Equal(t, "https://issuer.test", NormalIssuer("https://issuer.test"))
}

// FuzzParse: a document that is taken is the issuer's, and its endpoints are
// https.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "{}", document(`"jwks_uri":"https://issuer.test/keys"`), document(`"jwks_uri":"http://issuer.test/keys","token_endpoint":null`), `{"issuer":"https://issuer.test/"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parsed, err := Parse(body, issuer)
		if err != nil {
			require.Nil(t, parsed)
			return
		}
		for _, name := range []string{"jwks_uri", "token_endpoint"} {
			if endpoint, err := parsed.Endpoint(name); err == nil {
				require.Equal(t, "https", strings.ToLower(endpoint.Scheme))
				require.Equal(t, "issuer.test", strings.ToLower(endpoint.Hostname()))
				require.Nil(t, endpoint.User)
			}
		}
	})
}
