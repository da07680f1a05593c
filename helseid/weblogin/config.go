package weblogin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	defaultMaxSessionAge = 8 * time.Hour // a working day
	minSessionAge        = time.Minute

	defaultCookieName = "helseid-session"
)

// Config says how an application's users log in. Client alone is enough if its
// configuration names one redirect URI.
type Config struct {
	// Client logs the users in. Its Store keeps the sessions, and the keys that seal
	// logins under way: if several processes share the Store, a login may start at
	// one of them and finish at another. Required.
	Client *helseid.Client

	// Login is what each login asks for. The callback is mounted at the path of its
	// RedirectURI, whose scheme also decides about the cookies: with plain http,
	// which is only for loopback, they are neither Secure nor named with the prefix
	// __Host-.
	Login helseid.LoginRequest

	// Application distinguishes this application's sessions and logins from those of
	// others that share the client: one that was made for another application is not
	// accepted, and finishes no login here. It must be the same in all processes and
	// never change, or all users must log in again. Empty means Application of Login, or
	// else the redirect URI and CookieName.
	Application string

	// PublicURL is the application's address as browsers see it, such as
	// "https://host.example.no/app", if a proxy removes a path prefix. All paths that
	// a browser is sent to get that prefix; the paths here and in [Web.LoginURL] are
	// those that the application sees, without it. The redirect URI must be below
	// this address, and is mounted at its path without the prefix. Set it only if the
	// proxy removes the prefix: within [http.StripPrefix] requests keep theirs. Empty
	// means that browsers see the same paths.
	PublicURL string

	// LoginPath and LogoutPath are the paths that start a login and end a session.
	// Empty means "/login" and "/logout".
	LoginPath, LogoutPath string

	// HomePath is where users go if there is no page to go back to. Empty means "/".
	HomePath string

	// MaxSessionAge is how long after the user's authentication (auth_time) a session
	// ends, no matter how much it is used, in whole seconds and at least a minute.
	// When nine tenths of that time have passed, HelseID's own session is not used
	// for a login any more: the user must authenticate again (max_age). Zero means
	// MaxSessionAge of Login, or else 8 hours.
	MaxSessionAge time.Duration

	// IdleTimeout is how long a session may be unused before it ends, in whole
	// seconds: each request with its cookie is a use. Zero means IdleTimeout of Login,
	// or else no limit.
	IdleTimeout time.Duration

	// SamePerson checks the person who has logged in before a session is made, with
	// the request of the callback. An application with users of its own must make
	// sure that both are the same person, as HelseID's security profile requires:
	// return an error if they are not. An error that wraps [helseid.ErrUnavailable]
	// means that this could not be found out.
	SamePerson func(ctx context.Context, r *http.Request, user identity.User) error

	// PostLogoutRedirectURI is where HelseID sends the browser after a logout,
	// exactly as registered. Empty means the registered one, if there is exactly one.
	PostLogoutRedirectURI string

	// BackChannelLogoutPath and FrontChannelLogoutPath are where HelseID reports that
	// a user has logged out elsewhere, if they are registered for the client
	// ([helseid.Sessions.BackChannelLogout], [helseid.Sessions.FrontChannelLogout]).
	// Empty means that they are not mounted.
	BackChannelLogoutPath, FrontChannelLogoutPath string

	// CookieName is the name of the session's cookie, without any prefix. Set it if
	// several applications share a host. Empty means "helseid-session".
	CookieName string

	// SameSiteStrict makes the session's cookie SameSite=Strict instead of Lax.
	// Browsers then send no cookie with a link on another site, such as in an e-mail,
	// and with the redirects that follow it. So a page behind Require sends the
	// browser to the login path first, and a page behind Optional sees no user. The
	// callback, and the login path when the browser comes from another site, answer
	// with a page that continues by itself, and the browser sends its cookie from
	// there.
	SameSiteStrict bool

	// LogoutForm sends the browser to HelseID for the logout with a form that submits
	// itself, instead of a redirect. So the ID token, which may contain the user's
	// identity number, is in no URL, and in no history or log on the way. OpenID
	// Connect requires that both are accepted (RP-Initiated Logout 1.0 section 2),
	// but HelseID only documents the redirect.
	LogoutForm bool

	// AllowFraming lets other pages show those behind Require and Optional in a
	// frame, as far as their handlers do. Without it they are answered with
	// "frame-ancestors 'none'" in a Content-Security-Policy, and with
	// X-Frame-Options, which remains if a handler writes its own policy that says
	// nothing about frames.
	AllowFraming bool

	// ErrorPage answers with a page that says what went wrong. Its status is
	// problem.Status unless it writes another one that is not a success. Nil means a
	// simple page in Norwegian.
	ErrorPage func(w http.ResponseWriter, r *http.Request, problem Problem)

	// OnEvent, if set, is called for logins and for what happens to sessions, for the
	// application's audit log. It is called before the answer is written, in the
	// request's context. For a session that HelseID or the application ends, the
	// context is that of the call that ends it, or another one if the end had to be
	// retried. It must not block, and may be called from several goroutines.
	OnEvent func(ctx context.Context, event Event)

	// Tracer, if set, makes one trace of a login's start and its end. Between the two,
	// the browser is at HelseID.
	Tracer Tracer

	// Logger, if set, gets a line for each login and logout that fails (a login that
	// the user has cancelled is not a warning), each page that fails because of the
	// session store, and each request from a page of another site. No line contains a
	// secret or anything about a person.
	Logger *slog.Logger
}

// ErrConfig is wrapped by every error about the configuration.
var ErrConfig = words("weblogin: configuration")

// words makes an error whose text may stand in a log. It keeps the name of an
// internal package out of the documentation of errors.
func words(text string) error { return redact.Words(text) }

// checked returns the configuration with its defaults filled in, and where browsers
// see the application. It reports all mistakes at once.
func (c Config) checked() (Config, place, error) {
	var errs []error
	fail := func(format string, values ...any) { errs = append(errs, fmt.Errorf(format, values...)) }
	for _, field := range []struct {
		value    *string
		fallback string
	}{{&c.LoginPath, "/login"}, {&c.LogoutPath, "/logout"}, {&c.HomePath, "/"}, {&c.CookieName, defaultCookieName}} {
		if *field.value == "" {
			*field.value = field.fallback
		}
	}
	for _, field := range []struct {
		name         string
		value, login *time.Duration
		fallback     time.Duration
	}{
		{"MaxSessionAge", &c.MaxSessionAge, &c.Login.MaxSessionAge, defaultMaxSessionAge},
		{"IdleTimeout", &c.IdleTimeout, &c.Login.IdleTimeout, 0},
	} {
		if *field.value != 0 && *field.login != 0 && *field.value != *field.login {
			fail("field %s is %v, and that of field Login %v: set one of them", field.name, *field.value, *field.login)
		}
		*field.value = cmp.Or(*field.value, *field.login, field.fallback)
		*field.login = *field.value // so that a Session that a handler keeps ends, too
	}
	if c.IdleTimeout < 0 || c.IdleTimeout%time.Second != 0 {
		fail("field IdleTimeout is %v: it must be whole seconds", c.IdleTimeout)
		c.Login.IdleTimeout = 0
	}
	// A new session must last for a while. A tenth is also more than the tolerance with
	// which the ID token's auth_time is checked, so that no browser is redirected for ever.
	useful := (c.MaxSessionAge - c.MaxSessionAge/10).Truncate(time.Second)
	if c.MaxSessionAge < minSessionAge || c.MaxSessionAge%time.Second != 0 {
		fail("field MaxSessionAge is %v: it must be whole seconds, and %v at least", c.MaxSessionAge, minSessionAge)
		c.Login.MaxSessionAge = 0
	} else if c.Login.MaxAge == 0 || c.Login.MaxAge > useful {
		c.Login.MaxAge = useful
	}
	redirect := &url.URL{}
	if c.Client == nil {
		fail("field Client is required: make it with helseid.New")
	} else if text, err := c.Client.ValidateLogin(c.Login); err != nil {
		fail("field Login: %w", err)
	} else if redirect, err = url.Parse(text); err != nil { // unreachable: the client has read it
		fail("field Login: field RedirectURI cannot be read")
	} else {
		c.nameApplication(text, fail)
	}
	at, err := newPlace(c.PublicURL, redirect)
	if err != nil && redirect.Host != "" {
		errs = append(errs, err)
	}
	c.checkPaths(at.callbackPath, fail)
	if _, ok := localPath(c.HomePath); !ok {
		fail("field HomePath: %q is not a path on this host such as /start", c.HomePath)
	} else if home, _, _ := strings.Cut(c.HomePath, "?"); home == c.LoginPath || home == c.LogoutPath || home == at.callbackPath {
		fail("field HomePath: %q is the path of the login, the logout or the callback", c.HomePath)
	}
	if !isToken(c.CookieName) || strings.HasPrefix(c.CookieName, "__") {
		fail("field CookieName: %q is not a name of up to 64 letters, digits, - and _, which the prefix is put before", c.CookieName)
	}
	if c.PostLogoutRedirectURI != "" {
		target, err := url.Parse(c.PostLogoutRedirectURI)
		if err != nil || httpx.CheckSecure(target) != nil {
			fail("field PostLogoutRedirectURI must be https, or http on a loopback host")
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, place{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ErrorPage == nil {
		c.ErrorPage = writeProblem
	}
	return c, at, nil
}

// nameApplication sets Application if it is empty. Each application has its own
// redirect URI, which is the same in all its processes.
func (c *Config) nameApplication(redirectURI string, fail func(string, ...any)) {
	if c.Application != "" && c.Login.Application != "" && c.Application != c.Login.Application {
		fail("field Application is %q, and field Login: field Application %q: set one of them", c.Application, c.Login.Application)
	}
	c.Application = cmp.Or(c.Application, c.Login.Application, redirectURI+" "+c.CookieName)
	c.Login.Application = c.Application
	if _, err := c.Client.ValidateLogin(c.Login); err != nil {
		fail("field Application: %w", err)
	}
}

// checkPaths requires well-formed and different paths.
func (c Config) checkPaths(callbackPath string, fail func(string, ...any)) {
	taken := make(map[string]string)
	if callbackPath != "" {
		taken[callbackPath] = "the path of the redirect URI"
	}
	for _, field := range []struct {
		name, path string
		optional   bool
	}{
		{"LoginPath", c.LoginPath, false},
		{"LogoutPath", c.LogoutPath, false},
		{"BackChannelLogoutPath", c.BackChannelLogoutPath, true},
		{"FrontChannelLogoutPath", c.FrontChannelLogoutPath, true},
	} {
		switch {
		case field.optional && field.path == "":
			continue
		case !isMountable(field.path):
			fail("field %s: %q is not a path such as /login, clean and without escapes and wildcards", field.name, field.path)
		case taken[field.path] != "":
			fail("field %s: %q is %s already", field.name, field.path, taken[field.path])
		default:
			taken[field.path] = "field " + field.name
		}
	}
}

// isMountable accepts paths that every router understands in the same way.
func isMountable(text string) bool {
	return len(text) > 1 && text[0] == '/' && path.Clean(text) == text && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`%{}*?#:\`, r)
	})
}

const maxCookieName = 64

func isToken(name string) bool {
	return name != "" && len(name) <= maxCookieName && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
