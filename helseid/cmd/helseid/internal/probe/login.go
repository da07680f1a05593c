package probe

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
)

// login is what a login has brought.
type login struct {
	access, refresh string
	lifetime        jose.Value // rt_expires_in
	members         []string   // of the token response
}

var loginQuestions = []question{
	{
		"login_response", "What is the ID token called in a token response, and what else is there?", "with -login: a user logs in; the report has names of members",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.logIn(ctx); err != nil {
				return found, err
			}
			for _, name := range l.session.members {
				found.seen = append(found.seen, shown(name))
			}
			found.text = "none"
			for _, name := range []string{"identity_token", "id_token"} {
				if slices.Contains(l.session.members, name) {
					found.text = name
				}
			}
			return found, nil
		},
	},
	{
		"userinfo_scheme", "Which scheme does the UserInfo endpoint take for a token that is bound to a key?", "with -login: a user logs in; two requests to UserInfo, with DPoP and with Bearer",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.logIn(ctx); err != nil {
				return found, err
			}
			endpoint, err := l.document.Endpoint("userinfo_endpoint")
			if err != nil {
				return found, err
			}
			proof, err := l.proof(ctx, http.MethodGet, endpoint.String(), l.session.access, attempt{})
			if err != nil {
				return found, err
			}
			bound, err := l.call(ctx, http.MethodGet, endpoint.String(), http.Header{"Authorization": {"DPoP " + l.session.access}, "Dpop": {proof}}, "")
			if err != nil {
				return found, err
			}
			bearer, err := l.call(ctx, http.MethodGet, endpoint.String(), http.Header{"Authorization": {"Bearer " + l.session.access}}, "")
			found.see("DPoP", bound)
			found.see("Bearer", bearer)
			switch {
			case bound.ok() && bearer.ok():
				found.text = "both"
			case bound.ok():
				found.text = "DPoP"
			case bearer.ok():
				found.text = "Bearer"
			default:
				found.text = "neither"
			}
			return found, err
		},
	},
	{
		"refresh_lifetime", "How long does a refresh token live?", "with -login: nothing more than the login",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.needRefreshToken(ctx); err != nil {
				return found, err
			}
			found.text = "not told"
			if lifetime, ok := l.session.lifetime.Seconds(); ok {
				found.text = fmt.Sprintf("rt_expires_in is %d s", lifetime)
			}
			return found, nil
		},
	},
	{
		"refresh_key", "Can a refresh use another DPoP key than the login did?", "with -login: a refresh with a new DPoP key",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.needRefreshToken(ctx); err != nil {
				return found, err
			}
			other, err := jose.GenerateKey()
			if err != nil {
				return found, err
			}
			got, err := l.refresh(ctx, l.session.refresh, other)
			found.see("another key", got)
			found.text = yesNo(got.ok())
			return found, err
		},
	},
	{
		"refresh_reuse", "Can a refresh token be used twice?", "with -login: a refresh token is used twice, and then the one that the first use has brought; the login is ended",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if err := l.needRefreshToken(ctx); err != nil {
				return found, err
			}
			old := l.session.refresh
			first, err := l.refresh(ctx, old, nil)
			if err != nil {
				return found, err
			}
			found.see("first use", first)
			replaced := l.session.refresh != old
			again, err := l.refresh(ctx, old, nil)
			if err != nil {
				return found, err
			}
			found.see("second use", again)
			found.text = yesNo(again.ok())
			if !replaced {
				found.text += "; it is not replaced by another one"
			} else {
				newer, err := l.refresh(ctx, l.session.refresh, nil)
				if err != nil {
					return found, err
				}
				found.see("the one that the first use has brought", newer)
				if !newer.ok() {
					found.text += "; the second use ends those that came after it"
				}
			}
			ended, err := l.try(ctx, attempt{endpoint: "revocation_endpoint", form: url.Values{"token": {l.session.refresh}, "token_type_hint": {"refresh_token"}}, noProof: true})
			found.see("revocation, to end the login", ended)
			return found, err
		},
	},
}

// needRefreshToken logs in if nobody has, and reports that there is no refresh token.
func (l *lab) needRefreshToken(ctx context.Context) error {
	err := l.logIn(ctx)
	if err == nil && l.session.refresh == "" {
		err = notAskedError("the login has brought no refresh token: the client is not granted offline_access")
	}
	return err
}

// refresh uses a refresh token, and keeps the one that it brings.
func (l *lab) refresh(ctx context.Context, token string, proofKey *jose.Key) (reply, error) {
	got, err := l.try(ctx, attempt{form: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, proofKey: proofKey})
	if next := got.text("refresh_token"); err == nil && got.ok() && next != "" {
		l.session.refresh = next
	}
	return got, err
}

// loginTimeout is how long a person may take.
const loginTimeout = 10 * time.Minute

// logIn lets a person log in, once.
func (l *lab) logIn(ctx context.Context) error {
	switch {
	case !l.login:
		return needsLogin
	case l.session != nil:
		return nil
	}
	p, err := l.pushForm("openid", "offline_access")
	if err != nil {
		return err
	}
	got, err := l.push(ctx, p)
	if err == nil && got.code == "invalid_scope" {
		if p, err = l.pushForm("openid"); err == nil {
			got, err = l.push(ctx, p)
		}
	}
	if err != nil {
		return err
	}
	if !got.ok() {
		return notAskedError(fmt.Sprintf("the login cannot start: PAR answers %v", got))
	}
	code, err := l.waitForCode(ctx, p, got.text("request_uri"))
	if err != nil {
		return err
	}
	got, err = l.try(ctx, attempt{form: url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect.String()}, "code_verifier": {p.verifier},
	}})
	if err != nil {
		return err
	}
	if !got.ok() {
		return notAskedError(fmt.Sprintf("the code is not redeemed: %v", got))
	}
	l.session = &login{access: got.text("access_token"), refresh: got.text("refresh_token"), lifetime: got.body.Get("rt_expires_in"), members: got.body.Names()}
	return nil
}

// waitForCode listens at the redirect URI until the browser comes back.
func (l *lab) waitForCode(ctx context.Context, p *pushed, requestURI string) (string, error) {
	start, err := l.document.Endpoint("authorization_endpoint")
	if err != nil {
		return "", err
	}
	start.RawQuery = url.Values{"client_id": {l.config.ClientID}, "request_uri": {requestURI}}.Encode()
	port := p.redirect.Port()
	if port == "" {
		port = "80"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(p.redirect.Hostname(), port))
	if err != nil {
		return "", notAskedError("the address of the redirect URI cannot be listened on: port " + port)
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = listener.Close()
		return "", notAskedError("localhost is another machine's name here")
	}
	came := make(chan url.Values, 1)
	server := &http.Server{Handler: callback(p, came), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = server.Serve(listener) }()
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(stopping) // so that the browser gets its page
	}()
	l.note("log in as a test user, in a browser on this machine: %s", start)
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	select {
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", notAskedError("nobody has logged in")
		}
		return "", ctx.Err()
	case values := <-came:
		if values.Get("code") == "" {
			return "", notAskedError("the login has failed: " + shown(values.Get("error")))
		}
		return values.Get("code"), nil
	}
}

// callback takes the browser's one return with the state of this login.
func callback(p *pushed, came chan<- url.Values) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		values := r.URL.Query()
		if !httpx.IsLoopback(host) || r.URL.Path != p.redirect.EscapedPath() || subtle.ConstantTimeCompare([]byte(values.Get("state")), []byte(p.state)) != 1 {
			http.NotFound(w, r)
			return
		}
		select {
		case came <- values:
		default: // the browser has come back before
		}
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "You can close this window.\n")
	})
}
