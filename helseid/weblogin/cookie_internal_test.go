package weblogin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A cookie that is longer than any that is set here is there and worth nothing: it is
// neither opened nor looked up in the store.
func TestLongCookies(t *testing.T) {
	t.Parallel()
	c := newCookies(&url.URL{Scheme: "https", Host: "ehr.example.no"}, defaultCookieName, false)
	for name, limit := range map[string]int{
		c.session: maxCookieValue, c.visit: maxCookieValue, c.loginName("state"): 2 * maxSealedLogin,
	} {
		for length, want := range map[int]string{limit: strings.Repeat("x", limit), limit + 1: "", 100 * limit: ""} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.AddCookie(&http.Cookie{Name: name, Value: strings.Repeat("x", length)})
			value, present := c.value(r, name)
			require.True(t, present, name)
			require.Equal(t, want, value, "%s of %d bytes", name, length)
		}
	}
}
