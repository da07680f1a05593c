package weblogin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/helseid-go/sdk/helseid"
)

// Web is the login of one application. It is safe for concurrent use. It keeps its
// data in the client's session store and in cookies.
type Web struct {
	*parts // so that no print verb reaches what Config.Login holds
}

type parts struct {
	config Config
	place
	cookies   cookies
	origins   *http.CrossOriginProtection
	keys      *keyring
	deflaters sync.Pool // of *flate.Writer
}

// New checks the configuration and reports all its mistakes at once (they wrap
// [ErrConfig]). It makes no network call.
func New(config Config) (*Web, error) {
	config, at, err := config.checked()
	if err != nil {
		return nil, err
	}
	origins := http.NewCrossOriginProtection()
	// Behind a proxy the Host header may differ from what browsers see.
	if err := origins.AddTrustedOrigin(origin(at.redirect)); err != nil {
		return nil, fmt.Errorf("%w: field Login: field RedirectURI: %w", ErrConfig, err)
	}
	w := &Web{&parts{
		config:  config,
		place:   at,
		cookies: newCookies(at.redirect, config.CookieName, config.SameSiteStrict),
		origins: origins,
		keys:    newKeyring(config.Client),
	}}
	if !w.fitsCookie(at.redirect.String()) {
		return nil, fmt.Errorf("%w: field Login: the scopes and resources do not fit a cookie: name fewer", ErrConfig)
	}
	if config.OnEvent != nil {
		config.Client.Sessions().OnEnd(config.Application, w.tellEnd)
	}
	return w, nil
}

// origin returns a URL's origin as browsers write it: in lower case, without the
// default port.
func origin(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	for of, port := range map[string]string{"https": ":443", "http": ":80"} {
		if scheme == of {
			host = strings.TrimSuffix(host, port)
		}
	}
	return scheme + "://" + host
}

// Router accepts handlers for patterns such as "GET /login", like an
// [*http.ServeMux].
type Router interface {
	Handle(pattern string, handler http.Handler)
}

// Mount adds the handlers: [Config.LoginPath], [Config.LogoutPath], the path of the
// redirect URI, and those of back-channel and front-channel logout if they are set.
// The patterns have methods, so that a pattern such as "GET /" for a home page does
// not conflict with them.
func (w *Web) Mount(router Router) {
	mount := func(path string, handler http.Handler) {
		router.Handle(http.MethodGet+" "+path, handler)
		router.Handle(http.MethodPost+" "+path, handler) // each handler refuses the wrong method
	}
	mount(w.config.LoginPath, http.HandlerFunc(w.serveLogin))
	mount(w.callbackPath, http.HandlerFunc(w.serveCallback))
	mount(w.config.LogoutPath, http.HandlerFunc(w.serveLogout))
	if path := w.config.BackChannelLogoutPath; path != "" {
		mount(path, w.config.Client.Sessions().BackChannelLogout())
	}
	if path := w.config.FrontChannelLogoutPath; path != "" {
		mount(path, w.config.Client.Sessions().FrontChannelLogout())
	}
}

type contextKey struct{}

// Session returns the session of the user who sent the request. It is nil if there is
// none, or if the request has passed neither [Web.Require] nor [Web.Optional].
func Session(ctx context.Context) *helseid.Session {
	session, _ := ctx.Value(contextKey{}).(*helseid.Session)
	return session
}

// allow answers 405 to methods that a handler does not accept.
func allow(rw http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	rw.Header().Set("Allow", strings.Join(methods, ", "))
	rw.WriteHeader(http.StatusMethodNotAllowed)
	return false
}

// private keeps an answer out of caches, so that the back button does not show it
// after a logout.
func private(rw http.ResponseWriter) {
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Add("Vary", "Cookie")
}

// unframed keeps an answer out of other pages' frames. A handler's own policy
// replaces the header set here, and also X-Frame-Options if it contains
// frame-ancestors.
func unframed(rw http.ResponseWriter) {
	rw.Header().Add("Content-Security-Policy", "frame-ancestors 'none'")
	rw.Header().Set("X-Frame-Options", "DENY")
}

// redirect sends the browser on without telling where it came from.
func redirect(rw http.ResponseWriter, target string) {
	rw.Header().Set("Location", target)
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.WriteHeader(http.StatusSeeOther)
}
