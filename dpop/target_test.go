package dpop

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTargetURI(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://api.example.no/v1/things":               apiURI,
		"https://api.example.no/v1/things?a=b":           apiURI,
		"https://api.example.no/v1/things#c":             apiURI,
		"https://api.example.no/v1/things?a=b&c=d#e?f":   apiURI,
		"https://api.example.no/v1/things?":              apiURI,
		"https://user:password@api.example.no/v1/things": apiURI,
		"HTTPS://API.Example.NO:443/v1/things":           apiURI,
		"https://api.example.no:/v1/things":              apiURI,
		"https://api.example.no":                         "https://api.example.no/",
		"https://api.example.no?asdasd":                  "https://api.example.no/",
		"https://api.example.no/V1/Things":               "https://api.example.no/V1/Things",
		"https://api.example.no:8443/x":                  "https://api.example.no:8443/x",
		"https://api.example.no:80/x":                    "https://api.example.no:80/x",
		"http://localhost:80/x":                          "http://localhost/x",
		"http://localhost:443/x":                         "http://localhost:443/x",
		"http://127.0.0.1:5000/x":                        "http://127.0.0.1:5000/x",
		"https://[2001:DB8::1]/x":                        "https://[2001:db8::1]/x",
		"https://[2001:db8::1]:443/x":                    "https://[2001:db8::1]/x",
		"https://[2001:db8::1]:444/x":                    "https://[2001:db8::1]:444/x",
		"https://[fe80::1%25eth0]/x":                     "https://[fe80::1]/x",
		"https://api.example.no/a%20b":                   "https://api.example.no/a%20b",
		"https://api.example.no/a b":                     "https://api.example.no/a%20b",
		"https://api.example.no/a%2Fb":                   "https://api.example.no/a%2Fb",
		"https://api.example.no/a%3Fb":                   "https://api.example.no/a%3Fb",
		"https://api.example.no/a%23b":                   "https://api.example.no/a%23b",
		"https://api.example.no/%C3%A6":                  "https://api.example.no/%C3%A6",
		"https://api.example.no/æ":                       "https://api.example.no/%C3%A6",
		"https://api.example.no/a//b/":                   "https://api.example.no/a//b/",
		"https://api.example.no/a/../b":                  "https://api.example.no/a/../b",
		"https://xn--blbr-roah.example/":                 "https://xn--blbr-roah.example/",
	} {
		t.Run("T042 "+text, func(t *testing.T) {
			t.Parallel()
			got, err := targetURI(parseURL(t, text), "")
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	t.Run("T043 a query on a bare host", func(t *testing.T) {
		t.Parallel()
		got, err := targetURI(parseURL(t, "https://test?asdasd"), "")
		require.NoError(t, err)
		require.Equal(t, "https://test/", got)
	})
	t.Run("the Host header wins", func(t *testing.T) {
		t.Parallel()
		got, err := targetURI(parseURL(t, "https://10.0.0.1:8443/x"), "API.example.no:443")
		require.NoError(t, err)
		require.Equal(t, "https://api.example.no/x", got)
	})
	for name, u := range map[string]*url.URL{
		"nil":                   nil,
		"empty":                 {},
		"relative":              {Path: "/x"},
		"no scheme":             {Host: "api.example.no", Path: "/"},
		"ftp":                   {Scheme: "ftp", Host: "api.example.no", Path: "/"},
		"no host":               {Scheme: "https", Path: "/"},
		"port only":             {Scheme: "https", Host: ":443", Path: "/"},
		"opaque":                {Scheme: "https", Opaque: "//api.example.no/x"},
		"opaque with host":      {Scheme: "https", Host: "api.example.no", Opaque: "x"},
		"path without slash":    {Scheme: "https", Host: "api.example.no", Path: "x"},
		"host not ASCII":        {Scheme: "https", Host: "blåbær.example", Path: "/"},
		"space in the host":     {Scheme: "https", Host: "api example.no", Path: "/"},
		"line feed in the host": {Scheme: "https", Host: "api\n.example.no", Path: "/"},
		// Only an IPv6 address has a zone; cutting one off a name would make a
		// proof for another host.
		"percent in a name": {Scheme: "https", Host: "api.example.no%.evil.example", Path: "/"},
		"slash in the host": {Scheme: "https", Host: "api.example.no/admin", Path: "/"},
		"query in the host": {Scheme: "https", Host: "api.example.no/x?", Path: "/"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			got, err := targetURI(u, "")
			require.Error(t, err, got)
		})
	}
}

// TestTargetURIIsWhatTheServerSees compares with what net/http sends.
func TestTargetURIIsWhatTheServerSees(t *testing.T) {
	t.Parallel()
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = "http://" + r.Host + r.URL.EscapedPath()
	}))
	defer server.Close()
	for _, path := range []string{
		"", "/", "/a%20b", "/a b", "/a%2Fb", "/a%2fb", "/%C3%A6", "/æ", "/a+b", "/a%2Bb", "/a;b=c", "/a/../b", "/a/./b", "//a", "/a//b/",
		"/%41", "/~x", "/%7Ex", "/a%25b", "/a?x=/y", "/a%3Fb?c", "/!$&'()*+,;=:@", "/[x]", "/a|b", "/a\"b", "/{id}",
	} {
		u := parseURL(t, server.URL+path)
		want, err := targetURI(u, "")
		require.NoError(t, err)
		resp, err := http.Get(u.String()) //nolint:gosec // the test's own server
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.True(t, sameURI(want, seen), "%s: proof for %s, server saw %s", path, want, seen)
	}
}

func FuzzTargetURI(f *testing.F) {
	for _, text := range []string{
		apiURI, "https://api.example.no", "http://[::1]:80/a?b#c", "https://[fe80::1%25eth0]/", "https://a%25b/", "https://a/%zz", "https://a/%",
		"https://u:p@a/b", "https:opaque", "https://A:443/%41", "https://æ/", "https://a/æ ", "https://a:b/", "//a/b", "https://a/?%",
	} {
		f.Add(text, "")
		f.Add(apiURI, strings.TrimPrefix(text, "https://"))
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		htu, err := targetURI(u, host)
		if err != nil {
			return
		}
		require.NotContains(t, htu, "?")
		require.NotContains(t, htu, "#")
		for i := range len(htu) {
			require.True(t, htu[i] > ' ' && htu[i] <= '~', "%q", htu)
		}
		if host != "" {
			return // a Host is the caller's own; only the rules above hold
		}
		require.True(t, strings.HasPrefix(htu, "https://") || strings.HasPrefix(htu, "http://"))
		// It is the same request, and canonical already.
		again, err := url.Parse(htu)
		if err != nil {
			return
		}
		second, err := targetURI(again, "")
		require.NoError(t, err)
		require.Equal(t, htu, second)
		require.Equal(t, u.EscapedPath(), strings.TrimSuffix(again.EscapedPath(), map[bool]string{true: "/"}[u.Path == ""]))
		require.Equal(t, plainHost(u.Hostname()), plainHost(again.Hostname()))
	})
}
