package dpop

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSameURI is the normalisation of RFC 3986 sections 6.2.2 and 6.2.3, which
// RFC 9449 section 4.3 asks for.
func TestSameURI(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{apiURI, apiURI},
		{apiURI, apiURI + "?a=b"},
		{apiURI, apiURI + "#c"},
		{apiURI, apiURI + "?a=b#c"},
		{apiURI, apiURI + "?"},
		{apiURI + "?x", apiURI + "?y"},
		{apiURI, "HTTPS://API.EXAMPLE.NO/v1/things"},
		{apiURI, "https://api.example.no:443/v1/things"},
		{apiURI, "https://api.example.no:/v1/things"},
		{"http://localhost/x", "http://localhost:80/x"},
		{"https://api.example.no", "https://api.example.no/"},
		{"https://api.example.no:443", "https://api.example.no/"},
		{"https://[2001:db8::1]/", "https://[2001:DB8::1]:443/"},
		{"https://[fe80::1%25eth0]/", "https://[fe80::1]/"},
		{"https://api.example.no/a%20b", "https://api.example.no/a%20b"},
		{"https://api.example.no/%41%7a", "https://api.example.no/Az"},
		{"https://api.example.no/a%2fb", "https://api.example.no/a%2Fb"},
		{"https://api.example.no/%7Euser", "https://api.example.no/~user"},
		{"https://api.example.no/%2D%2E%5F", "https://api.example.no/-._"},
		{"https://api.example.no/%c3%a6", "https://api.example.no/%C3%A6"},
		{"https://api.example.no/æ", "https://api.example.no/%C3%A6"},
		// The first and last of each range.
		{"https://api.example.no/%61%7a%41%5A%30%39", "https://api.example.no/azAZ09"},
		{"https://api.example.no/%4a%4F", "https://api.example.no/JO"},
		{"https://api.example.no/%0a%a0%f9%9f", "https://api.example.no/%0A%A0%F9%9F"},
	} {
		t.Run("T140 "+pair[0]+" and "+pair[1], func(t *testing.T) {
			t.Parallel()
			require.True(t, sameURI(pair[0], pair[1]))
			require.True(t, sameURI(pair[1], pair[0]))
		})
	}
	for _, pair := range [][2]string{
		{apiURI, "https://other.example.no/v1/things"},
		{apiURI, "http://api.example.no/v1/things"},
		{apiURI, "https://api.example.no:8443/v1/things"},
		{apiURI, "https://api.example.no:80/v1/things"},
		{"http://localhost/x", "http://localhost:443/x"},
		// An address without brackets is none, wherever its port may begin.
		{"https://:::1/", "https://[::]:1/"},
		{"https://2001:db8::1:443/", "https://[2001:db8::1]/"},
		{"https://api.example.no:x/", "https://api.example.no/"},
		{"https://api.example.no:-1/", "https://api.example.no:-1/"},
		// The path is case-sensitive: /Admin is not /admin.
		{"https://api.example.no/Admin", "https://api.example.no/admin"},
		{apiURI, apiURI + "/"},
		{apiURI, "https://api.example.no/v1/thing"},
		{apiURI, "https://api.example.no/v1//things"},
		{apiURI, "https://api.example.no/v1/./things"},
		{apiURI, "https://api.example.no/v1/x/../things"},
		{apiURI, "https://api.example.no/v1/things%20"},
		{apiURI, "https://api.example.no./v1/things"},
		// An encoded delimiter is not the delimiter.
		{"https://api.example.no/a/b", "https://api.example.no/a%2Fb"},
		{"https://api.example.no/a?b", "https://api.example.no/a%3Fb"},
		{"https://api.example.no/a%20b", "https://api.example.no/a+b"},
		{"https://api.example.no/a%252Fb", "https://api.example.no/a%2Fb"},
		{"https://api.example.no/a%2541", "https://api.example.no/aA"},
		// User information, other schemes, and what is no URL.
		{apiURI, "https://api.example.no@evil.example/v1/things"},
		{apiURI, "https://user@api.example.no/v1/things"},
		{"https://user@api.example.no/", "https://user@api.example.no/"},
		{apiURI, "//api.example.no/v1/things"},
		{apiURI, "/v1/things"},
		{apiURI, "api.example.no/v1/things"},
		{apiURI, "https:api.example.no/v1/things"},
		{apiURI, "https:///v1/things"},
		{apiURI, " " + apiURI},
		{apiURI, apiURI + " "},
		{apiURI, apiURI + "\n"},
		{apiURI, apiURI + "\x00"},
		{"https://api.example.no/a b", "https://api.example.no/a b"},
		{"https://api.example.no/a b", "https://api.example.no/a%20b"},
		{apiURI, ""},
		{"", ""},
		{"ftp://a/b", "ftp://a/b"},
		{"urn:a", "urn:a"},
		{"/a", "/a"},
		{"https://api.example.no/%", "https://api.example.no/%"},
		{"https://api.example.no/%zz", "https://api.example.no/%zz"},
		{"https://api.example.no/%/0", "https://api.example.no/%/0"},
		{"https://api.example.no/%:0", "https://api.example.no/%:0"},
		{"https://api.example.no/%@0", "https://api.example.no/%@0"},
		{"https://api.example.no/%G0", "https://api.example.no/%G0"},
		{"https://api.example.no/%`0", "https://api.example.no/%`0"},
		{"https://api.example.no/%0g", "https://api.example.no/%0g"},
		{"https://api.example.no/%0", "https://api.example.no/%0"},
		{"https://api.example.no/%7B", "https://api.example.no/%5B"},
		{"https://api.example.no:x/", "https://api.example.no:x/"},
		{"https://blåbær.example/", "https://blåbær.example/"},
		// Only an IPv6 address has a zone that may be cut off.
		{"https://api.example.no/x", "https://api.example.no%25.evil.example/x"},
		{"https://api.example.no/x", "https://api.example.no%25/x"},
		{"https://[2001:db8::1]/", "https://[2001:db8::2]/"},
		{"https://[fe80::1]/", "https://[fe80::1%0]/"},
		{"https://0/", "https://[0]/"},
		{"https://127.0.0.1/", "https://[127.0.0.1]/"},
		{"https://[127.0.0.1]/", "https://[127.0.0.1]/"},
		{"https://api.example.no/", "https://[api.example.no]/"},
		{"https://[fe80::1]/", "https://[fe80::1%eth0]/"},
		{"https://[fe80::1]/", "https://[fe80::1%25]/"},
	} {
		t.Run("T140 differ: "+pair[0]+" and "+pair[1], func(t *testing.T) {
			t.Parallel()
			require.False(t, sameURI(pair[0], pair[1]))
			require.False(t, sameURI(pair[1], pair[0]))
		})
	}
	long := apiURI + "/" + strings.Repeat("x", maxProof)
	require.True(t, sameURI(long[:maxProof], long[:maxProof]))
	require.False(t, sameURI(long[:maxProof+1], long[:maxProof+1]), "too long to look at")
}

func FuzzSameURI(f *testing.F) {
	for _, text := range []string{apiURI, apiURI + "?x#y", "https://A:443", "http://[::1%25x]/", "https://a%25b/", "https://a/%2f%41", "https://a/%", "", "//a", "https://u@a/"} {
		f.Add(text, apiURI)
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		same := sameURI(a, b)
		require.Equal(t, same, sameURI(b, a), "it goes both ways")
		if !same {
			return
		}
		require.True(t, sameURI(a, a))
		first, err := url.Parse(withoutQuery(a))
		require.NoError(t, err)
		second, err := url.Parse(withoutQuery(b))
		require.NoError(t, err)
		// Never across hosts, schemes or decoded paths, whatever the spelling.
		require.True(t, strings.EqualFold(first.Scheme, second.Scheme))
		require.Equal(t, plainHost(first.Hostname()), plainHost(second.Hostname()), "%q %q", a, b)
		require.Equal(t, strings.TrimPrefix(first.Path, "/"), strings.TrimPrefix(second.Path, "/"))
	})
}

func withoutQuery(text string) string {
	if end := strings.IndexAny(text, "?#"); end >= 0 {
		return text[:end]
	}
	return text
}

// plainHost is a host in lower case, and an IPv6 address in its canonical form
// and without zone (RFC 5952).
func plainHost(host string) string {
	if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
		return address.WithZone("").String()
	}
	return strings.ToLower(host)
}
