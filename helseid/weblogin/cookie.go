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

// cookies names and writes the cookies: that of the session, which holds its id; one
// for each login under way, which holds the sealed login, so that tabs do not
// overwrite each other's; and that of the visit.
type cookies struct {
	secure  bool
	strict  bool   // the session's cookie is SameSite=Strict
	session string // name of the session's cookie
	login   string // prefix of the names of logins' cookies
	visit   string // name of the visit's cookie
}

const (
	loginCookieInfix = "-login-"
	visitCookieEnd   = "-visit"

	// maxLogins is how many logins one browser may have under way, and maxLoginBytes
	// how many bytes their cookies may have together. Otherwise users who open many
	// tabs, or often give up, would have more cookies than servers accept: many
	// servers accept 8 KiB in one header, and the application has cookies, too.
	maxLogins     = 8
	maxLoginBytes = 4 << 10

	// maxSealedLogin limits a login's cookie, in bytes: browsers accept 4096
	// including the name and attributes.
	maxSealedLogin = 3500

	// maxCookieValue limits how much is read of the other cookies, in bytes.
	maxCookieValue = 128
)

// newCookies names the cookies by the scheme of the redirect URI. With the prefix
// __Host- browsers do not share them with other hosts of the same domain. Over plain
// http that prefix is not possible, and cookies ignore ports: the port in the name
// separates applications on one machine.
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
	sameSite := http.SameSiteLaxMode // Strict would be missing when HelseID sends the browser back
	if c.strict && name == c.session {
		sameSite = http.SameSiteStrictMode
	}
	http.SetCookie(rw, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(maxAge / time.Second),
		Secure: c.secure, HttpOnly: true, SameSite: sameSite,
	})
}

func (c cookies) clear(rw http.ResponseWriter, name string) { c.set(rw, name, "", -time.Second) }

// value returns a cookie's value. A cookie that occurs twice was not only set by this
// application, and is ignored.
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

// loginName returns the name of the cookie of the login with this state.
func (c cookies) loginName(state string) string {
	sum := sha256.Sum256([]byte("cookie " + state))
	return c.login + hex.EncodeToString(sum[:8])
}

// logins returns the cookies of the browser's logins under way, the oldest first.
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

// setLogin sets the cookie of a login.
func (c cookies) setLogin(rw http.ResponseWriter, name, sealed string, maxAge time.Duration) {
	c.set(rw, name, loginValue(sealed), maxAge)
}

func loginValue(sealed string) string { return strconv.FormatInt(time.Now().Unix(), 10) + "." + sealed }

// sealedLogin returns the sealed login in such a cookie. The cookie also holds the
// time when the login was started, which is not sealed and only decides which cookie
// is removed first.
func (c cookies) sealedLogin(r *http.Request, name string) string {
	value, _ := c.value(r, name)
	_, sealed, _ := strings.Cut(value, ".")
	return sealed
}

// startLogin sets a cookie for a login, and clears the oldest ones if there are too
// many.
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

// clearLogins clears the cookies of all logins.
func (c cookies) clearLogins(rw http.ResponseWriter, r *http.Request) {
	for _, cookie := range c.logins(r) {
		c.clear(rw, cookie.Name)
	}
}
