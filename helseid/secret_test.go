package helseid_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	token := w.token(t)
	value := token.Access.Reveal()
	hidden := func(t *testing.T, text string) {
		t.Helper()
		for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), value[:40], value[len(value)-40:], value[len(value)/2 : len(value)/2+40]} {
			require.False(t, strings.Contains(text, form), "the token is in the text")
		}
	}
	type exported struct {
		Token  helseid.Token
		Secret identity.Secret
		Again  *helseid.Token
	}
	type unexported struct {
		token  helseid.Token
		secret identity.Secret
		again  *helseid.Token
	}
	values := map[string]any{
		"Token": *token, "*Token": token, "Secret": token.Access, "*Secret": &token.Access,
		"slice": []identity.Secret{token.Access}, "map": map[string]identity.Secret{"a": token.Access}, "key of a map": map[identity.Secret]int{token.Access: 1},
		"struct": exported{*token, token.Access, token}, "*struct": &exported{*token, token.Access, token},
		// fmt calls no method of a field that is not exported.
		"unexported fields": unexported{*token, token.Access, token}, "*unexported fields": &unexported{*token, token.Access, token},
		"interface": []any{token.Access, token},
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%t", "%e", "%U", "%10.3v", "%!"} {
				hidden(t, fmt.Sprintf(verb, value))
			}
			hidden(t, fmt.Sprint(value))
			hidden(t, fmt.Sprintln(value))
			hidden(t, fmt.Errorf("%w: %v", helseid.ErrUnavailable, value).Error())
			if text, err := json.Marshal(value); err == nil {
				hidden(t, string(text))
			}
			if text, err := xml.Marshal(value); err == nil {
				hidden(t, string(text))
			}
			for _, handler := range []func(*bytes.Buffer) slog.Handler{
				func(out *bytes.Buffer) slog.Handler { return slog.NewTextHandler(out, nil) },
				func(out *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(out, nil) },
			} {
				var out bytes.Buffer
				logger := slog.New(handler(&out)).With("with", value).WithGroup("group")
				logger.Info("message", "value", value, slog.Group("inner", slog.Any("x", value)))
				require.Contains(t, out.String(), "message")
				hidden(t, out.String())
			}
		})
	}
	// With a verb that does not fit, fmt calls no method either.
	for _, verb := range []string{"%p", "%w", "%*d", "%[2]d"} {
		t.Run("by mistake "+verb, func(t *testing.T) {
			t.Parallel()
			for name, value := range values {
				t.Log(name)
				hidden(t, fmt.Sprintf(verb, value))
				hidden(t, fmt.Errorf(verb, value).Error())
			}
		})
	}
	require.Equal(t, "[redacted]", token.Access.String())
	require.Equal(t, "[redacted]", fmt.Sprintf("%d", token.Access))
	require.Equal(t, "[redacted]", fmt.Sprint(identity.Secret{}))
	require.Empty(t, identity.Secret{}.Reveal())
	text, err := json.Marshal(token)
	require.NoError(t, err)
	require.Contains(t, string(text), `"Access":"[redacted]"`)
	require.NotEmpty(t, value)
	require.Len(t, strings.Split(value, "."), 3)
}

// What a test or a session store does with tokens.
func TestSecretsCompare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.token(t)
	first, second := w.token(t).Access, w.token(t).Access
	require.True(t, first == second)
	require.False(t, first == identity.Secret{})
}

func TestClientAndSourcePrintNoToken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		source := w.client.TokenSource(apiRequest)
		token, err := source.Token(t.Context())
		require.NoError(t, err)
		synctest.Wait() // printing reads what the flight may still be writing
		for _, value := range []any{w.client, source, w.client.HTTPClient(apiRequest), w.client.Transport(apiRequest)} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				require.NotContains(t, fmt.Sprintf(verb, value), token.Access.Reveal()[:40])
			}
		}
	})
}
