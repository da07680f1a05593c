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

// DefaultMaxSessionAge is how long after the user has authenticated a session
// ends unless Config.MaxSessionAge says otherwise: a working day.
const DefaultMaxSessionAge = 8 * time.Hour

const minSessionAge = time.Minute

const defaultCookieName = "helseid-session"

// Config says how an application's users log in. Client is enough to start with,
// if its configuration names one redirect URI.
type Config struct {
	// Client logs the users in. Its Store keeps the sessions, and the keys
	// that logins under way are sealed with: with one that several processes share,
	// a login may start at one of them and end at another. Required.
	Client *helseid.Client

	// Login is what each login asks for. The path of its RedirectURI is the one
	// that the callback is mounted at, and its scheme decides about the cookies:
	// on plain http, which is for loopback only, they are neither Secure nor
	// named with the prefix __Host-.
	Login helseid.LoginRequest

	// Application tells this application's sessions and logins from those of others
	// that share the client: one that was made for another is not accepted, and ends
	// no login here. It must be the same in all processes and stay the same, or all
	// users log in anew. Empty means Login.Application, or else the redirect URI and
	// CookieName.
	Application string

	// PublicURL is the application's address as browsers see it, such as
	// "https://host.example.no/app", if a proxy takes a path prefix off. Its prefix
	// stands before each path that a browser is sent to: the paths here and in LoginURL
	// are those that the application sees, without it. The redirect URI, which must be
	// below it, is mounted at what is behind the prefix. Name it only if the proxy takes
	// the prefix off: within http.StripPrefix requests keep theirs. Empty means that
	// browsers see the same paths.
	PublicURL string

	// LoginPath and LogoutPath are the paths that start a login and end a session.
	// Empty means "/login" and "/logout".
	LoginPath, LogoutPath string

	// HomePath is where users go if there is nowhere to go back to. Empty means
	// "/".
	HomePath string

	// MaxSessionAge is how long after the user has authenticated (auth_time) a
	// session ends, however much it is used, in whole seconds and a minute at
	// least. Of HelseID's own session no use is made when nine tenths of that time
	// have passed: the user must authenticate anew (max_age). Zero means
	// Login.MaxSessionAge, or else DefaultMaxSessionAge.
	MaxSessionAge time.Duration

	// IdleTimeout is how long a session may go unused before it ends, in whole seconds:
	// each request with its cookie is a use. Zero means Login.IdleTimeout, or else any
	// time.
	IdleTimeout time.Duration

	// SamePerson looks at the person who has logged in before there is a session,
	// with the request of the callback. An application with users of its own must
	// make sure that both are the same person, as HelseID's security profile
	// demands: return an error if they are not. One that wraps
	// helseid.ErrUnavailable means that it could not be found out.
	SamePerson func(ctx context.Context, r *http.Request, user identity.User) error

	// PostLogoutRedirectURI is where HelseID sends the browser after a logout,
	// exactly as registered. Empty means the only registered one, if there is
	// just one.
	PostLogoutRedirectURI string

	// BackChannelLogoutPath and FrontChannelLogoutPath are where HelseID tells
	// that a user has logged out elsewhere, if they are registered for the client
	// (Sessions.BackChannelLogout, Sessions.FrontChannelLogout). Empty means that they
	// are not mounted.
	BackChannelLogoutPath, FrontChannelLogoutPath string

	// CookieName is the name of the session's cookie, before any prefix. Name it
	// if several applications share a host. Empty means "helseid-session".
	CookieName string

	// SameSiteStrict makes the session's cookie SameSite=Strict in place of Lax. A link
	// on another site, such as in an e-mail, then leads to a page behind Require by way
	// of the login path, and to one behind Optional as nobody. The callback, and the
	// login path where it is come to from another site, answer with a page that goes on
	// by itself, since browsers send no such cookie along a redirect that another site
	// has begun.
	SameSiteStrict bool

	// LogoutForm sends the browser to HelseID, for the logout, with a form that posts
	// itself in place of a redirect: the ID token, in which the user's identity number
	// may be, is in no URL and so in no history or log on the way. OpenID Connect
	// demands that both are taken (RP-Initiated Logout 1.0 section 2), and HelseID
	// documents the redirect only.
	LogoutForm bool

	// AllowFraming lets other pages show those behind Require and Optional in a frame,
	// as far as their handlers do. Without it they are answered with
	// "frame-ancestors 'none'" in a Content-Security-Policy, and X-Frame-Options, which
	// stays where a handler writes a policy of its own that says nothing about frames.
	AllowFraming bool

	// ErrorPage answers with a page that says what went wrong. Its status is
	// problem.Status unless it writes another one that is no success. Nil means a plain
	// page in Norwegian.
	ErrorPage func(w http.ResponseWriter, r *http.Request, problem Problem)

	// OnEvent, if set, is told of logins and what becomes of sessions, for the
	// application's audit log. It is called before the answer is written, in the
	// request's context; of a session that HelseID or the application ends, in that of
	// the call that ends it, or in another if that has met an outage. It must not
	// block, and may be called from several goroutines.
	OnEvent func(ctx context.Context, event Event)

	// Logger, if set, gets a line for each login and logout that fails (a login that
	// the user has cancelled is no warning), each page
	// that fails because the session store does, and each request that another
	// site's page has sent. No line holds a secret or anything about a person.
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
		{"MaxSessionAge", &c.MaxSessionAge, &c.Login.MaxSessionAge, DefaultMaxSessionAge},
		{"IdleTimeout", &c.IdleTimeout, &c.Login.IdleTimeout, 0},
	} {
		if *field.value != 0 && *field.login != 0 && *field.value != *field.login {
			fail("field %s is %v, and that of field Login %v: set one of them", field.name, *field.value, *field.login)
		}
		*field.value = cmp.Or(*field.value, *field.login, field.fallback)
		*field.login = *field.value // a session that is held ends too
	}
	if c.IdleTimeout < 0 || c.IdleTimeout%time.Second != 0 {
		fail("field IdleTimeout is %v: it must be whole seconds", c.IdleTimeout)
		c.Login.IdleTimeout = 0
	}
	// A session shall last for a while when it is new. A tenth is also more than
	// the leeway with which the ID token's auth_time is checked, so that no browser
	// is sent round in circles.
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

// nameApplication fills Application in. The redirect URI is the same wherever the
// application runs, and each has its own.
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

// checkPaths wants paths that are well-formed and different.
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

// isMountable accepts paths that mean the same to every router.
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
