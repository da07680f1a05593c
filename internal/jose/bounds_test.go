package jose

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func manyMembers(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `"m%d":0,`, i)
	}
	return "{" + strings.TrimSuffix(out.String(), ",") + "}"
}

// What a stranger sends holds a bounded number of values, at all levels together;
// other documents are bounded by their length.
func TestBoundedValues(t *testing.T) {
	t.Parallel()
	list := func(n int) string { return `{"l":[` + strings.TrimSuffix(strings.Repeat("0,", n), ",") + `]}` }
	nested := func(n int) string { return `{"l":[` + strings.TrimSuffix(strings.Repeat(`{"a":0},`, n), ",") + `]}` }
	for name, test := range map[string]struct {
		document string
		header   bool // whether it is good as one
		claims   bool
	}{
		"a header's members":    {manyMembers(maxHeaderValues), true, true},
		"one more":              {manyMembers(maxHeaderValues + 1), false, true},
		"a payload's members":   {manyMembers(maxClaimValues), false, true},
		"one more than those":   {manyMembers(maxClaimValues + 1), false, false},
		"a header's elements":   {list(maxHeaderValues - 1), true, true},
		"one element more":      {list(maxHeaderValues), false, true},
		"a payload's elements":  {list(maxClaimValues - 1), false, true},
		"one more than that":    {list(maxClaimValues), false, false},
		"both levels count":     {nested((maxClaimValues - 1) / 2), false, true},
		"and are too many here": {nested(maxClaimValues / 2), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCompact(segment(test.document)+"."+segment("{}")+".AAAA", 1<<20)
			require.Equal(t, test.header, err == nil)
			compact, err := ParseHeader(segment("{}")+"."+segment(test.document)+".AAAA", 1<<20)
			require.NoError(t, err)
			_, err = compact.Claims()
			require.Equal(t, test.claims, err == nil)
			require.Equal(t, test.claims, compact.Peek(func(Object) error { return nil }, "m1") == nil)
			_, err = ParseObject([]byte(test.document))
			require.NoError(t, err)
		})
	}
}

// Peek is as strict as Claims about what it does not show.
func TestPeek(t *testing.T) {
	t.Parallel()
	peek := func(payload string, names ...string) (Object, error) {
		compact, err := ParseHeader(segment("{}")+"."+payload+".AAAA", 10_000)
		require.NoError(t, err)
		require.Empty(t, compact.Payload)
		var seen Object
		err = compact.Peek(func(object Object) error { seen = object; return nil }, names...)
		return seen, err
	}
	object, err := peek(segment(`{"a":1,"\u0062":"\u0078","c":{"a":2}}`), "a", "b")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, object.Names())
	for _, payload := range []string{
		segment(`{"a":1,"x":1,"x":2}`), segment(`{"a":1,"x":1,"\u0078":2}`), segment(`{"a":1}x`), segment(`[]`), segment(`{"a":1,"x":[}`),
		"QR", "Q", "e30\n", "e30=", "",
	} {
		_, err := peek(payload, "a")
		require.Error(t, err, payload)
	}
	compact, err := ParseHeader(segment("{}")+"."+segment("{}")+".AAAA", 10_000)
	require.NoError(t, err)
	failure := errors.New("refused")
	require.ErrorIs(t, compact.Peek(func(Object) error { return failure }), failure)
}

// A number has no more digits than it can need, and is not read to its end.
func TestEndlessNumbers(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		strings.Repeat("9", maxNumber):              true,
		strings.Repeat("9", maxNumber+1):            false,
		"-" + strings.Repeat("9", maxNumber):        false,
		"0." + strings.Repeat("3", maxNumber-2):     true,
		"0." + strings.Repeat("3", maxNumber):       false,
		"1e" + strings.Repeat("0", maxNumber):       false,
		"1." + strings.Repeat("0", 10_000) + "e+01": false,
	} {
		_, err := ParseObject([]byte(`{"n":` + text + `}`))
		require.Equal(t, good, err == nil, text)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`"a"`:            {"a"},
		`[]`:             {},
		`["a","\u0062"]`: {"a", "b"},
		`["a","b","c"]`:  nil,
		`["a",1]`:        nil,
		`{}`:             nil,
		`1`:              nil,
	} {
		object, err := ParseObject([]byte(`{"v":` + text + `}`))
		require.NoError(t, err)
		texts, ok := object.Get("v").Texts(2)
		require.Equal(t, want != nil, ok, text)
		if ok {
			require.Equal(t, want, texts, text)
		}
	}
}

// What has been decoded for one document does not show up in another.
func TestScratchIsNotShared(t *testing.T) {
	t.Parallel()
	first, err := ParseObject([]byte(`{"\u0061b":1,"\u0061c":2}`))
	require.NoError(t, err)
	for range 100 {
		_, err := ParseObject([]byte(`{"\u0078y":1,"\u0078z":2,"q":{"\u0078y":1}}`))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"ab", "ac"}, first.Names())
}
