package jose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An odd element of a set costs itself and nothing else.
func TestParseKeySet(t *testing.T) {
	t.Parallel()
	good := keyFor(t, ES256).Public().JWK()
	for name, odd := range map[string]string{
		"a duplicate member":            `{"kty":"EC","kty":"RSA"}`,
		"a duplicate member, nested":    `{"x":{"a":1,"a":2}}`,
		"a duplicate, escaped":          `{"kty":"EC","kt\u0079":"EC"}`,
		"null":                          `null`,
		"a number":                      `1e400`,
		"a text":                        `"}]"`,
		"a list":                        `[[],[{}]]`,
		"brackets in a text":            `{"x":"}]}{[\\","x":1}`,
		"half a surrogate pair":         `{"x":"\ud800"}`,
		"no UTF-8":                      "{\"x\":\"\xff\"}",
		"a control character in a text": "{\"x\":\"a\nb\"}",
		"too deep":                      `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"a number that is none":         `{"x":01}`,
		"a literal that is none":        `{"x":nope}`,
		"no commas":                     `{"x":1 "y":2}`,
		"large":                         `{"x":"` + strings.Repeat("x", 1<<18) + `"}`,
		"many":                          strings.Repeat(`{"kty":"oct","kid":"x"},`, 1000) + "{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, document := range []string{`{"keys":[` + odd + `,` + good + `]}`, ` { "keys" : [ ` + good + ` , ` + odd + ` ] } `} {
				keys, err := ParseKeySet([]byte(document))
				require.NoError(t, err)
				found := 0
				for _, key := range keys {
					if public, err := ParsePublicJWK(key, ""); err == nil {
						require.Equal(t, keyFor(t, ES256).Public().Thumbprint(), public.Thumbprint())
						found++
					}
				}
				require.Equal(t, 1, found)
			}
		})
	}
	for name, document := range map[string]string{
		"empty": "", "null": "null", "an array": "[" + good + "]", "no keys": `{"key":[]}`, "keys null": `{"keys":null}`,
		"keys an object": `{"keys":` + good + `}`, "keys a text": `{"keys":"[]"}`, "other case": `{"Keys":[]}`,
		"keys twice":          `{"keys":[],"keys":[` + good + `]}`,
		"keys twice, escaped": `{"keys":[],"k\u0065ys":[` + good + `]}`,
		"cut in a key":        `{"keys":[` + good[:20],
		"cut in a text":       `{"keys":["abc`,
		"cut in an escape":    `{"keys":[{"x":"abc\`,
		"cut after the keys":  `{"keys":[` + good + `]`,
		"text behind":         `{"keys":[` + good + `]}x`,
		"no comma":            `{"keys":[` + good + good + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKeySet([]byte(document))
			require.Error(t, err)
		})
	}
	t.Run("other members", func(t *testing.T) {
		t.Parallel()
		keys, err := ParseKeySet([]byte(fmt.Sprintf(`{"x":{"a":1,"a":2},"keys":[%s],"y":["\ud800"]}`, good)))
		require.NoError(t, err)
		require.Len(t, keys, 1)
	})
}

// FuzzParseKeySet: what a set gives is what a reader of the whole would see.
func FuzzParseKeySet(f *testing.F) {
	good := keyFor(f, ES256).Public().JWK()
	for _, seed := range []string{"", "{}", `{"keys":[]}`, `{"keys":[` + good + `]}`, `{"keys":[{"x":"\`, `{"keys":[{"a":1,"a":2},` + good + `]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := ParseKeySet(document)
		whole, wholeErr := ParseObject(document)
		if wholeErr != nil {
			return
		}
		values, ok := whole.Get("keys").Array()
		if !ok {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		for _, value := range values {
			if want, ok := value.Object(); ok {
				require.NotEmpty(t, keys)
				require.Equal(t, want.Names(), keys[0].Names())
				keys = keys[1:]
			}
		}
		require.Empty(t, keys)
	})
}
