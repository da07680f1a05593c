package jose

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestObjectBuilder(t *testing.T) {
	t.Parallel()
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		var builder ObjectBuilder
		require.Equal(t, "{}", string(builder.Bytes()))
	})
	t.Run("members keep their order", func(t *testing.T) {
		t.Parallel()
		var builder ObjectBuilder
		builder.String("z", "1")
		builder.Int("a", -42)
		builder.Raw("m", `{"x":[1]}`)
		require.Equal(t, `{"z":"1","a":-42,"m":{"x":[1]}}`, string(builder.Bytes()))
	})
	// Whatever a caller passes must come out as one string, never as JSON of
	// its own.
	for _, value := range []string{
		"", "plain", `quo"te`, `back\slash`, "new\nline", "\x00\x1f\x7f", "æøå", "💊", `","admin":"true`, "<&>",
	} {
		t.Run("string "+value, func(t *testing.T) {
			t.Parallel()
			var builder ObjectBuilder
			builder.String(value, value)
			var back map[string]string
			require.NoError(t, json.Unmarshal(builder.Bytes(), &back))
			require.Equal(t, map[string]string{value: value}, back)
			strict := object(t, string(append(append([]byte(nil), builder.buf...), '}')))
			text, ok := strict.Get(value).Text()
			require.True(t, ok)
			require.Equal(t, value, text)
		})
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		random, err := base64.RawURLEncoding.DecodeString(id)
		require.NoError(t, err)
		// RFC 9449 section 4.2 wants 96 random bits or more.
		require.Len(t, random, 24)
		require.Len(t, id, 32)
		require.False(t, seen[id])
		seen[id] = true
	}
}
