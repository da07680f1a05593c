package redact

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	identity = "01010112345" // eleven digits, of nobody
	jwt      = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)

func TestText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 40)
	for name, test := range map[string]struct{ text, want string }{
		"empty":                     {"", ""},
		"plain":                     {"invalid_client: unknown kid", "invalid_client: unknown kid"},
		"norwegian":                 {"Ugyldig fødselsår på søknad", "Ugyldig fødselsår på søknad"},
		"identity number":           {identity, Placeholder},
		"identity number in a text": {"patient " + identity + " not found", "patient " + Placeholder + " not found"},
		"between letters":           {"id" + identity + "x", "id" + Placeholder + "x"},
		"two, with a dot":           {identity + "." + identity, Placeholder + "." + Placeholder},
		"two, with a comma":         {identity + "," + identity, Placeholder + "," + Placeholder},
		"in a path":                 {"/get/" + identity + "/", "/get/" + Placeholder + "/"},
		"in quotes":                 {`"` + identity + `"`, `"` + Placeholder + `"`},
		"in an oid":                 {"urn:oid:2.16.578.1.12.4.1.4.1:" + identity, "urn:oid:2.16.578.1.12.4.1.4.1:" + Placeholder},
		"with a space":              {"patient " + identity[:6] + " " + identity[6:] + ".", "patient " + Placeholder + "."},
		"with a hard space":         {identity[:6] + "\u00a0" + identity[6:], Placeholder},
		"with a dash":               {identity[:6] + "-" + identity[6:], Placeholder},
		"two numbers":               {"1234567 12345 123456 123456", "1234567 12345 123456 123456"},
		"ten digits":                {"1234567890", "1234567890"},
		"twelve digits":             {"123456789012", "123456789012"},
		"a timestamp in ms":         {"1562262616000", "1562262616000"},
		"an organisation number":    {"999977775", "999977775"},
		"a JWT":                     {"token " + jwt + " refused", "token " + Placeholder + " refused"},
		"a JWT in quotes":           {`"` + jwt + `"`, `"` + Placeholder + `"`},
		"39 characters":             {long[1:], long[1:]},
		"40 characters":             {long, Placeholder},
		"40 of the whole alphabet":  {"-_" + long[2:], Placeholder},
		"control characters":        {"a\x00b\nc\rd\te\x1b[31mf\x7fg", "a b c d e [31mf g"},
		"C1 control character":      {"a\u0085b", "a b"},
		"line separator":            {"a\u2028b", "a b"},
		"right-to-left override":    {"a\u202eb", "a b"},
		"zero-width space":          {"a\u200bb", "a b"},
		"space around":              {"  a  ", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Text(test.text))
		})
	}
	t.Run("invalid UTF-8", func(t *testing.T) {
		t.Parallel()
		require.True(t, utf8.ValidString(Text("a\xffb\xc3")))
	})
	t.Run("length", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, maxText, utf8.RuneCountInString(Text(strings.Repeat("æ", 1000))))
		require.Equal(t, maxText, utf8.RuneCountInString(Text(strings.Repeat("#", 1000))))
		for _, unit := range []string{"word ", strings.Repeat("a", 39) + " ", identity + " ", jwt + " ", "# " + strings.Repeat("b", 38) + "#"} {
			require.LessOrEqual(t, utf8.RuneCountInString(Text(strings.Repeat(unit, 500))), maxText, unit)
		}
	})
}

var (
	digitRun  = regexp.MustCompile(`[0-9]+`)
	opaqueRE  = regexp.MustCompile(`[A-Za-z0-9_-]{40}`)
	seedTexts = []string{
		"", identity, jwt, "x" + identity + "y", identity + identity[:1], "010101 12345", "\xff" + identity, strings.Repeat("9", 400),
		strings.Repeat("a.", 200), strings.Repeat("#", 299) + "123456789012", strings.Repeat("#", 290) + identity, "\x00\x1b[0m",
		strings.Repeat("#", 299) + strings.Repeat("a", 41), identity + "." + identity + "-" + identity,
	}
)

func FuzzText(f *testing.F) {
	for _, text := range seedTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := Text(text)
		require.True(t, utf8.ValidString(out))
		for _, run := range digitRun.FindAllString(out, -1) {
			require.NotEqual(t, identityDigits, len(run), "an identity number is left: %q", out)
		}
		require.False(t, opaqueRE.MatchString(out), "a credential is left: %q", out)
		for _, char := range out {
			require.True(t, unicode.IsPrint(char), "%q", out)
		}
		require.LessOrEqual(t, utf8.RuneCountInString(out), maxText)
	})
}
