package weblogin

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/jose"
)

// cookies names and writes the two kinds of cookies: the session's, which holds
// its id, and one for each login under way, which binds it to the browser that
// started it. A cookie for each login, so that tabs do not overwrite each
// other's.
type cookies struct {
	secure  bool
	session string // name
	login   string // start of the names
}

const (
	loginCookieInfix = "-login-"

	// maxLogins is how many logins one browser may have under way. Users who
	// open many tabs, or give up often, would otherwise have more cookies than
	// servers accept.
	maxLogins = 8

	// maxCookieValue bounds what is looked at, in bytes.
	maxCookieValue = 128
)

// newCookies names cookies by the scheme of the redirect URI. The prefix __Host-
// makes browsers keep them from other hosts of the same domain, and take none
// from them. Over plain http that is not to be had, and cookies do not heed
// ports: the port in the name keeps apart what runs on one machine.
func newCookies(redirect *url.URL, name string) cookies {
	secure := strings.EqualFold(redirect.Scheme, "https")
	if secure {
		name = "__Host-" + name
	} else if port := redirect.Port(); port != "" {
		name += "-" + port
	}
	return cookies{secure: secure, session: name, login: name + loginCookieInfix}
}

func (c cookies) set(rw http.ResponseWriter, name, value string, maxAge time.Duration) {
	http.SetCookie(rw, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(maxAge / time.Second),
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (c cookies) clear(rw http.ResponseWriter, name string) { c.set(rw, name, "", -time.Second) }

// value returns a cookie's value. One that comes twice was not set by this
// application alone, and is worth nothing.
func (c cookies) value(r *http.Request, name string) (value string, present bool) {
	found := r.CookiesNamed(name)
	switch {
	case len(found) == 0:
		return "", false
	case len(found) > 1 || len(found[0].Value) > maxCookieValue:
		return "", true
	}
	return found[0].Value, true
}

// loginName is the name of the cookie of the login with this state.
func (c cookies) loginName(state string) string {
	sum := sha256.Sum256([]byte("cookie " + state))
	return c.login + hex.EncodeToString(sum[:8])
}

// startLogin gives the browser a cookie for a login, and takes back the oldest if
// it has too many.
func (c cookies) startLogin(rw http.ResponseWriter, r *http.Request, state string) (value string) {
	type started struct {
		name string
		at   int64
	}
	var others []started
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.login) {
			at, _, _ := strings.Cut(cookie.Value, ".")
			seconds, _ := strconv.ParseInt(at, 10, 64)
			others = append(others, started{cookie.Name, seconds})
		}
	}
	slices.SortStableFunc(others, func(a, b started) int { return cmp.Compare(a.at, b.at) })
	for i := range max(0, len(others)-maxLogins+1) {
		c.clear(rw, others[i].name)
	}
	value = strconv.FormatInt(time.Now().Unix(), 10) + "." + jose.NewID()
	c.set(rw, c.loginName(state), value, helseid.LoginLifetime)
	return value
}
