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
)

// cookies names and writes the kinds of cookies: the session's, which holds its
// id; one for each login under way, which holds it, sealed, so that tabs do not
// overwrite each other's; and the one of a visit.
type cookies struct {
	secure  bool
	strict  bool   // the session's
	session string // name
	login   string // start of the names
	visit   string // name
}

const (
	loginCookieInfix = "-login-"
	visitCookieEnd   = "-visit"

	// maxLogins is how many logins one browser may have under way, and
	// maxLoginBytes how many bytes their cookies may have together. Users who open
	// many tabs, or give up often, would otherwise have more cookies than servers
	// accept: many take 8 KiB in one header, and the application has some of its
	// own.
	maxLogins     = 8
	maxLoginBytes = 4 << 10

	// maxSealedLogin bounds a login's cookie, in bytes: browsers take 4096 with
	// the name and all.
	maxSealedLogin = 3500

	// maxCookieValue bounds what is looked at of the other cookies, in bytes.
	maxCookieValue = 128
)

// newCookies names cookies by the scheme of the redirect URI. The prefix __Host-
// makes browsers keep them from other hosts of the same domain, and take none
// from them. Over plain http that is not to be had, and cookies do not heed
// ports: the port in the name keeps apart what runs on one machine.
func newCookies(redirect *url.URL, name string, strict bool) cookies {
	secure := strings.EqualFold(redirect.Scheme, "https")
	if secure {
		name = "__Host-" + name
	} else if port := redirect.Port(); port != "" {
		name += "-" + port
	}
	return cookies{secure: secure, strict: strict, session: name, login: name + loginCookieInfix, visit: name + visitCookieEnd}
}

func (c cookies) set(rw http.ResponseWriter, name, value string, maxAge time.Duration) {
	sameSite := http.SameSiteLaxMode // HelseID sends the browser back
	if c.strict && name == c.session {
		sameSite = http.SameSiteStrictMode
	}
	http.SetCookie(rw, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(maxAge / time.Second),
		Secure: c.secure, HttpOnly: true, SameSite: sameSite,
	})
}

func (c cookies) clear(rw http.ResponseWriter, name string) { c.set(rw, name, "", -time.Second) }

// value returns a cookie's value. One that comes twice was not set by this
// application alone, and is worth nothing.
func (c cookies) value(r *http.Request, name string) (value string, present bool) {
	limit := maxCookieValue
	if strings.HasPrefix(name, c.login) {
		limit = 2 * maxSealedLogin
	}
	found := r.CookiesNamed(name)
	switch {
	case len(found) == 0:
		return "", false
	case len(found) > 1 || len(found[0].Value) > limit:
		return "", true
	}
	return found[0].Value, true
}

// loginName is the name of the cookie of the login with this state.
func (c cookies) loginName(state string) string {
	sum := sha256.Sum256([]byte("cookie " + state))
	return c.login + hex.EncodeToString(sum[:8])
}

// logins are the cookies of the logins that a browser has under way, the oldest
// first.
func (c cookies) logins(r *http.Request) (found []*http.Cookie) {
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.login) {
			found = append(found, cookie)
		}
	}
	started := func(cookie *http.Cookie) int64 {
		text, _, _ := strings.Cut(cookie.Value, ".")
		seconds, _ := strconv.ParseInt(text, 10, 64)
		return seconds
	}
	slices.SortStableFunc(found, func(a, b *http.Cookie) int { return cmp.Compare(started(a), started(b)) })
	return found
}

// setLogin gives the browser the cookie of a login.
func (c cookies) setLogin(rw http.ResponseWriter, name, sealed string, maxAge time.Duration) {
	c.set(rw, name, loginValue(sealed), maxAge)
}

func loginValue(sealed string) string { return strconv.FormatInt(time.Now().Unix(), 10) + "." + sealed }

// sealedLogin is what is sealed in such a cookie. When the login was started is
// beside it, to tell which gives way; nothing else hangs on that.
func (c cookies) sealedLogin(r *http.Request, name string) string {
	value, _ := c.value(r, name)
	_, sealed, _ := strings.Cut(value, ".")
	return sealed
}

// startLogin gives the browser a cookie for a login, and takes back the oldest if
// it has too many.
func (c cookies) startLogin(rw http.ResponseWriter, r *http.Request, name, sealed string) {
	size := len(name) + len(loginValue(sealed))
	others := c.logins(r)
	slices.Reverse(others)
	c.setLogin(rw, name, sealed, helseid.LoginLifetime)
	for i, other := range others {
		if size += len(other.Name) + len(other.Value); i+1 >= maxLogins || size > maxLoginBytes {
			c.clear(rw, other.Name)
		}
	}
}

// clearLogins takes the cookies of all logins back.
func (c cookies) clearLogins(rw http.ResponseWriter, r *http.Request) {
	for _, cookie := range c.logins(r) {
		c.clear(rw, cookie.Name)
	}
}
