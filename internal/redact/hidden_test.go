package redact

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// With a verb that does not fit, fmt goes through one pointer, also in a field
// that is not exported. It must find none that leads to the value.
func TestHiddenIsNotWalked(t *testing.T) {
	t.Parallel()
	type holder struct {
		bytes  Hidden[[]byte]
		text   Hidden[string]
		inner  Hidden[struct{ Text string }]
		signer Hidden[any]
		list   []Hidden[map[string]string]
	}
	value := holder{Hide([]byte("secret")), HideText("secret"), Hide(struct{ Text string }{"secret"}), Hide[any]([]string{"secret"}), []Hidden[map[string]string]{Hide(map[string]string{"a": "secret"})}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%w", "%U", "%e", "%z"} {
		for _, printed := range []any{value, &value, []holder{value}, map[string]*holder{"a": &value}, struct{ value *holder }{&value}} {
			text := fmt.Sprintf(verb, printed)
			for _, form := range []string{"secret", "736563726574", "115 101 99"} {
				require.NotContains(t, text, form, verb)
			}
		}
	}
}

func TestHiddenReveals(t *testing.T) {
	t.Parallel()
	require.Equal(t, "secret", HideText("secret").Reveal())
	require.Equal(t, []byte("secret"), Hide([]byte("secret")).Reveal())
	require.Empty(t, Hidden[string]{}.Reveal())
	require.True(t, HideText("") == Hidden[string]{})
	hidden := HideText("secret")
	again := hidden
	require.True(t, hidden == again)
	one, two := HideText("secret"), HideText("secret")
	require.Equal(t, one, two) // for those who compare with reflect.DeepEqual
	require.NotEqual(t, HideText("secret"), HideText("other"))
}
