package helseid

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	type parameters = map[string]string
	none := parameters{}
	tests := map[string]struct {
		fields []string
		want   []challenge
	}{
		"nothing":                      {nil, nil},
		"empty":                        {[]string{"", " \t,,"}, nil},
		"scheme alone":                 {[]string{"DPoP"}, []challenge{{"dpop", none}}},
		"one parameter":                {[]string{`DPoP error="x"`}, []challenge{{"dpop", parameters{"error": "x"}}}},
		"names are folded, values not": {[]string{`dPOP ERROR="X"`}, []challenge{{"dpop", parameters{"error": "X"}}}},
		"token value":                  {[]string{`DPoP error=x_y`}, []challenge{{"dpop", parameters{"error": "x_y"}}}},
		"empty quoted value":           {[]string{`DPoP error=""`}, []challenge{{"dpop", parameters{"error": ""}}}},
		"escapes":                      {[]string{`DPoP a="\"\\\x"`}, []challenge{{"dpop", parameters{"a": `"\x`}}}},
		"space around the equal sign":  {[]string{"DPoP a = \t1 , b= 2"}, []challenge{{"dpop", parameters{"a": "1", "b": "2"}}}},
		"comma in a value":             {[]string{`DPoP a="1, Bearer b=2", c=3`}, []challenge{{"dpop", parameters{"a": "1, Bearer b=2", "c": "3"}}}},
		"two challenges":               {[]string{`Basic realm="r", DPoP error=x`}, []challenge{{"basic", parameters{"realm": "r"}}, {"dpop", parameters{"error": "x"}}}},
		"two fields":                   {[]string{`Basic`, `DPoP error=x`}, []challenge{{"basic", none}, {"dpop", parameters{"error": "x"}}}},
		"bare schemes":                 {[]string{`Negotiate, NTLM, DPoP`}, []challenge{{"negotiate", none}, {"ntlm", none}, {"dpop", none}}},
		"token68, two pads":            {[]string{`Negotiate YQ==, DPoP a=1`}, []challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"token68, one pad":             {[]string{`Negotiate YWI=, DPoP a=1`}, []challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"token68 at the end, one pad":  {[]string{`DPoP a=1, Negotiate YWI=`}, []challenge{{"dpop", parameters{"a": "1"}}, {"negotiate", none}}},
		"token68 with / and +":         {[]string{`Negotiate a/b+c==, DPoP a=1`}, []challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"token68 without pad":          {[]string{`Negotiate a/b+c, DPoP a=1`}, []challenge{{"negotiate", none}, {"dpop", parameters{"a": "1"}}}},
		"duplicate parameter":          {[]string{`DPoP a=1, A=2`}, nil},
		"duplicate in the second":      {[]string{`Basic realm=r, DPoP a=1, a=2`}, []challenge{{"basic", parameters{"realm": "r"}}}},
		"value missing":                {[]string{`DPoP a=, b=1`}, []challenge{{"dpop", none}}}, // "a=" is a token68
		"quote never closed":           {[]string{`Basic, DPoP a="1`}, []challenge{{"basic", none}}},
		"escape at the end":            {[]string{`DPoP a="1\`}, nil},
		"text after a value":           {[]string{`DPoP a="1" b="2"`}, []challenge{{"dpop", parameters{"a": "1"}}}},
		"no scheme":                    {[]string{`="x"`, `"x"`}, nil},
		"control character":            {[]string{"DPoP a=\x00"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, parseChallenges(test.fields))
		})
	}
}

func TestParseChallengesIsBounded(t *testing.T) {
	t.Parallel()
	require.Len(t, parseChallenges([]string{strings.Repeat("a,", 1000)}), maxChallenges)
	many := make([]string, 1000)
	for i := range many {
		many[i] = "a"
	}
	require.Len(t, parseChallenges(many), maxChallenges)
	require.Empty(t, parseChallenges([]string{strings.Repeat("x", maxChallengeBytes+1)}))
	require.Len(t, parseChallenges([]string{strings.Repeat("x", maxChallengeBytes), "y"}), 1)
}
