package guides_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/middleware"
)

// newApp is the application of the guide, with this configuration.
func newApp(t *testing.T, configuration helseid.Config) http.Handler {
	t.Helper()
	clientFile(t, newServer(t), helseidtest.RedirectURI("https://ehr.example.no/callback"))
	// region app
	config, err := helseid.LoadConfig("client.json") // with the redirect URI
	require.NoError(t, err)
	require.NotEmpty(t, config.ClientID) // hide
	config = configuration               // hide
	client, err := helseid.New(config)
	require.NoError(t, err)
	t.Cleanup(client.Close) // hide
	web, err := weblogin.New(weblogin.Config{
		Client: client,
		Login: helseid.LoginRequest{
			Scopes:        []string{helseid.ScopeOfflineAccess, helseid.ScopeProfile, helseid.ScopeHPRNumber, "nhn:some-api/read"},
			Resources:     []string{"nhn:some-api"}, // every API that the session shall call
			SecurityLevel: 3,                        // the lowest level to let in
		},
		MaxSessionAge: 8 * time.Hour,
		IdleTimeout:   30 * time.Minute,
		OnEvent:       audit,
		Logger:        slog.Default(),
	})
	require.NoError(t, err)

	mux := http.NewServeMux()
	web.Mount(mux) // /login, /logout and the callback
	mux.Handle("GET /{$}", web.Optional(home(web)))
	mux.Handle("GET /me", web.Require(me))
	mux.Handle("POST /organisation", web.Require(chooseOrganisation))
	mux.Handle("GET /things", web.Require(things(web)))
	mux.Handle("GET /prescribe", web.RequireLevel(4, me))          // a stronger login than the rest
	mux.Handle("GET /sign", web.RequireRecent(10*time.Minute, me)) // a login of the last ten minutes
	// endregion
	form, sign := me, me
	// region recent
	mux.Handle("GET /sign/{id}", web.RequireLevel(4, web.RequireRecent(10*time.Minute, form).ServeHTTP))
	mux.Handle("POST /sign/{id}", web.RequireLevel(4, web.RequireRecent(30*time.Minute, sign).ServeHTTP))
	// endregion
	mux.Handle("GET /sessions/end", web.Require(endSessions(client)))
	return mux
}

// region home

func home(web *weblogin.Web) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if session := weblogin.Session(r.Context()); session != nil {
			fmt.Fprintf(w, `<form method="post" action="/logout"><button>Log out %s</button></form>`, html.EscapeString(session.User().GivenName))
			return
		}
		fmt.Fprintf(w, `<a href="%s">Log in</a>`, web.LoginURL("/me", 0))
	}
}

func me(w http.ResponseWriter, r *http.Request) {
	user := weblogin.Session(r.Context()).User() // never nil behind Require
	fmt.Fprint(w, user.Name, ", HPR number ", user.HPRNumber)
}

// endregion

// region audit

func audit(ctx context.Context, event weblogin.Event) {
	slog.InfoContext(ctx, "login", "kind", event.Kind, "subject", event.Subject, "level", event.SecurityLevel, "cause", event.Cause)
}

// endregion

// region organisation

func chooseOrganisation(w http.ResponseWriter, r *http.Request) {
	parent := identity.OrganizationNumber(r.FormValue("parent"))
	if !parent.Valid() || !worksFor(weblogin.Session(r.Context()).User(), parent) { // your own register
		http.Error(w, "not one of yours", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "__Host-organisation", Value: string(parent), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/things", http.StatusSeeOther)
}

func organisationOf(r *http.Request) context.Context {
	cookie, err := r.Cookie("__Host-organisation")
	if err != nil {
		return r.Context() // a token that is for no organisation
	}
	parent := identity.OrganizationNumber(cookie.Value)
	if !worksFor(weblogin.Session(r.Context()).User(), parent) { // a cookie is what its browser says
		return r.Context()
	}
	return helseid.ForOrganization(r.Context(), parent, "")
}

// endregion

func worksFor(user identity.User, parent identity.OrganizationNumber) bool {
	return user.HPRNumber != "" && parent == "994598759"
}

// region things

func things(web *weblogin.Web) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		api := weblogin.Session(r.Context()).HTTPClient(helseid.TokenRequest{Resource: "nhn:some-api"})
		request, err := http.NewRequestWithContext(organisationOf(r), "GET", "https://api.example.nhn.no/v1/things", nil)
		if err != nil {
			failed(web, w, r, err)
			return
		}
		response, err := api.Do(request)
		if err != nil {
			failed(web, w, r, err)
			return
		}
		defer response.Body.Close()
		if web.StepUp(w, r, response) { // the API wants a stronger login: the browser is on its way
			return
		}
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	}
}

func failed(web *weblogin.Web, w http.ResponseWriter, r *http.Request, err error) {
	var refused *helseid.TokenError
	switch {
	case errors.Is(err, helseid.ErrLoginRequired): // the session has ended
		http.Redirect(w, r, web.LoginURL(r.URL.RequestURI(), 0), http.StatusSeeOther)
	case errors.Is(err, helseid.ErrUnavailable), errors.Is(err, helseid.ErrStore), errors.Is(err, helseid.ErrKey):
		http.Error(w, "try again in a while", http.StatusServiceUnavailable)
	case errors.As(err, &refused) && (refused.HID == "HID-1001" || refused.HID == "HID-1002" || refused.HID == "HID-1003"):
		http.Error(w, "we may not act for this organisation", http.StatusForbidden)
	default: // a setting or a registration is wrong, and the text says which
		slog.ErrorContext(r.Context(), "the API was not called", "error", err)
		http.Error(w, "internal error", http.StatusBadGateway)
	}
}

// endregion

func endSessions(client *helseid.Client) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, user := r.Context(), weblogin.Session(r.Context()).User()
		// region sessions
		list, err := client.Sessions().Of(ctx, user.Subject) // the user's sessions, in all browsers
		err = errors.Join(err, client.Sessions().EndOf(ctx, user.Subject))
		// endregion
		if err != nil || len(list) != 1 {
			http.Error(w, "no", http.StatusInternalServerError)
		}
	}
}

func TestLogIn(t *testing.T) {
	server := newServer(t)
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"), helseidtest.Scopes("nhn:some-api/read"), helseidtest.Delegations("994598759"))
	server.Mount("ehr.example.no", newApp(t, config))
	browser := server.Browser()
	get := func(path string) string {
		response, err := browser.Get("https://ehr.example.no" + path)
		require.NoError(t, err)
		return body(t, response)
	}
	require.Contains(t, get("/"), "Log in")
	require.Equal(t, "KVART GREVLING, HPR number 565505933", get("/me"))
	require.Contains(t, get("/"), "Log out KVART")
	response, err := browser.PostForm("https://ehr.example.no/organisation", url.Values{"parent": {"994598759"}})
	require.NoError(t, err)
	require.Equal(t, "994598759 ", body(t, response))
	response, err = browser.PostForm("https://ehr.example.no/organisation", url.Values{"parent": {"999977774"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	require.NotEmpty(t, body(t, response))
	for _, page := range []string{"/prescribe", "/sign", "/sign/1"} {
		require.Equal(t, "KVART GREVLING, HPR number 565505933", get(page))
	}
	response, err = browser.PostForm("https://ehr.example.no/sign/1", nil)
	require.NoError(t, err)
	require.Equal(t, "KVART GREVLING, HPR number 565505933", body(t, response))
	require.Empty(t, get("/sessions/end"))
}

func TestLogInTest(t *testing.T) {
	newApp := func(config helseid.Config) http.Handler { return newApp(t, config) }
	// region test
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"), helseidtest.Scopes("nhn:some-api/read"))
	server.Mount("ehr.example.no", newApp(config)) // your application, with config in place of helseid.LoadConfig
	browser := server.Browser(helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	for page, status := range map[string]int{"/me": 200, "/prescribe": 403} { // this user cannot step up
		response, err := browser.Get("https://ehr.example.no" + page)
		require.NoError(t, err)
		response.Body.Close() // hide
		if response.StatusCode != status {
			t.Error(page, response.StatusCode)
		}
	}
	// endregion

	// region stepup
	for user, status := range map[string]int{helseidtest.ClinicianAtLevel3: 200, helseidtest.PersonWithoutHPRNumber: 403} { // another person may not
		browser := server.Browser(helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
		response, err := browser.Get("https://ehr.example.no/me")
		require.NoError(t, err)
		response.Body.Close()                                                                                        // hide
		next := server.Browser(helseidtest.InBrowser(browser.Jar), helseidtest.AsUser(user), helseidtest.AtLevel(4)) // the same browser
		response, err = next.Get("https://ehr.example.no/prescribe")
		require.NoError(t, err)
		response.Body.Close() // hide
		if response.StatusCode != status {
			t.Error("a step-up", response.StatusCode)
		}
	}
	// endregion
}

func TestLogInWithoutWeblogin(t *testing.T) {
	server := newServer(t)
	client := newClient(t, server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback")))
	ctx := t.Context()
	callback := func(login string) url.Values {
		callback, err := server.LogIn(login)
		require.NoError(t, err)
		return callback.Query()
	}
	// region steps
	login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile}})
	require.NoError(t, err)
	// send the browser to login.URL; keep login.State where only this browser leads to; later:
	answer := callback(login.URL) // r.URL.Query() in the handler of the redirect URI
	session, err := client.FinishLogin(ctx, login.State, answer)
	require.NoError(t, err)
	session, err = client.Sessions().Get(ctx, session.ID().Reveal()) // in later requests
	// endregion
	require.NoError(t, err)
	require.Equal(t, "KVART GREVLING", session.User().Name)

	// region userinfo
	info, err := session.UserInfo(ctx) // the approvals need ScopeHPRNumber in the login
	// endregion
	require.NoError(t, err)
	require.Equal(t, "KVART GREVLING", info.User.Name)
}

func TestExchange(t *testing.T) {
	server := newServer(t)
	config := server.NewClient(helseidtest.Client{APIs: []string{"nhn:own-api"}}, helseidtest.Scopes("nhn:some-api/read"))
	require.NoError(t, server.AddClient(helseidtest.Client{ID: mint.DefaultClientID, PublicJWKs: [][]byte{config.Key.PublicJWK()}, Actors: []string{config.ClientID}}))
	client := newClient(t, config)
	// region exchange
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}, RequireSubjectToken: true})
	handler := func(w http.ResponseWriter, r *http.Request) { // behind middleware.Require
		ctx := helseid.WithSubjectToken(r.Context(), middleware.Token(r.Context()))
		request, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.nhn.no/v1/things", nil)
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		response, err := api.Do(request) // with a token about the same user
		if err != nil {
			http.Error(w, "the other API was not reached", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
	}
	// endregion
	guarded := middleware.Config{Issuer: server.Issuer(), Audience: "nhn:own-api", PublicURL: "https://own.example.no"}
	guarded.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(guarded)
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	server.Mount("own.example.no", auth.Require(handler))
	request, err := http.NewRequest(http.MethodGet, "https://own.example.no/x", strings.NewReader(""))
	require.NoError(t, err)
	server.Authorize(request, server.Token(mint.Clinician(), mint.Audience("nhn:own-api")))
	response, err := server.HTTPClient().Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, body(t, response))
}
