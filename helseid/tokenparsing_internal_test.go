package helseid

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidToken68(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{
		"a": true, "a==": true, "aA0-._~+/": true, "a====": true,
		"": false, "=": false, "a=b": false, "a b": false, "a\n": false, "a\r": false, "\ta": false, "a,b": false, "å": false, "a\x00": false, `a"`: false, "a:b": false,
	} {
		require.Equal(t, want, validToken68(token), "%q", token)
	}
}
