package loginpage

import (
	"cmp"
	_ "embed"
	"errors"
	"net/http"
	"strconv"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

//go:embed login.html
var loginSource string

var loginTemplate = Parse(loginSource)

// providers are those that a user can choose, beside the user's own.
var providers = []string{"testidp-oidc", "idporten-oidc", "bankid-oidc", "buypass-oidc", "commfides-oidc"}

// Show is the page for helseidtest.LoginPage: it lets the user choose a test
// user, a security level and an identity provider, or cancel.
func Show(w http.ResponseWriter, r *http.Request, login *helseidtest.PendingLogin) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		show(w, http.StatusOK, login, "")
	case http.MethodPost:
		end(w, r, login)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func end(w http.ResponseWriter, r *http.Request, login *helseidtest.PendingLogin) {
	level, err := strconv.Atoi(cmp.Or(r.PostFormValue("level"), "0"))
	if err != nil {
		level = -1
	}
	err = login.Complete(w, r, helseidtest.Choice{
		User:             r.PostFormValue("user"),
		SecurityLevel:    level,
		IdentityProvider: r.PostFormValue("provider"),
		Cancel:           r.PostFormValue("action") == "cancel",
	})
	switch {
	case errors.Is(err, helseidtest.ErrLoginEnded):
		show(w, http.StatusConflict, login, "Denne innloggingen er allerede avsluttet. Gå tilbake til klienten og start på nytt.")
	case err != nil:
		show(w, http.StatusBadRequest, login, "Velg en av brukerne og et sikkerhetsnivå fra 2 til 4.")
	}
}

func show(w http.ResponseWriter, status int, login *helseidtest.PendingLogin, problem string) {
	// The form ends at the client's redirect URI, wherever that is.
	Write(w, status, loginTemplate, map[string]any{
		"Client": cmp.Or(login.ClientName(), login.ClientID()), "ClientID": login.ClientID(),
		"Scopes": login.Scopes(), "ACRValues": login.ACRValues(), "Prompt": login.Prompt(),
		"Wanted": login.SecurityLevel(), "Users": login.Users(), "Problem": problem,
		"Provider": login.IdentityProvider(), "Providers": providers,
	}, "http:", "https:")
}
