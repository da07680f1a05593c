package httpx

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

func TestCheckSecure(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"https://helseid-sts.nhn.no", "https://helseid-sts.nhn.no:8443/connect/token?a=b", "HTTPS://EXAMPLE.NO",
		"http://localhost", "http://localhost:5000/x", "http://127.0.0.1:1", "http://127.8.9.10/", "http://[::1]:80/", "HTTP://localhost/",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, CheckSecure(parse(t, text)))
		})
	}
	for _, text := range []string{
		"http://example.no", "http://10.0.0.1/", "http://192.168.1.1", "http://0.0.0.0", "http://[::]", "http://128.0.0.1",
		"http://localhost.example.no", "http://127.0.0.1.example.no", "http://localhost.", "http://[::ffff:127.0.0.1]",
		"http://[::1%25lo]/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[fe80::1]/",
		"ftp://localhost", "ws://localhost", "//localhost", "file:///etc/passwd",
		// The host is behind the at sign.
		"http://localhost@example.no/", "http://127.0.0.1:80@example.no/",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			require.Error(t, CheckSecure(parse(t, text)))
		})
	}
	for _, text := range []string{"", "/path", "localhost:80", "https:", "https:///path", "https:opaque", "https://:443/"} {
		t.Run("no host: "+text, func(t *testing.T) {
			t.Parallel()
			require.Error(t, CheckSecure(parse(t, text)))
		})
	}
	for _, text := range []string{
		"https://bl\u00e5b\u00e6r.example.no", "https://ap\u0130.example.no", "https://\u212aelvin.example.no", "https://te\u017ft.example.no",
		"https://ap%C4%B0.example.no", "https://api.example.no\uff0fevil", "https://api\u3002example.no",
		"http://loc\u0430lhost", "https://api\u200b.example.no", "https://[fe80::1%25\u0130]/",
	} {
		t.Run("not ASCII: "+text, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, CheckSecure(parse(t, text)), errNotASCII)
		})
	}
	for _, u := range []*url.URL{{Scheme: "http\u017f", Host: "example.no"}, {Scheme: "http\u017f", Host: "localhost"}, {Scheme: "https", Host: "\xff.example.no"}} {
		require.Error(t, CheckSecure(u))
		require.False(t, IsPlainLoopback(u))
	}

	require.Error(t, CheckSecure(nil))
	require.ErrorIs(t, CheckSecure(parse(t, "http://example.no")), ErrInsecureURL)
}

func TestIsPlainLoopback(t *testing.T) {
	t.Parallel()
	require.True(t, IsPlainLoopback(parse(t, "http://localhost:1/")))
	require.True(t, IsPlainLoopback(parse(t, "http://[::1]/")))
	require.False(t, IsPlainLoopback(parse(t, "https://localhost/")))
	require.False(t, IsPlainLoopback(parse(t, "http://example.no/")))
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://example.no":                  "https://example.no:443",
		"https://example.no:443/x?y#z":        "https://example.no:443",
		"HTTPS://Example.NO/":                 "https://example.no:443",
		"http://example.no":                   "http://example.no:80",
		"http://example.no:443":               "http://example.no:443",
		"https://example.no:80":               "https://example.no:80",
		"https://example.no:8443":             "https://example.no:8443",
		"https://[2001:DB8::1]/":              "https://[2001:db8::1]:443",
		"https://[2001:db8::1]:444/":          "https://[2001:db8::1]:444",
		"https://user:password@example.no/":   "https://example.no:443",
		"https://example.no:443@evil.example": "https://evil.example:443",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, Origin(parse(t, text)))
		})
	}
	for _, hosts := range [][2]string{
		{"api.example.no", "ap\u0130.example.no"}, {"api.example.no", "ap\u0131.example.no"}, {"kelvin.no", "\u212aelvin.no"},
		{"test.no", "te\u017ft.no"}, {"xn--nxasmq6b.no", "\u03c3\u03c2.no"}, {"\u00e5.no", "\u00c5.no"}, {"\u00e5.no", "\u212b.no"}, {"\xff.no", "\xfe.no"},
	} {
		first, second := &url.URL{Scheme: "https", Host: hosts[0]}, &url.URL{Scheme: "https", Host: hosts[1]}
		require.NotEqual(t, Origin(first), Origin(second), "%q and %q", hosts[0], hosts[1])
	}
	require.NotEqual(t, Origin(&url.URL{Scheme: "https", Host: "a"}), Origin(&url.URL{Scheme: "http\u017f", Host: "a"}))
}
