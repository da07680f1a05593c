package wwwauth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	type parameters = map[string]string
	none := parameters{}
	tests := map[string]struct {
		fields []string
		want   []Challenge
	}{
		"nothing":                      {nil, nil},
		"empty":                        {[]string{"", " \t,,"}, nil},
		"scheme alone":                 {[]string{"DPoP"}, []Challenge{{"dpop", none}}},
		"one parameter":                {[]string{`DPoP error="x"`}, []Challenge{{"dpop", parameters{"error": "x"}}}},
		"names are folded, values not": {[]string{`dPOP ERROR="X"`}, []Challenge{{"dpop", parameters{"error": "X"}}}},
		"token value":                  {[]string{`DPoP error=x_y`}, []Challenge{{"dpop", parameters{"error": "x_y"}}}},
		"empty quoted value":           {[]string{`DPoP error=""`}, []Challenge{{"dpop", parameters{"error": ""}}}},
		"escapes":                      {[]string{`DPoP a="\"\\\x"`}, []Challenge{{"dpop", parameters{"a": `"\x`}}}},
		"space around the equal sign":  {[]string{"DPoP a = \t1 , b= 2"}, []Challenge{{"dpop", parameters{"a": "1", "b": "2"}}}},
		"comma in a value":             {[]string{`DPoP a="1, Bearer b=2", c=3`}, []Challenge{{"dpop", parameters{"a": "1, Bearer b=2", "c": "3"}}}},
		"two challenges":               {[]string{`Basic realm="r", DPoP error=x`}, []Challenge{{"basic", parameters{"realm": "r"}}, {"dpop", parameters{"error": "x"}}}},
		"two fields":                   {[]string{`Basic`, `DPoP error=x`}, []Challenge{{"basic", none}, {"dpop", parameters{"error": "x"}}}},
		"bare schemes":                 {[]string{`Negotiate, NTLM, DPoP`}, []Challenge{{"negotiate", none}, {"ntlm", none}, {"dpop", none}}},
		"token68, two pads":            {[]string{`Negotiate YQ==, DPoP a=1`}, []Challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"token68, one pad":             {[]string{`Negotiate YWI=, DPoP a=1`}, []Challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"token68 at the end, one pad":  {[]string{`DPoP a=1, Negotiate YWI=`}, []Challenge{{"dpop", parameters{"a": "1"}}, {"negotiate", none}}},
		"token68 with / and +":         {[]string{`Negotiate a/b+c==, DPoP a=1`}, []Challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"token68 without pad":          {[]string{`Negotiate a/b+c, DPoP a=1`}, []Challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"duplicate parameter":          {[]string{`DPoP a=1, A=2`}, nil},
		"duplicate in the second":      {[]string{`Basic realm=r, DPoP a=1, a=2`}, []Challenge{{"basic", parameters{"realm": "r"}}}},
		"value missing":                {[]string{`DPoP a=, b=1`}, []Challenge{{"dpop", none}}}, // "a=" is a token68
		"quote never closed":           {[]string{`Basic, DPoP a="1`}, []Challenge{{"basic", none}}},
		"escape at the end":            {[]string{`DPoP a="1\`}, nil},
		"text after a value":           {[]string{`DPoP a="1" b="2"`}, []Challenge{{"dpop", parameters{"a": "1"}}}},
		"no scheme":                    {[]string{`="x"`, `"x"`}, nil},
		"control character":            {[]string{"DPoP a=\x00"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Parse(test.fields))
		})
	}
}

func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	require.Len(t, Parse([]string{strings.Repeat("a,", 1000)}), maxChallenges)
	many := make([]string, 1000)
	for i := range many {
		many[i] = "a"
	}
	require.Len(t, Parse(many), maxChallenges)
	require.Empty(t, Parse([]string{strings.Repeat("x", maxBytes+1)}))
	require.Len(t, Parse([]string{strings.Repeat("x", maxBytes), "y"}), 1)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`DPoP error="use_dpop_nonce", error_description="x", algs="ES256 PS256"`, `Basic realm="a, b", DPoP error=x`, `Negotiate YQ==, DPoP`,
		`Negotiate YWI=`, `a b c d = "\"" , ,`, `DPoP a="`, "DPoP a=\"\\", ",,,", strings.Repeat("a,", 100), "\x00", `DPoP error="a", error="b"`,
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		found := Parse([]string{first, second})
		if len(found) > maxChallenges {
			t.Fatal("too many challenges")
		}
		for _, c := range found {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) || c.Parameters == nil {
				t.Fatalf("a challenge without scheme or in other case: %q", c.Scheme)
			}
			for name, value := range c.Parameters {
				if name == "" || name != strings.ToLower(name) {
					t.Fatalf("a parameter without name or in other case: %q", name)
				}
				if len(value) > len(first)+len(second) {
					t.Fatal("a value out of nothing")
				}
			}
		}
		// What comes after a complete challenge's field cannot change it.
		if alone := Parse([]string{first}); len(alone) > len(found) {
			t.Fatal("the second field took challenges away")
		}
	})
}
