package helseidtest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed login.html
var loginSource string

//go:embed login.css
var loginStyle string

var loginTemplate = template.Must(template.New("login").Funcs(template.FuncMap{
	"join": func(list []string) string { return strings.Join(list, " ") },
}).Parse(loginSource))

// loginPolicy allows the page's own style. The form redirects to the client's redirect
// URI, which can be anywhere.
var loginPolicy = func() string {
	sum := sha256.Sum256([]byte(loginStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action http: https:"
}()

// loginProviders are the providers that a user can choose, in addition to the user's
// own.
var loginProviders = []string{"testidp-oidc", "idporten-oidc", "bankid-oidc", "buypass-oidc", "commfides-oidc"}

// DefaultLoginPage is a page for [LoginPage] on which one chooses a test user, a
// security level and an identity provider, or cancels. It is in Norwegian, and works
// without scripts, by keyboard, and in light and dark mode.
//
//	server, err := helseidtest.Start(helseidtest.LoginPage(helseidtest.DefaultLoginPage))
func DefaultLoginPage(w http.ResponseWriter, r *http.Request, login *PendingLogin) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		showLogin(w, http.StatusOK, login, "")
	case http.MethodPost:
		takeChoice(w, r, login)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func takeChoice(w http.ResponseWriter, r *http.Request, login *PendingLogin) {
	level, err := strconv.Atoi(cmp.Or(r.PostFormValue("level"), "0"))
	if err != nil {
		level = -1
	}
	err = login.Complete(w, r, Choice{
		User:             r.PostFormValue("user"),
		SecurityLevel:    level,
		IdentityProvider: r.PostFormValue("provider"),
		Cancel:           r.PostFormValue("action") == "cancel",
	})
	switch {
	case errors.Is(err, ErrLoginEnded):
		showLogin(w, http.StatusConflict, login, "Denne innloggingen er allerede avsluttet. Gå tilbake til klienten og start på nytt.")
	case err != nil:
		showLogin(w, http.StatusBadRequest, login, "Velg en av brukerne og et sikkerhetsnivå fra 2 til 4.")
	}
}

func showLogin(w http.ResponseWriter, status int, login *PendingLogin, problem string) {
	var body bytes.Buffer
	err := loginTemplate.Execute(&body, map[string]any{
		"Style":  template.CSS(loginStyle),
		"Client": cmp.Or(login.ClientName, login.ClientID), "ClientID": login.ClientID,
		"Scopes": login.Scopes, "ACRValues": login.ACRValues, "Prompt": login.Prompt,
		"Wanted": login.SecurityLevel, "Users": login.Users(), "Problem": problem,
		"Provider": login.IdentityProvider, "Providers": loginProviders,
	})
	if err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=UTF-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", loginPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	// A referrer would tell other sites the path of a login. But with no-referrer,
	// browsers would send the form with the origin "null".
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
