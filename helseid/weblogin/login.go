package weblogin

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

// The parameters of the login path.
const (
	parameterReturnTo = "return_to"
	parameterLevel    = "level"
	parameterPrompt   = "prompt"

	parameterAssurance = "assurance" // assuranceHigh, the only level that HelseID can be asked for
	assuranceHigh      = "high"
)

// demands are what a login must fulfil beyond Config.Login. Zero values demand
// nothing.
type demands struct {
	level     identity.SecurityLevel
	assurance identity.AssuranceLevel
	prompt    helseid.Prompt
}

// LoginURL returns the path, with its query, that starts a login, for a link or
// button, as browsers see it. The login is at this security level (0 for any) or the
// one in [Config.Login], whichever is higher, and leads back to returnTo, a local
// path. Anything else in returnTo leads to [Config.HomePath].
func (w *Web) LoginURL(returnTo string, level identity.SecurityLevel) string {
	return w.loginURL(w.returnTo(returnTo), demands{level: level})
}

func (w *Web) loginURL(returnTo string, wanted demands) string {
	query := url.Values{parameterReturnTo: {returnTo}}
	if wanted.level > 0 {
		query.Set(parameterLevel, strconv.Itoa(int(wanted.level)))
	}
	if wanted.assurance >= identity.AssuranceHigh {
		query.Set(parameterAssurance, assuranceHigh)
	}
	if wanted.prompt != "" {
		query.Set(parameterPrompt, string(wanted.prompt))
	}
	return w.outside(w.config.LoginPath) + "?" + query.Encode()
}

// serveLogin starts a login. The query can raise the level and require a new login,
// but never lower what the configuration requires.
func (w *Web) serveLogin(rw http.ResponseWriter, r *http.Request) {
	private(rw)
	unframed(rw)
	if !allow(rw, r, http.MethodGet, http.MethodHead) {
		return
	}
	query := r.URL.Query()
	returnTo := w.returnTo(query.Get(parameterReturnTo))
	request := w.config.Login
	request.SecurityLevel = max(request.SecurityLevel, parseLevel(query.Get(parameterLevel)))
	if query.Get(parameterAssurance) == assuranceHigh {
		request.AssuranceLevel = identity.AssuranceHigh
	}
	anew := helseid.Prompt(query.Get(parameterPrompt)) == helseid.PromptLogin
	if anew {
		request.Prompt = helseid.PromptLogin
	}
	pending := pendingLogin{ReturnTo: returnTo, Level: int(request.SecurityLevel), Assurance: int(request.AssuranceLevel)}
	if !isNavigation(r) {
		// Otherwise an image or script of another site could start thousands of logins.
		w.fail(rw, r, Problem{Kind: KindFailed, Status: http.StatusBadRequest, LoginURL: w.loginURL(returnTo, demands{})}, nil)
		return
	}
	if w.comeAgain(rw, r) {
		return
	}
	visit := w.visitOf(r)
	session, why, err := w.lookUp(rw, r)
	if err != nil {
		w.fail(rw, r, Problem{Kind: KindUnavailable, Status: http.StatusServiceUnavailable, LoginURL: w.loginURL(returnTo, demands{level: request.SecurityLevel, assurance: request.AssuranceLevel})}, err)
		return
	}
	if visit.isLoop() {
		if session != nil {
			why = LoopPage
		}
		w.endLoop(rw, r, visit, returnTo, why)
		return
	}
	if session != nil {
		user := session.User()
		pending.Previous = user.Subject
		enough := user.SecurityLevel >= request.SecurityLevel && user.AssuranceLevel >= request.AssuranceLevel && !anew
		switch elsewhere := r.Header.Get("Sec-Fetch-Site") != "same-origin" || query.Has(parameterAgain); {
		case elsewhere && enough && !visit.stayed:
			// Another site must not change who is logged in. If the page still requires a
			// login, it must be the same user's.
			visit.stayed = true
			w.setVisit(rw, visit)
			redirect(rw, w.outside(returnTo))
			return
		case elsewhere, anew, query.Has(parameterLevel), query.Has(parameterAssurance):
			pending.Subject = user.Subject // who steps up must be the person whose session it is
		}
	}
	w.startLogin(rw, r, request, pending, visit)
}

// startLogin sends the browser to HelseID, with the login in a cookie.
func (w *Web) startLogin(rw http.ResponseWriter, r *http.Request, request helseid.LoginRequest, pending pendingLogin, visit visit) {
	login, err := w.config.Client.StartLogin(r.Context(), request)
	if err != nil {
		w.loginFailed(rw, r, &pending, err)
		return
	}
	if pending.State, err = login.State.Encode(); err != nil {
		w.loginFailed(rw, r, &pending, err)
		return
	}
	pending.Trace = w.carriedTrace(r.Context())
	name := w.cookies.loginName(login.State.ID())
	sealed, err := w.sealLogin(r.Context(), name, pending)
	if err != nil {
		w.loginFailed(rw, r, &pending, err)
		return
	}
	w.cookies.startLogin(rw, r, name, sealed)
	w.setVisit(rw, visit)
	redirect(rw, login.URL)
}

func parseLevel(text string) identity.SecurityLevel {
	switch text {
	case "2", "3", "4":
		return identity.SecurityLevel(text[0] - '0')
	}
	return 0
}
