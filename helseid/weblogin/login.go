package weblogin

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// The parameters of the login path.
const (
	parameterReturnTo = "return_to"
	parameterLevel    = "level"
	parameterPrompt   = "prompt"
)

// LoginURL returns the path, with its query, that starts a login for a link or
// button: at this security level (0 for any) or the one in Config.Login, whichever
// is higher, and back to returnTo, a local path. What is no such path leads to
// Config.HomePath.
func (w *Web) LoginURL(returnTo string, level tokenvalidation.SecurityLevel) string {
	return w.loginURL(w.returnTo(returnTo), level, "")
}

func (w *Web) loginURL(returnTo string, level tokenvalidation.SecurityLevel, prompt helseid.Prompt) string {
	query := url.Values{parameterReturnTo: {returnTo}}
	if level > 0 {
		query.Set(parameterLevel, strconv.Itoa(int(level)))
	}
	if prompt != "" {
		query.Set(parameterPrompt, string(prompt))
	}
	return w.config.LoginPath + "?" + query.Encode()
}

// serveLogin starts a login. A query can raise the level and demand a new login,
// never less than the configuration does.
func (w *Web) serveLogin(rw http.ResponseWriter, r *http.Request) {
	private(rw)
	if !allow(rw, r, http.MethodGet) {
		return
	}
	query := r.URL.Query()
	returnTo := w.returnTo(query.Get(parameterReturnTo))
	request := w.config.Login
	request.SecurityLevel = max(request.SecurityLevel, parseLevel(query.Get(parameterLevel)))
	if helseid.Prompt(query.Get(parameterPrompt)) == helseid.PromptLogin {
		request.Prompt = helseid.PromptLogin
	}
	pending := pendingLogin{ReturnTo: returnTo, Level: int(request.SecurityLevel)}
	if !isNavigation(r) {
		// An image or script of another site would start logins by the thousand.
		w.fail(rw, r, Problem{Kind: KindFailed, Status: http.StatusBadRequest, LoginURL: w.loginURL(returnTo, 0, "")}, nil)
		return
	}
	// Who steps up must be the person whose session it is.
	if query.Has(parameterLevel) {
		session, err := w.lookUp(rw, r)
		if err != nil {
			w.fail(rw, r, Problem{Kind: KindUnavailable, Status: http.StatusServiceUnavailable, LoginURL: w.loginURL(returnTo, request.SecurityLevel, "")}, err)
			return
		}
		if session != nil && session.User().SecurityLevel < request.SecurityLevel {
			pending.Subject = session.User().Subject
		}
	}
	login, err := w.config.Client.StartLogin(r.Context(), request)
	if err != nil {
		w.loginFailed(rw, r, &pending, err)
		return
	}
	pending.Browser = hash(w.cookies.startLogin(rw, r, login.State.ID()))
	if err := w.keep(r.Context(), login.State, pending); err != nil {
		w.loginFailed(rw, r, &pending, err)
		return
	}
	redirect(rw, login.URL)
}

func parseLevel(text string) tokenvalidation.SecurityLevel {
	switch text {
	case "2", "3", "4":
		return tokenvalidation.SecurityLevel(text[0] - '0')
	}
	return 0
}
