package dpop

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func nonceHeader(values ...string) http.Header {
	header := http.Header{}
	for _, value := range values {
		header.Add(NonceHeaderName, value)
	}
	return header
}

func TestNonces(t *testing.T) {
	t.Parallel()
	t.Run("T066 one nonce for an origin, whatever the path", func(t *testing.T) {
		t.Parallel()
		var nonces Nonces
		require.Empty(t, nonces.Get(parseURL(t, apiURI)))
		require.Equal(t, "n1", nonces.Observe(parseURL(t, apiURI), nonceHeader("n1")))
		for _, same := range []string{"https://api.example.no", "https://API.example.no:443/other?x#y"} {
			require.Equal(t, "n1", nonces.Get(parseURL(t, same)))
		}
		for _, other := range []string{"http://api.example.no/v1/things", "https://api.example.no:8443/", "https://sts.example.no/"} {
			require.Empty(t, nonces.Get(parseURL(t, other)))
		}
		require.Equal(t, "n2", nonces.Observe(parseURL(t, "https://api.example.no/other"), nonceHeader("n2")))
		require.Equal(t, "n2", nonces.Get(parseURL(t, apiURI)), "the newest wins")
	})
	t.Run("T067 the header in any case", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"DPoP-Nonce", "dpop-nonce", "DPOP-NONCE"} {
			var nonces Nonces
			header := http.Header{}
			header.Set(name, "n")
			require.Equal(t, "n", nonces.Observe(parseURL(t, apiURI), header))
		}
	})
	for name, header := range map[string]http.Header{
		"none":             {},
		"two":              nonceHeader("a", "b"),
		"the same twice":   nonceHeader("a", "a"),
		"empty":            nonceHeader(""),
		"space":            nonceHeader("a b"),
		"quote":            nonceHeader(`a"b`),
		"backslash":        nonceHeader(`a\b`),
		"control":          nonceHeader("a\x1fb"),
		"delete":           nonceHeader("a\x7fb"),
		"not ASCII":        nonceHeader("æ"),
		"one byte too big": nonceHeader(strings.Repeat("n", 1025)),
	} {
		t.Run("not usable: "+name, func(t *testing.T) {
			t.Parallel()
			var nonces Nonces
			require.Equal(t, "before", nonces.Observe(parseURL(t, apiURI), nonceHeader("before")))
			require.Empty(t, nonces.Observe(parseURL(t, apiURI), header))
			require.Equal(t, "before", nonces.Get(parseURL(t, apiURI)), "and what is known stays")
		})
	}
	for _, nonce := range []string{"!", "#[", "]~", strings.Repeat("n", 1024), "eyJ7S_zG.eyJH0-Z.HX4w-7v"} {
		var nonces Nonces
		require.Equal(t, nonce, nonces.Observe(parseURL(t, apiURI), nonceHeader(nonce)))
	}
	t.Run("256 origins, and the least recently used goes", func(t *testing.T) {
		t.Parallel()
		var nonces Nonces
		origin := func(i int) string { return fmt.Sprintf("https://host%d.example/", i) }
		for i := range maxOrigins {
			nonces.Observe(parseURL(t, origin(i)), nonceHeader("n"))
		}
		require.Equal(t, "n", nonces.Get(parseURL(t, origin(0)))) // used: 1 is now the oldest
		nonces.Observe(parseURL(t, origin(2)), nonceHeader("m"))  // renewed: so is 2
		nonces.Observe(parseURL(t, origin(1000)), nonceHeader("n"))
		nonces.Observe(parseURL(t, origin(1001)), nonceHeader("n"))
		require.Empty(t, nonces.Get(parseURL(t, origin(1))))
		require.Empty(t, nonces.Get(parseURL(t, origin(3))))
		require.Equal(t, "n", nonces.Get(parseURL(t, origin(0))))
		require.Equal(t, "m", nonces.Get(parseURL(t, origin(2))))
		require.Equal(t, maxOrigins, nonces.recent.Len())
		require.Len(t, nonces.entries, maxOrigins)
	})
	t.Run("concurrent use", func(t *testing.T) {
		t.Parallel()
		var nonces Nonces
		var group sync.WaitGroup
		for i := range 20 {
			u := parseURL(t, fmt.Sprintf("https://host%d.example/", i%5))
			group.Go(func() {
				for range 100 {
					nonces.Observe(u, nonceHeader("n"))
					nonces.Get(u)
				}
			})
		}
		group.Wait()
		require.Equal(t, 5, nonces.recent.Len())
	})
}

func FuzzObserveNonce(f *testing.F) {
	for _, nonce := range []string{"", "n", "a b", `"`, `\`, "\x7f", "æ", "a,b", strings.Repeat("n", 1025)} {
		f.Add(nonce)
	}
	f.Fuzz(func(t *testing.T, nonce string) {
		var nonces Nonces
		got := nonces.Observe(parseURL(t, apiURI), nonceHeader(nonce))
		require.Equal(t, got, nonces.Get(parseURL(t, apiURI)))
		if got == "" {
			return
		}
		// RFC 9449 section 8.1: 1*NQCHAR. It comes back as it was in a proof.
		require.Equal(t, nonce, got)
		require.LessOrEqual(t, len(got), maxNonceLength)
		for _, c := range []byte(got) {
			require.True(t, c == 0x21 || c >= 0x23 && c <= 0x5b || c >= 0x5d && c <= 0x7e)
		}
	})
}
