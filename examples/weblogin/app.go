package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

//go:embed pages.html
var pagesSource string

var (
	homePage   = parsePage(pagesSource + `{{define "content"}}{{template "home" .}}{{end}}`)
	mePage     = parsePage(pagesSource + `{{define "content"}}{{template "me" .}}{{end}}`)
	strongPage = parsePage(pagesSource + `{{define "content"}}{{template "strong" .}}{{end}}`)
)

// application is the web application.
type application struct {
	web           *weblogin.Web
	client        *helseid.Client
	report        *report
	issuer        string
	callback      string // path
	api           string
	scopes        []string
	resources     []string
	organizations []organization
}

func (a *application) routes() http.Handler {
	mux := http.NewServeMux()
	a.web.Mount(mux)
	mux.Handle("GET /{$}", a.web.Optional(a.home))
	mux.Handle("GET /me", a.web.Require(a.me))
	mux.Handle("GET /call", a.web.Require(a.call))
	mux.Handle("POST /sessions", a.web.Require(a.endSessions))
	mux.Handle("GET /strong", a.web.RequireLevel(identity.SecurityLevel4, a.strong))
	return a.tell(mux)
}

// tell prints the outcome of logins and logouts. 303 is a success: the browser was
// redirected.
func (a *application) tell(next http.Handler) http.Handler {
	events := map[string]struct{ name, words string }{
		"/login":   {"login_started", "start of a login"},
		a.callback: {"login_ended", "end of a login"},
		"/logout":  {"logout", "logout"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, known := events[r.URL.Path]
		if !known {
			next.ServeHTTP(w, r)
			return
		}
		watched := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watched, r)
		a.report.say(map[string]any{"event": event.name, "status": watched.status}, "%s: status %d", event.words, watched.status)
	})
}

// statusWriter remembers the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// view holds what all pages show.
type view struct {
	Heading string
	User    *identity.User
	Login   string
}

func (a *application) view(r *http.Request, heading string) view {
	v := view{Heading: heading, Login: a.web.LoginURL("/me", 0)}
	if session := weblogin.Session(r.Context()); session != nil {
		user := session.User()
		v.User = &user
	}
	return v
}

// write shows a page. Its forms lead to this application, and the logout form on to
// HelseID.
func (a *application) write(w http.ResponseWriter, status int, page string, data any) {
	sources := []string{"'self'"}
	if issuer, err := url.Parse(a.issuer); err == nil {
		sources = append(sources, (&url.URL{Scheme: issuer.Scheme, Host: issuer.Host}).String())
	}
	template := mePage
	switch page {
	case "home":
		template = homePage
	case "strong":
		template = strongPage
	}
	writePage(w, status, template, data, sources...)
}

func (a *application) home(w http.ResponseWriter, r *http.Request) {
	a.write(w, http.StatusOK, "home", a.view(r, "Demojournal"))
}

func (a *application) strong(w http.ResponseWriter, r *http.Request) {
	a.write(w, http.StatusOK, "strong", a.view(r, "Bare for nivå 4"))
}

// meView is the page about the user.
type meView struct {
	view
	HasNumber     bool
	Until         string
	Sessions      []string
	Organizations []organization
	Chosen        organization
	API           string
	Problem       string
	Answer        *answer
	Token         *tokenView
	IDToken       string
}

// answer is the response of the API.
type answer struct {
	Status int
	Text   string
}

type tokenView struct {
	Type, Until, Claims string
	Scopes              []string
}

func (a *application) me(w http.ResponseWriter, r *http.Request) {
	chosen, err := a.organization(r.URL.Query())
	a.show(w, r, chosen, nil, err)
}

// call sends a request to the API, for the user and the organisation. It changes
// nothing, so it is a GET, and the back button works without a confirmation.
func (a *application) call(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		// A link on another site, or the end of a login, leads to the page with the
		// button only.
		http.Redirect(w, r, "/me", http.StatusSeeOther)
		return
	}
	chosen, err := a.organization(r.URL.Query())
	if err != nil || a.api == "" {
		a.show(w, r, chosen, nil, err)
		return
	}
	result, err := a.ask(r.Context(), weblogin.Session(r.Context()), chosen)
	status := 0
	if result != nil {
		status = result.Status
	}
	a.report.say(map[string]any{"event": "call", "status": status}, "the API answered with status %d", status)
	if errors.Is(err, helseid.ErrLoginRequired) {
		http.Redirect(w, r, a.web.LoginURL("/me", 0), http.StatusSeeOther)
		return
	}
	if err != nil {
		a.report.warn("the call failed: " + err.Error())
	}
	a.show(w, r, chosen, result, err)
}

// maxShown bounds the part of a response that is shown, in bytes.
const maxShown = 64 << 10

// callTimeout bounds a call to the API, since a user is waiting.
const callTimeout = 20 * time.Second

func (a *application) ask(ctx context.Context, session *helseid.Session, chosen organization) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(chosen.context(ctx), http.MethodGet, a.api, nil)
	if err != nil {
		return nil, err
	}
	response, err := session.HTTPClient(a.tokenRequest()).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxShown))
	if err != nil {
		return nil, err
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, body, "", "  ") == nil {
		body = pretty.Bytes()
	}
	return &answer{response.StatusCode, string(body)}, nil
}

func (a *application) tokenRequest() helseid.TokenRequest {
	request := helseid.TokenRequest{}
	if len(a.resources) > 0 {
		request.Resource = a.resources[0]
	}
	return request
}

// context returns a context that makes calls for the organisation.
func (o organization) context(ctx context.Context) context.Context {
	if o.Parent == "" && o.Child == "" {
		return ctx
	}
	return helseid.ForOrganization(ctx, identity.OrganizationNumber(o.Parent), identity.OrganizationNumber(o.Child))
}

// organization reads the choice from a form. It is not stored on the server: each page
// carries it to the next form.
func (a *application) organization(form url.Values) (organization, error) {
	chosen := organization{Parent: form.Get("parent"), Child: form.Get("child")}
	if both, found := strings.CutPrefix(form.Get("organization"), "org:"); found {
		chosen.Parent, chosen.Child, _ = strings.Cut(both, "/")
	}
	for _, number := range []string{chosen.Parent, chosen.Child} {
		if number != "" && !identity.OrganizationNumber(number).Valid() {
			return organization{}, errNoOrganization
		}
	}
	if len(a.organizations) == 0 || chosen == (organization{}) {
		return chosen, nil
	}
	i := slices.IndexFunc(a.organizations, func(o organization) bool { return o.Parent == chosen.Parent && o.Child == chosen.Child })
	if i < 0 {
		return organization{}, shown("Du kan ikke opptre for den organisasjonen.")
	}
	return a.organizations[i], nil
}

func (a *application) show(w http.ResponseWriter, r *http.Request, chosen organization, result *answer, problem error) {
	session := weblogin.Session(r.Context())
	data := meView{
		view: a.view(r, "Min side"), Organizations: a.organizations, Chosen: chosen, API: a.api, Answer: result,
		HasNumber: !session.User().PersonalIdentityNumber.IsZero(),
		Until:     session.Expiry().Local().Format(time.TimeOnly),
		IDToken:   shownIdentity(session.Identity()),
		Sessions:  a.sessions(r.Context(), session),
	}
	token, err := session.Token(chosen.context(r.Context()), a.tokenRequest())
	switch {
	case errors.Is(err, helseid.ErrLoginRequired):
		http.Redirect(w, r, a.web.LoginURL("/me", 0), http.StatusSeeOther)
		return
	case err == nil:
		data.Token = &tokenView{token.Type, token.Expiry.Local().Format(time.TimeOnly), redacted(token.Access.Reveal()), token.Scopes}
	case problem == nil:
		problem = err
	}
	status := http.StatusOK
	if problem != nil {
		status, data.Problem = http.StatusBadGateway, explain(problem)
		if errors.Is(problem, errNoOrganization) {
			status = http.StatusBadRequest
		}
	}
	a.write(w, status, "me", data)
}

// sessions lists when and where the user has logged in.
func (a *application) sessions(ctx context.Context, session *helseid.Session) (shown []string) {
	listed, err := a.client.Sessions().Of(ctx, session.User().Subject)
	if err != nil {
		a.report.warn("the sessions could not be listed: " + err.Error())
	}
	for _, other := range listed {
		text := other.Created.Local().Format(time.TimeOnly)
		if other.Is(session) {
			text += " (denne)"
		}
		shown = append(shown, text)
	}
	return shown
}

// endSessions ends all the user's sessions: this one, and those in other browsers.
func (a *application) endSessions(w http.ResponseWriter, r *http.Request) {
	if err := a.client.Sessions().EndOf(r.Context(), weblogin.Session(r.Context()).User().Subject); err != nil {
		a.report.warn("sessions may live on: " + err.Error())
		http.Error(w, "Øktene kunne ikke avsluttes nå. Prøv igjen.", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// explain shows the user what went wrong.
func explain(err error) string {
	var (
		refusal *helseid.TokenError
		failed  *url.Error
	)
	switch {
	case errors.As(err, &refusal):
		return fmt.Sprintf("HelseID avviste forespørselen (%s). Sjekk at organisasjonen er riktig, og at den har delegert til leverandøren.", strings.TrimSpace(refusal.Code+" "+refusal.HID))
	case errors.Is(err, helseid.ErrUnavailable):
		return "HelseID svarer ikke. Vent litt, og prøv igjen."
	case errors.As(err, &failed):
		return "API-et svarer ikke. Vent litt, og prøv igjen."
	}
	return err.Error()
}

// redacted shows the contents of an access token, without its signature and with the
// national identity number masked.
func redacted(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "Tokenet er ikke et JWT."
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err != nil || decoder.Decode(&claims) != nil {
		return "Tokenet er ikke et JWT."
	}
	for name, value := range claims {
		if strings.Contains(name, "identity/pid") || name == "jti" || name == "sid" || name == "sub" {
			claims[name] = hidden
		}
		if text, ok := value.(string); ok && len(text) == 11 && strings.Trim(text, "0123456789") == "" {
			claims[name] = hidden
		}
	}
	return indented(claims)
}

// shownIdentity shows the contents of the login's ID token, with claims that identify a
// person or a session masked.
func shownIdentity(identity identity.IDToken) string {
	user := identity.User
	return indented(map[string]any{
		"iat": identity.IssuedAt.Unix(), "exp": identity.Expiry.Unix(), "auth_time": user.AuthenticatedAt.Unix(),
		"sub": hidden, "sid": hidden, "nonce": hidden,
		"name": user.Name, "pid": user.PersonalIdentityNumber, "hpr_number": user.HPRNumber,
		"security_level": user.SecurityLevel, "assurance_level": user.AssuranceLevel, "network": user.Network,
		"idp": user.IdentityProvider, "amr": user.AuthenticationMethods,
	})
}

const hidden = "***********"

func indented(claims map[string]any) string {
	text := &strings.Builder{}
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(claims) != nil {
		return ""
	}
	return text.String()
}
