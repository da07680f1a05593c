package jwtview_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestDecode(t *testing.T) {
	t.Parallel()
	header, claims, err := jwtview.Decode(encoded(`{"alg":"RS256"}`) + "." + encoded(`{"aud":"a"}`) + ".x")
	require.NoError(t, err)
	require.Equal(t, `{"alg":"RS256"}`, string(header))
	require.Equal(t, `{"aud":"a"}`, string(claims))
	good := encoded(`{}`)
	for _, text := range []string{"", "a", good + "." + good, good + "." + good + ".a.b", good + ".!.a", "!." + good + ".a", encoded("[]") + "." + good + ".a", good + "." + encoded("x") + ".a", good + "=." + good + ".a"} {
		_, _, err := jwtview.Decode(text)
		require.Error(t, err, text)
	}
}

// Identity numbers are masked wherever they stand, and other numbers are not.
func TestMask(t *testing.T) {
	t.Parallel()
	number := mint.DefaultPersonalIdentityNumber
	for text, want := range map[string]string{
		`{"pid":"` + number + `"}`:                   `{"pid":"***********"}`,
		`{"pid":` + number + `}`:                     `{"pid":***********}`,
		"https://a/" + number + "?b=" + number:       "https://a/***********?b=***********",
		`{"exp":1796011622,"orgnr":"994598759"}`:     `{"exp":1796011622,"orgnr":"994598759"}`,
		"060000 00000 and 060000-00000":              "************ and ************",
		`{"number":1234567890,"other":123456789012}`: `{"number":1234567890,"other":123456789012}`,
		"pid_" + number + "x and A" + number:         "pid_***********x and A***********",
		number + " " + number + "-" + number:         "*********** ***********-***********",
		"1" + number + " " + number + number + "1":   "1" + number + " " + number + number + "1", // parts of longer numbers
		"123456 060000 00000":                        "123456 ************",
	} {
		require.Equal(t, want, string(jwtview.Mask([]byte(text))))
	}
}

func TestIndent(t *testing.T) {
	t.Parallel()
	require.Equal(t, "{\n  \"a\": 1\n}", jwtview.Indent([]byte(`{"a":1}`)))
	require.Equal(t, "no JSON", jwtview.Indent([]byte("no JSON")))
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://user:word@a.example/b?c=d@e": "https://[not shown]@a.example/b?c=d@e",
		"https://a.example/b@c":               "https://a.example/b@c",
		"a\x1b[31m\u202e":                     `a\u001b[31m\u202e`,
	} {
		require.Equal(t, want, jwtview.Printable(text))
	}
}
