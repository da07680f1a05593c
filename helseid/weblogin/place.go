package weblogin

import (
	"errors"
	"net/url"
	"strings"
)

// place is where browsers see the application.
type place struct {
	redirect     *url.URL // where HelseID sends browsers back to
	callbackPath string   // its path, as the application sees it
	prefix       string   // of all paths; a proxy removes it
}

// newPlace requires that the callback is below the application's address, at a path
// that it can be mounted at.
func newPlace(publicURL string, redirect *url.URL) (place, error) {
	found := place{redirect: redirect, callbackPath: redirect.EscapedPath()}
	if publicURL != "" {
		u, err := url.Parse(publicURL)
		if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(publicURL, "?#") {
			return place{redirect: redirect}, errors.New("field PublicURL must be an absolute URL without query and fragment")
		}
		found.prefix = strings.TrimSuffix(u.EscapedPath(), "/")
		if found.prefix != "" && !isMountable(found.prefix) {
			return place{redirect: redirect}, errors.New("field PublicURL must have a clean path without escapes")
		}
		var below bool
		found.callbackPath, below = strings.CutPrefix(found.callbackPath, found.prefix)
		if !below || !strings.HasPrefix(found.callbackPath, "/") || origin(u) != origin(redirect) {
			return place{redirect: redirect}, errors.New("field PublicURL: the redirect URI is not below it")
		}
	}
	if !isMountable(found.callbackPath) {
		return place{redirect: redirect}, errors.New("field Login: field RedirectURI must have a path, without escapes, that the callback can be mounted at")
	}
	return found, nil
}

// outside returns a path as browsers see it.
func (p place) outside(path string) string { return p.prefix + path }
