package jose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParseObjectRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                          "",
		"white space":                      " \n",
		"null":                             "null",
		"array":                            `[{"a":1}]`,
		"string":                           `"a"`,
		"number":                           "1",
		"byte order mark":                  "\xef\xbb\xbf{}",
		"vertical tab":                     "\v{}",
		"no-break space":                   "\u00a0{}",
		"text behind":                      `{} x`,
		"second object":                    `{}{}`,
		"NUL behind":                       "{}\x00",
		"comma behind":                     `{},`,
		"cut off":                          `{`,
		"cut off in a name":                `{"a`,
		"cut off after a name":             `{"a"`,
		"cut off after a colon":            `{"a":`,
		"cut off in a string":              `{"a":"b`,
		"cut off after a value":            `{"a":1`,
		"cut off after a comma":            `{"a":1,`,
		"cut off in an array":              `{"a":[1`,
		"cut off in an escape":             `{"a":"\`,
		"cut off in a unicode escape":      `{"a":"\u00`,
		"trailing comma":                   `{"a":1,}`,
		"leading comma":                    `{,"a":1}`,
		"two commas":                       `{"a":1,,"b":2}`,
		"no comma":                         `{"a":1 "b":2}`,
		"trailing comma in array":          `{"a":[1,]}`,
		"two commas in array":              `{"a":[1,,2]}`,
		"no comma in array":                `{"a":[1 2]}`,
		"wrong bracket":                    `{"a":[1}}`,
		"wrong brace":                      `{"a":{"b":1]}`,
		"no colon":                         `{"a" 1}`,
		"no value":                         `{"a":}`,
		"bare name":                        `{a:1}`,
		"single quotes":                    `{'a':1}`,
		"number as name":                   `{1:1}`,
		"null as name":                     `{null:1}`,
		"comment":                          `{/*c*/"a":1}`,
		"line comment":                     "{\"a\":1//c\n}",
		"True":                             `{"a":True}`,
		"nul":                              `{"a":nul}`,
		"nulll":                            `{"a":nulll}`,
		"undefined":                        `{"a":undefined}`,
		"NaN":                              `{"a":NaN}`,
		"Infinity":                         `{"a":Infinity}`,
		"minus Infinity":                   `{"a":-Infinity}`,
		"number: leading zero":             `{"a":01}`,
		"number: leading zeros":            `{"a":00}`,
		"number: minus leading zero":       `{"a":-01}`,
		"number: plus":                     `{"a":+1}`,
		"number: minus only":               `{"a":-}`,
		"number: leading point":            `{"a":.5}`,
		"number: trailing point":           `{"a":1.}`,
		"number: point before exponent":    `{"a":1.e5}`,
		"number: empty exponent":           `{"a":1e}`,
		"number: signed empty exponent":    `{"a":1e+}`,
		"number: two points":               `{"a":1.2.3}`,
		"number: hexadecimal":              `{"a":0x10}`,
		"number: underscore":               `{"a":1_000}`,
		"number: two minus":                `{"a":--1}`,
		"string: line feed":                "{\"a\":\"\n\"}",
		"string: tab":                      "{\"a\":\"\t\"}",
		"string: NUL":                      "{\"a\":\"\x00\"}",
		"string: last control character":   "{\"a\":\"\x1f\"}",
		"name: line feed":                  "{\"a\n\":1}",
		"string: bad escape":               `{"a":"\x41"}`,
		"string: escaped quote only":       `{"a":"\'"}`,
		"string: bad hex":                  `{"a":"\u00g0"}`,
		"string: signed hex":               `{"a":"\u+041"}`,
		"string: underscored hex":          `{"a":"\u0_41"}`,
		"string: upper-case U":             `{"a":"\U0041"}`,
		"UTF-8: lone continuation":         "{\"a\":\"\x80\"}",
		"UTF-8: cut off":                   "{\"a\":\"\xc3\"}",
		"UTF-8: overlong":                  "{\"a\":\"\xc0\xaf\"}",
		"UTF-8: surrogate":                 "{\"a\":\"\xed\xa0\x80\"}",
		"UTF-8: too high":                  "{\"a\":\"\xf4\x90\x80\x80\"}",
		"UTF-8: ff":                        "{\"a\":\"\xff\"}",
		"UTF-8: in a name":                 "{\"\xff\":1}",
		"surrogate: high alone":            `{"a":"\ud800"}`,
		"surrogate: low alone":             `{"a":"\udc00"}`,
		"surrogate: high and a letter":     `{"a":"\ud800x"}`,
		"surrogate: high and an escape":    `{"a":"\ud800\n"}`,
		"surrogate: high and no surrogate": `{"a":"\ud800\u0041"}`,
		"surrogate: two high":              `{"a":"\ud800\ud800"}`,
		"surrogate: wrong order":           `{"a":"\udc00\ud800"}`,
		"surrogate: high, rest cut off":    `{"a":"\ud800\udc"}`,
		"surrogate: in a name":             `{"\ud800":1}`,
		"duplicate":                        `{"a":1,"a":2}`,
		"duplicate, same value":            `{"a":1,"a":1}`,
		"duplicate, null":                  `{"a":1,"a":null}`,
		"duplicate, escaped":               `{"a":1,"\u0061":2}`,
		"duplicate, both escaped":          `{"\u0061":1,"\u0061":2}`,
		"duplicate, other escape":          `{"/":1,"\/":2}`,
		"duplicate, surrogate pair":        `{"💊":1,"\ud83d\udc8a":2}`,
		"duplicate, far apart":             `{"a":1,"b":{"a":1},"c":[{"a":1}],"a":2}`,
		"duplicate in an inner object":     `{"x":{"a":1,"a":2}}`,
		"duplicate in an array":            `{"x":[{"b":1},{"a":1,"a":2}]}`,
		"duplicate deep":                   `{"x":{"y":[{"z":{"a":1,"\u0061":2}}]}}`,
		"duplicate empty names":            `{"":1,"":2}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseObject([]byte(text))
			require.ErrorIs(t, err, ErrJSON)
		})
	}
}

func TestParseObjectAccepts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                           `{}`,
		"white space everywhere":          " \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, 2 ] , \"b\" : { } } \t\r\n",
		"all literals":                    `{"a":null,"b":true,"c":false}`,
		"numbers":                         `{"a":[0,-0,1,-1,10,1.5,-0.25,1e5,1E+5,1e-5,0e0,123456789012345678901234567890]}`,
		"escapes":                         `{"a":"\"\\\/\b\f\n\r\t\u00e6\u00E6"}`,
		"surrogate pair":                  `{"a":"\ud83d\udc8a\uD83D\uDC8A"}`,
		"last before and after surrogate": `{"a":"\ud7ff\ue000\uffff"}`,
		"delete character":                "{\"a\":\"\x7f\"}",
		"real UTF-8":                      `{"navn":"Ærlig Ødegård 💊"}`,
		"U+FFFD itself":                   `{"a":"` + "\uFFFD" + `","b":"\ufffd"}`,
		"empty name":                      `{"":1}`,
		"same name, other objects":        `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`,
		"names that differ in case":       `{"a":1,"A":2}`,
		"names that differ by an accent":  `{"e":1,"é":2}`,
		"empty containers":                `{"a":[],"b":{},"c":[[],{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseObject([]byte(text))
			require.NoError(t, err)
			require.True(t, json.Valid([]byte(text)), "and it is JSON")
		})
	}
}

func TestParseObjectDepth(t *testing.T) {
	t.Parallel()
	nested := func(levels int, open, closing string) string {
		return `{"a":` + strings.Repeat(open, levels) + "1" + strings.Repeat(closing, levels) + "}"
	}
	for _, kind := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		_, err := ParseObject([]byte(nested(maxDepth, kind[0], kind[1])))
		require.NoError(t, err)
		_, err = ParseObject([]byte(nested(maxDepth+1, kind[0], kind[1])))
		require.ErrorIs(t, err, ErrJSON)
		// A million levels must be refused as cheaply, and not eat the stack.
		_, err = ParseObject([]byte(nested(1_000_000, kind[0], kind[1])))
		require.ErrorIs(t, err, ErrJSON)
	}
}

func TestParseObjectManyMembers(t *testing.T) {
	t.Parallel()
	// Beyond 32 members names are found by a map and no longer by a search.
	build := func(n int, extra string) []byte {
		var out strings.Builder
		out.WriteString("{")
		for i := range n {
			fmt.Fprintf(&out, `"m%d":{"x":%d},`, i, i)
		}
		return []byte(out.String() + extra + "}")
	}
	for _, n := range []int{30, 31, 32, 33, 34, 64, 100, 5000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			parsed, err := ParseObject(build(n, `"last":true`))
			require.NoError(t, err)
			require.Len(t, parsed.Names(), n+1)
			require.Equal(t, "m0", parsed.Names()[0])
			require.Equal(t, "last", parsed.Names()[n])
			inner, ok := parsed.Get(fmt.Sprintf("m%d", n-1)).Object()
			require.True(t, ok)
			x, _ := inner.Get("x").Int()
			require.EqualValues(t, n-1, x)
			for _, again := range []int{0, n / 2, n - 1} {
				_, err = ParseObject(build(n, fmt.Sprintf(`"\u006d%d":1`, again)))
				require.ErrorIs(t, err, ErrJSON, "m%d twice", again)
			}
		})
	}
	t.Run("a long object inside a long object", func(t *testing.T) {
		t.Parallel()
		inner := string(build(40, `"last":1`))
		_, err := ParseObject(build(40, `"inner":`+inner+`,"last":1`))
		require.NoError(t, err, "names of the outer object are free in the inner one")
		_, err = ParseObject(build(40, `"inner":`+inner+`,"m39":1`))
		require.ErrorIs(t, err, ErrJSON, "and are remembered after it")
		_, err = ParseObject(build(40, `"inner":`+string(build(40, `"m3":1`))+`,"last":1`))
		require.ErrorIs(t, err, ErrJSON)
	})
}

func TestObjectIsExact(t *testing.T) {
	t.Parallel()
	o := object(t, `{"Sub":"capital","sub":"small","null":null,"\u0061lg":"escaped"}`)
	text, ok := o.Get("sub").Text()
	require.True(t, ok)
	require.Equal(t, "small", text)
	require.False(t, o.Has("SUB"))
	require.True(t, o.Has("null"))
	require.True(t, o.Get("null").Absent())
	require.True(t, o.Get("missing").Absent())
	require.False(t, o.Has("missing"))
	require.True(t, o.Has("alg"))
	require.False(t, o.Has(`\u0061lg`))
	require.Equal(t, []string{"Sub", "sub", "null", "alg"}, o.Names())
	require.Empty(t, Object{}.Names())
}

func TestCheckFolded(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		`{}`:                               true,
		`{"sub":1}`:                        true,
		`{"subject":1}`:                    true,
		`{"Sub":1}`:                        false,
		`{"sub":1,"SUB":2}`:                false,
		`{"\u0053ub":1}`:                   false,
		`{"inner":{"Sub":1}}`:              true,
		"{\"\u017fub\":1}":                 false, // LATIN SMALL LETTER LONG S folds to s, in encoding/json too
		`{"` + "\u212a" + `id":1}`:         false, // KELVIN SIGN folds to k
		`{"other":1,"KID":1}`:              false,
		`{"sub ":1}`:                       true,
		`{"sub":1,"kid":"a","kidney":"b"}`: true,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			err := object(t, text).CheckFolded("sub", "kid")
			if good {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrJSON)
			}
		})
	}
}

func TestValueTypes(t *testing.T) {
	t.Parallel()
	o := object(t, `{"s":"t\u00e6xt","b":true,"f":false,"n":null,"i":-7,"x":1.75,"m":-1.25,"e":1e3,"o":{"a":1},"a":[1,"2",{}],"t":"true","d":"7"}`)
	for _, name := range o.Names() {
		v := o.Get(name)
		_, isText := v.Text()
		_, isBool := v.Bool()
		_, isInt := v.Int()
		_, isSeconds := v.Seconds()
		_, isObject := v.Object()
		_, isArray := v.Array()
		// A string of digits is no number and the string "true" no boolean.
		require.Equal(t, strings.Contains("std", name), isText, name)
		require.Equal(t, strings.Contains("bf", name), isBool, name)
		require.Equal(t, name == "i", isInt, name)
		require.Equal(t, strings.Contains("ixme", name), isSeconds, name)
		require.Equal(t, name == "o", isObject, name)
		require.Equal(t, name == "a", isArray, name)
		require.Equal(t, name == "n", v.Absent(), name)
	}
	text, _ := o.Get("s").Text()
	require.Equal(t, "tæxt", text)
	yes, _ := o.Get("b").Bool()
	require.True(t, yes)
	no, _ := o.Get("f").Bool()
	require.False(t, no)
	array, _ := o.Get("a").Array()
	require.Len(t, array, 3)
	second, _ := array[1].Text()
	require.Equal(t, "2", second)
	require.Equal(t, `[1,"2",{}]`, o.Get("a").Raw())
	require.Equal(t, `"t\u00e6xt"`, o.Get("s").Raw())
	require.Empty(t, o.Get("missing").Raw())
	for _, missing := range []Value{{}, o.Get("n")} {
		_, isText := missing.Text()
		_, isBool := missing.Bool()
		_, isSeconds := missing.Seconds()
		_, isObject := missing.Object()
		_, isArray := missing.Array()
		require.False(t, isText || isBool || isSeconds || isObject || isArray)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	type number struct {
		value int64
		ok    bool
	}
	for text, want := range map[string]struct{ integer, seconds number }{
		"0":                    {number{0, true}, number{0, true}},
		"-0":                   {number{0, true}, number{0, true}},
		"1562262616":           {number{1562262616, true}, number{1562262616, true}},
		"-5":                   {number{-5, true}, number{-5, true}},
		"1562262616.0":         {number{}, number{1562262616, true}},
		"1562262616.999":       {number{}, number{1562262616, true}},
		"1.562262616e9":        {number{}, number{1562262616, true}},
		"-1.5":                 {number{}, number{-2, true}},
		"9007199254740991":     {number{9007199254740991, true}, number{9007199254740991, true}},
		"9007199254740994":     {number{}, number{}},
		"-9007199254740994":    {number{}, number{}},
		"9223372036854775807":  {number{}, number{}},
		"9223372036854775808":  {number{}, number{}},
		"-9223372036854775809": {number{}, number{}},
		"1e18":                 {number{}, number{}},
		"-1e18":                {number{}, number{}},
		"1e400":                {number{}, number{}},
		"-1e400":               {number{}, number{}},
		"1e-400":               {number{}, number{0, true}},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			v := object(t, `{"n":`+text+`}`).Get("n")
			n, ok := v.Int()
			require.Equal(t, want.integer, number{n, ok}, "Int")
			n, ok = v.Seconds()
			require.Equal(t, want.seconds, number{n, ok}, "Seconds")
		})
	}
}

func TestErrorsDoNotQuote(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"geheim":"geheim"`, `{"geheim":geheim}`, `{"geheim":1,"geheim":2}`, `geheim`, `{} geheim`} {
		_, err := ParseObject([]byte(text))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "geheim")
	}
}

// A value of any kind is read by the rules for an object.
func TestParseValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a":1}`, ` [ {"a":[]}, 2 ] `, `"a\u00e5"`, `-1.5e3`, `true`, `null`} {
		value, err := ParseValue([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, strings.TrimSpace(text), value.Raw())
	}
	list, err := ParseValue([]byte(`[1,{"a":2}]`))
	require.NoError(t, err)
	values, ok := list.Array()
	require.True(t, ok)
	require.Len(t, values, 2)
	for _, text := range []string{
		``, ` `, `[`, `[1,]`, `[1]x`, `[1][2]`, `nul`, `{"a":1,"a":2}`, `[{"a":{"b":1,"b":2}}]`, "\"\xff\"", `"\ud800"`, `01`, "\xef\xbb\xbf[]",
		strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2), strings.Repeat("1", maxNumber+1),
	} {
		_, err := ParseValue([]byte(text))
		require.ErrorIs(t, err, ErrJSON, text)
	}
}

func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"A":1,"a":2}`, `{"a":"\ud83d\udc8a"}`, `{"a":"\ud800"}`,
		`{"a":[1,2.5e3,-0,null,true,false,"x",{"b":[]}]}`, "{\"a\":\"\xff\"}", ` {"a" : [ ] } `, `{"a":01}`, `{"a":1e400}`,
		`{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, `{"a":"\"\\\/\b\f\n\r\t"}`, "{\"a\":\"\x7f\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, err := ParseObject(data)
		theirs, theirErr := decodeReference(data)
		if err != nil {
			require.ErrorIs(t, err, ErrJSON)
			// Whatever encoding/json takes we take, but for the rules that it
			// does not have.
			if theirErr == nil && theirs != nil {
				depth, duplicate := inspect(data)
				strict := !utf8.Valid(data) || hasLoneSurrogate(data) || depth > maxDepth+1 || duplicate || strings.Contains(err.Error(), "number that is too long")
				require.True(t, strict, "refused for no reason: %v", err)
			}
			return
		}
		require.NoError(t, theirErr, "encoding/json refuses what we accept")
		require.Len(t, ours.Names(), len(theirs))
		for _, name := range ours.Names() {
			expected, ok := theirs[name]
			require.True(t, ok, "encoding/json has no %q", name)
			requireSame(t, expected, ours.Get(name))
		}
	})
}

func decodeReference(data []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if !json.Valid(data) {
		return nil, ErrJSON
	}
	var out map[string]any
	err := decoder.Decode(&out)
	return out, err
}

func requireSame(t *testing.T, want any, got Value) {
	t.Helper()
	switch want := want.(type) {
	case nil:
		require.Equal(t, kindNull, got.kind)
	case bool:
		value, ok := got.Bool()
		require.True(t, ok)
		require.Equal(t, want, value)
	case json.Number:
		require.Equal(t, kindNumber, got.kind)
		require.Equal(t, string(want), got.Raw())
		if n, ok := got.Int(); ok {
			require.Equal(t, want.String() == "-0", n == 0 && want.String() != "0")
			if n != 0 {
				require.Equal(t, string(want), strconv.FormatInt(n, 10))
			}
		}
	case string:
		text, ok := got.Text()
		require.True(t, ok)
		require.Equal(t, want, text)
	case []any:
		values, ok := got.Array()
		require.True(t, ok)
		require.Len(t, values, len(want))
		for i := range want {
			requireSame(t, want[i], values[i])
		}
	case map[string]any:
		inner, ok := got.Object()
		require.True(t, ok)
		require.Len(t, inner.Names(), len(want))
		for name := range want {
			requireSame(t, want[name], inner.Get(name))
		}
	}
}

// inspect finds the depth of JSON, and whether it has duplicate names, with
// encoding/json's own tokens.
func inspect(data []byte) (depth int, duplicate bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	var walk func(level int)
	walk = func(level int) {
		token, err := decoder.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'):
			depth = max(depth, level)
			seen := map[string]bool{}
			for decoder.More() {
				name, err := decoder.Token()
				text, ok := name.(string)
				if err != nil || !ok {
					return
				}
				duplicate = duplicate || seen[text]
				seen[text] = true
				walk(level + 1)
			}
			_, _ = decoder.Token()
		case json.Delim('['):
			depth = max(depth, level)
			for decoder.More() {
				walk(level + 1)
			}
			_, _ = decoder.Token()
		}
	}
	walk(1)
	return depth, duplicate
}

// hasLoneSurrogate looks for an escaped surrogate that is not half of a pair,
// in text that is valid JSON.
func hasLoneSurrogate(data []byte) bool {
	unit := func(at int) (rune, bool) {
		if at+6 > len(data) || data[at] != '\\' || data[at+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(data[at+2:at+6]), 16, 32)
		return rune(n), err == nil
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		first, ok := unit(i)
		if !ok {
			i++
			continue
		}
		i += 5
		if !utf16.IsSurrogate(first) {
			continue
		}
		second, ok := unit(i + 1)
		if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}
