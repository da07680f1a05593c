package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// The client's addresses and APIs in these scenarios. Nobody goes there.
const (
	jsRedirectURI   = "https://ehr.example.no/callback"
	jsPostLogoutURI = "https://ehr.example.no/"
	jsFirstAPI      = "nhn:first-api"
	jsSecondAPI     = "nhn:second-api"
	jsNextAPI       = "nhn:next-api"
	jsScope         = "/read" // of each API
)

// jsClientScenarios are clients that nobody here wrote, against helseidtest.
func jsClientScenarios() []scenario {
	var all []scenario
	for _, library := range []string{"oauth4webapi", "openid-client"} {
		for _, page := range []bool{false, true} {
			all = append(all, scenario{
				name: fmt.Sprintf("helseidtest: every user flow by npm %s, %s", library, onOff("login page", page)),
				run: func(ctx context.Context, l *lab) (string, error) {
					return everyUserFlow(ctx, l, library, page)
				},
			})
		}
	}
	return all
}

// jsState is what the scripts are told of the server.
type jsState struct {
	Issuer                string          `json:"issuer"`
	EHR                   json.RawMessage `json:"ehr"` // configuration files
	API                   json.RawMessage `json:"api"`
	APIs                  []jsAPI         `json:"apis"`
	Next                  jsAPI           `json:"next"` // the API that the API calls
	RedirectURI           string          `json:"redirect_uri"`
	PostLogoutRedirectURI string          `json:"post_logout_redirect_uri"`
	User                  jsUser          `json:"user"`
	Page                  bool            `json:"page"` // whether there is a login page
}

type jsAPI struct {
	Audience string `json:"audience"`
	Scope    string `json:"scope"`
}

type jsUser struct {
	PID       string `json:"pid"`
	Name      string `json:"name"`
	HPRNumber string `json:"hpr_number"`
}

func everyUserFlow(ctx context.Context, l *lab, library string, page bool) (string, error) {
	if err := l.install(ctx); err != nil {
		return "", err
	}
	options := []helseidtest.Option{helseidtest.DemandProofAtPAR()}
	if page {
		options = append(options, helseidtest.LoginPage(jsLoginPage))
	}
	server, err := helseidtest.Start(options...)
	if err != nil {
		return "", err
	}
	defer server.Close()
	state, err := newJSState(server, page)
	if err != nil {
		return "", err
	}
	content, err := json.Marshal(state)
	if err != nil {
		return "", err
	}
	file, err := l.newFile("users-*.json")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return "", err
	}
	var done struct {
		Event      string
		Challenges []int // by client
		Pages      int
	}
	if err := runNode(ctx, l, &done, "userflow.mjs", "--library", library, "--state", file); err != nil {
		return "", err
	}
	if done.Event != "done" {
		return "", errors.New("the script did not say what it has done")
	}
	// Each client meets the nonce once, wherever it comes first: it is good at all endpoints.
	if !slices.Equal(done.Challenges, []int{1, 1, 1}) || done.Pages > 0 != page {
		return "", fmt.Errorf("%d nonce challenges, want one for each client, and %d pages", done.Challenges, done.Pages)
	}
	return checkJSRequests(server)
}

// checkJSRequests looks at what arrived, so that a script that does nothing does not pass.
func checkJSRequests(server *helseidtest.Server) (string, error) {
	grants := map[string]int{}
	for _, request := range server.Requests(helseidtest.EndpointToken) {
		grants[request.Form.Get("grant_type")]++
	}
	for _, grant := range []string{"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"} {
		if grants[grant] == 0 {
			return "", fmt.Errorf("no token request with %s", grant)
		}
	}
	for _, endpoint := range []helseidtest.Endpoint{
		helseidtest.EndpointMetadata, helseidtest.EndpointJWKS, helseidtest.EndpointPAR, helseidtest.EndpointAuthorize,
		helseidtest.EndpointUserInfo, helseidtest.EndpointRevocation, helseidtest.EndpointEndSession,
	} {
		if len(server.Requests(endpoint)) == 0 {
			return "", fmt.Errorf("no request to %s", endpoint)
		}
	}
	for _, request := range server.Requests(helseidtest.EndpointPAR, helseidtest.EndpointToken, helseidtest.EndpointUserInfo) {
		if request.Proof == "" {
			return "", fmt.Errorf("a request to %s has no proof", request.Endpoint)
		}
	}
	return fmt.Sprintf("%d pushed requests, token requests %v", len(server.Requests(helseidtest.EndpointPAR)), grants), nil
}

// newJSState registers the application that users log in to, and an API of its own that calls another.
func newJSState(server *helseidtest.Server, page bool) (*jsState, error) {
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	api := server.ConfigFile(helseidtest.Client{
		ID: "the-api", GrantTypes: []string{exchange}, APIs: []string{jsFirstAPI}, Scopes: []string{jsNextAPI + jsScope},
	})
	ehr := server.ConfigFile(helseidtest.Client{
		ID:                     "the-ehr",
		GrantTypes:             []string{"authorization_code", "refresh_token", "client_credentials"},
		Scopes:                 []string{jsFirstAPI + jsScope, jsSecondAPI + jsScope},
		RedirectURIs:           []string{jsRedirectURI},
		PostLogoutRedirectURIs: []string{jsPostLogoutURI},
		Actors:                 []string{"the-api"},
	})
	user := server.Users()[0]
	return &jsState{
		Issuer:                server.Issuer(),
		EHR:                   ehr,
		API:                   api,
		APIs:                  []jsAPI{{jsFirstAPI, jsFirstAPI + jsScope}, {jsSecondAPI, jsSecondAPI + jsScope}},
		Next:                  jsAPI{jsNextAPI, jsNextAPI + jsScope},
		RedirectURI:           jsRedirectURI,
		PostLogoutRedirectURI: jsPostLogoutURI,
		User:                  jsUser{user.PersonalIdentityNumber, strings.Join([]string{user.GivenName, user.FamilyName}, " "), user.HPRNumber},
		Page:                  page,
	}, nil
}

// jsLoginPage asks for a person's number.
func jsLoginPage(w http.ResponseWriter, r *http.Request, login *helseidtest.PendingLogin) {
	if r.Method != http.MethodPost {
		_, _ = w.Write([]byte(`<!DOCTYPE html><form method="post"><input name="user"><button>Log in</button></form>`))
		return
	}
	if err := login.Complete(w, r, helseidtest.Choice{User: r.PostFormValue("user")}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}
