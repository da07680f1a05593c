package weblogin

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// maxReturnTo limits the path to go back to, in bytes, because it is kept in a
// cookie.
const maxReturnTo = 1024

// localPath accepts only what every reader understands as a path on this host: an
// absolute path, perhaps with a query. Browsers treat backslashes as slashes and
// ignore control characters, so neither is accepted, not even escaped, and no two
// slashes in a row.
func localPath(text string) (string, bool) {
	if text == "" || text[0] != '/' || len(text) > maxReturnTo {
		return "", false
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }) {
		return "", false
	}
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || u.Path == "" || u.Path[0] != '/' {
		return "", false
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return "", false
	}
	if clean := path.Clean(u.Path); strings.Contains(u.Path, "//") || clean != u.Path && clean+"/" != u.Path {
		return "", false // also /./ and /../, and all of them escaped
	}
	return text, true
}

// returnTo returns where to go after a login: a local path that is not one of the
// login itself, or else the home path.
func (w *Web) returnTo(text string) string {
	target, ok := localPath(text)
	if !ok {
		return w.config.HomePath
	}
	u, err := url.Parse(target)
	if err != nil { // unreachable: localPath has read it
		return w.config.HomePath
	}
	switch u.Path {
	case w.config.LoginPath, w.config.LogoutPath, w.callbackPath:
		return w.config.HomePath
	}
	return target
}

// here returns the path of a request, to come back to. It uses the request line as
// the browser sent it, even if the path has been shortened for a handler.
func (w *Web) here(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return w.config.HomePath
	}
	if target, ok := localPath(r.RequestURI); ok {
		return w.returnTo(target)
	}
	return w.returnTo(r.URL.RequestURI())
}
