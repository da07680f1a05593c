package doctor

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	granted := []string{"nhn:kjernejournal/api", "nhn:demo-api/read", "nhn:demo-api/write"}
	for scope, want := range map[string]string{
		"nhn:demo-api/raed":     "nhn:demo-api/read",
		"NHN:demo-api/write":    "nhn:demo-api/write",
		"nhn:kjernejournal.api": "nhn:kjernejournal/api",
		"nhn:sfm/api":           "",
		"":                      "",
	} {
		require.Equal(t, want, nearest(scope, granted), scope)
	}
	require.Equal(t, 3, editDistance("kitten", "sitting"))
	require.Equal(t, 4, editDistance("", "four"))
}

// A date is of whole seconds, and a cache's answer is older than it looks.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 500_000_000, time.UTC)
	for _, test := range []struct {
		date, age string
		ahead     time.Duration
		ok        bool
	}{
		{date: "Mon, 04 May 2026 12:00:00 GMT", ok: true},
		{date: "Mon, 04 May 2026 11:58:50 GMT", ahead: 70 * time.Second, ok: true},
		{date: "Mon, 04 May 2026 12:01:10 GMT", ahead: -70 * time.Second, ok: true},
		{date: "Mon, 04 May 2026 11:58:50 GMT", age: "70", ok: true},
		{date: "Mon, 04 May 2026 11:58:50 GMT", age: "x", ahead: 70 * time.Second, ok: true},
		{date: "yesterday"},
		{},
	} {
		ahead, ok := clockAhead(http.Header{"Date": {test.date}, "Age": {test.age}}, now)
		require.Equal(t, test.ok, ok, test.date)
		require.Equal(t, test.ahead, ahead, test.date)
	}
}

// What is no identifier may be a key, and a URL may hold a password or a person.
func TestShown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a-client", plain("a-client"))
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----", "two words", "line\nline", string(make([]byte, 100))} {
		require.NotContains(t, plain(text), "BEGIN")
		require.Contains(t, plain(text), "characters)")
	}
	target, err := url.Parse("https://user:password@api.example.no/a%2Fb?patient=1#part")
	require.NoError(t, err)
	require.Equal(t, "https://api.example.no/a%2Fb", address(target))
}

func TestIsTest(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"helseid-sts.test.nhn.no": true, "api-test.nhn.no": true, "helseid-sts.nhn.no": false, "protest.nhn.no": false, "latest.nhn.no": false,
	} {
		require.Equal(t, want, isTest(host), host)
	}
}

// An API of another environment than the issuer's is the first suspect.
func TestOtherEnvironmentsAPI(t *testing.T) {
	t.Parallel()
	for target, suspect := range map[string]bool{
		"https://api.kj.nhn.no": true, "https://api.kj.test.nhn.no": false, "https://api.example.no": false,
	} {
		s := &state{token: &helseid.Token{}}
		var err error
		s.issuer, err = url.Parse(helseid.Test.Issuer())
		require.NoError(t, err)
		s.target, err = url.Parse(target)
		require.NoError(t, err)
		require.Equal(t, suspect, strings.Contains(s.tokenRemedies(answer{})[0], "another environment"), target)
	}
}
