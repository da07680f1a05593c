package weblogin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/helseid"
)

// Web is the login of one application. It is safe for concurrent use and keeps
// nothing in memory: all is in the client's session store and in cookies.
type Web struct {
	config       Config
	callbackPath string
	cookies      cookies
	origins      *http.CrossOriginProtection
}

// New checks the configuration and reports all its mistakes at once (they wrap
// ErrConfig). It makes no network call.
func New(config Config) (*Web, error) {
	config, redirect, err := config.checked()
	if err != nil {
		return nil, err
	}
	origins := http.NewCrossOriginProtection()
	// Behind a proxy the Host header may be another than browsers see.
	if err := origins.AddTrustedOrigin((&url.URL{Scheme: redirect.Scheme, Host: redirect.Host}).String()); err != nil {
		return nil, err
	}
	return &Web{
		config:       config,
		callbackPath: redirect.Path,
		cookies:      newCookies(redirect, config.CookieName),
		origins:      origins,
	}, nil
}

// Router is what handlers can be mounted at, such as an *http.ServeMux.
type Router interface {
	Handle(pattern string, handler http.Handler)
}

// Mount adds the handlers: Config.LoginPath, Config.LogoutPath, the path of the
// redirect URI, and those of back-channel and front-channel logout if they are
// set. They look at the methods themselves.
func (w *Web) Mount(router Router) {
	router.Handle(w.config.LoginPath, http.HandlerFunc(w.serveLogin))
	router.Handle(w.callbackPath, http.HandlerFunc(w.serveCallback))
	router.Handle(w.config.LogoutPath, http.HandlerFunc(w.serveLogout))
	if path := w.config.BackChannelLogoutPath; path != "" {
		router.Handle(path, w.config.Client.BackChannelLogout())
	}
	if path := w.config.FrontChannelLogoutPath; path != "" {
		router.Handle(path, w.config.Client.FrontChannelLogout())
	}
}

type contextKey struct{}

// Session returns the session of the user who sent the request. It is nil where
// there is none, and where the request has passed neither Require nor Optional.
func Session(ctx context.Context) *helseid.Session {
	session, _ := ctx.Value(contextKey{}).(*helseid.Session)
	return session
}

// allow answers 405 to other methods than the one that a handler takes.
func allow(rw http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method {
		return true
	}
	rw.Header().Set("Allow", method)
	rw.WriteHeader(http.StatusMethodNotAllowed)
	return false
}

// private keeps an answer out of caches, so that the back button shows nothing of
// it after a logout.
func private(rw http.ResponseWriter) {
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Add("Vary", "Cookie")
}

// redirect sends the browser on without telling where it came from.
func redirect(rw http.ResponseWriter, target string) {
	rw.Header().Set("Location", target)
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.WriteHeader(http.StatusSeeOther)
}
