package clientassertion_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
)

func TestParseDetail(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]string{
		organisation:                           "helseid_authorization",
		" \n{\"type\":\"a\"}\t ":               "a",
		`{"x":1,"type":"\u0061"}`:              "a",
		`{"type":"a","value":{"type":"b"}}`:    "a",
		`{"type":"a","list":[{"x":1},[null]]}`: "a",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := clientassertion.ParseDetail([]byte(text))
			require.NoError(t, err)
			require.Equal(t, kind, got.Type())
			out, err := got.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(text), string(out))
		})
	}
	limit := 16 << 10
	sized := func(size int) string {
		const frame = `{"type":"a","x":""}`
		return `{"type":"a","x":"` + strings.Repeat("x", size-len(frame)) + `"}`
	}
	for name, text := range map[string]string{
		"nothing":         "",
		"not JSON":        "type=a",
		"array":           `[{"type":"a"}]`,
		"two objects":     `{"type":"a"}{"type":"b"}`,
		"injection":       `{"type":"a"},"admin":{}`,
		"no type":         `{"kind":"a"}`,
		"empty type":      `{"type":""}`,
		"null type":       `{"type":null}`,
		"number type":     `{"type":1}`,
		"other case":      `{"Type":"a"}`,
		"duplicate type":  `{"type":"a","type":"a"}`,
		"inner duplicate": `{"type":"a","x":{"y":1,"y":2}}`,
		"invalid UTF-8":   "{\"type\":\"\xff\"}",
		"lone surrogate":  `{"type":"\ud800"}`,
		"too deep":        `{"type":"a","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"too long":        sized(limit + 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clientassertion.ParseDetail([]byte(text))
			require.Error(t, err)
			require.Equal(t, clientassertion.Detail{}, got)
		})
	}
	_, err := clientassertion.ParseDetail([]byte(sized(limit)))
	require.NoError(t, err)
	_, err = clientassertion.Detail{}.MarshalJSON()
	require.Error(t, err)
	_, err = clientassertion.ParseDetail([]byte(`{"type":1,"patient":"01010112345"}`))
	require.NotContains(t, err.Error(), "01010112345", "a detail can hold personal data")
}

func TestDetailIsACopy(t *testing.T) {
	t.Parallel()
	data := []byte(`{"type":"a"}`)
	got, err := clientassertion.ParseDetail(data)
	require.NoError(t, err)
	data[9] = 'b'
	out, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, `{"type":"a"}`, string(out))
}

func FuzzParseDetail(f *testing.F) {
	for _, text := range []string{organisation, `{"type":"a"}`, ` {"type":"a"} `, `{"type":""}`, `{"type":"a","a":[]}`, `{"type":"a"},"x":{}`, "{\"type\":\"\u2028\"}"} {
		f.Add(text)
	}
	key := newKey(f, "ES256")
	signer := newSigner(f, key)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := clientassertion.ParseDetail([]byte(text))
		if err != nil {
			return
		}
		require.NotEmpty(t, got.Type())
		// Whatever was accepted cannot break out of its claim.
		assertion, err := signer.Sign(context.Background(), got, got)
		require.NoError(t, err)
		claims := decode(t, assertion, key).claims
		require.Len(t, claims, 8)
		details := claims["assertion_details"].([]any)
		require.Len(t, details, 2)
		var same map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &same))
		require.Equal(t, same, details[0])
	})
}
