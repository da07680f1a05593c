package helseid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// A HelseID and a client of it that logs users in.
func exampleLogin() (server *helseidtest.Server, client *helseid.Client, err error) {
	server, err = helseidtest.Start()
	if err != nil {
		return nil, nil, err
	}
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"), helseidtest.Scopes("nhn:kjernejournal/api", "nhn:sfm/api"))
	client, err = helseid.New(config)
	return server, client, err
}

// A clinician logs in and opens two APIs, each with a token of its own and
// without a second login.
func ExampleClient_StartLogin() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	api := exampleAPI()
	defer api.Close()
	ctx := context.Background()

	// In the handler of your login route: send the browser to login.URL, and keep
	// login.State where only this browser leads to.
	login, err := client.StartLogin(ctx, helseid.LoginRequest{
		Scopes: []string{
			helseid.ScopeOfflineAccess, helseid.ScopeProfile, helseid.ScopeHPRNumber, "nhn:kjernejournal/api", "nhn:sfm/api",
		},
		Resources:     []string{"nhn:kjernejournal", "nhn:sfm"},
		SecurityLevel: identity.SecurityLevel4,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	callback, err := server.LogIn(login.URL) // what the browser and the clinician do
	if err != nil {
		fmt.Println(err)
		return
	}

	// In the handler of the redirect URI, with r.URL.Query().
	session, err := client.FinishLogin(ctx, login.State, callback.Query())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.User().Name, session.User().HPRNumber, "at level", session.User().SecurityLevel)

	// In later requests: find the session by the id in the cookie.
	session, err = client.Sessions().Get(ctx, session.ID().Reveal())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, resource := range session.Resources() {
		response, err := session.HTTPClient(helseid.TokenRequest{Resource: resource}).Get(api.URL + "/" + resource)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = response.Body.Close()
		fmt.Println(resource, response.StatusCode)
	}
	// Output:
	// KVART GREVLING 565505933 at level 4
	// nhn:kjernejournal 200
	// nhn:sfm 200
}

// Between the handler of the login route and that of the redirect URI the state
// is stored. Another process can finish the login if both have one
// Config.DPoPKey.
func ExampleDecodeLoginState() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	ctx := context.Background()
	login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile}})
	if err != nil {
		fmt.Println(err)
		return
	}
	stored, err := login.State.Encode() // with an id that this browser alone has, in a cookie
	if err != nil {
		fmt.Println(err)
		return
	}

	callback, err := server.LogIn(login.URL) // what the browser and the clinician do
	if err != nil {
		fmt.Println(err)
		return
	}

	state, err := helseid.DecodeLoginState(stored) // found by the cookie, and deleted there
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := client.FinishLogin(ctx, state, callback.Query())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(state, session.User().Name)
	// Output: [redacted] KVART GREVLING
}

// What the register of health personnel says of the user.
func ExampleSession_UserInfo() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	ctx := context.Background()
	login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeHPRNumber}})
	if err != nil {
		fmt.Println(err)
		return
	}
	callback, err := server.LogIn(login.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := client.FinishLogin(ctx, login.State, callback.Query())
	if err != nil {
		fmt.Println(err)
		return
	}

	info, err := session.UserInfo(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if info.HPRDetails != nil { // nil for who is not in the register
		for _, approval := range info.HPRDetails.Approvals {
			fmt.Println(approval.Profession, approval.Authorization.Description, approval.RequisitionRights)
		}
	}
	// Output: LE Autorisasjon [{1 Full rekvisisjonsrett}]
}

// An application with users of its own makes sure that the person who logged in
// at HelseID is the one who is logged in here.
func ExampleLoginCheck() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	ctx := context.Background()
	login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeHPRNumber}})
	if err != nil {
		fmt.Println(err)
		return
	}
	callback, err := server.LogIn(login.URL, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	if err != nil {
		fmt.Println(err)
		return
	}
	samePerson := func(_ context.Context, user identity.User) error {
		if user.HPRNumber != "565505933" { // that of the user who is logged in here
			return errors.New("the HPR number is another user's")
		}
		return nil
	}
	_, err = client.FinishLogin(ctx, login.State, callback.Query(), samePerson)
	fmt.Println(errors.Is(err, helseid.ErrLogin), err)
	// Output: true the login failed: the user is not accepted: the HPR number is another user's
}

// What a caller does about a login that has ended: start another.
func ExampleSession_HTTPClient() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	ctx := context.Background()
	login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeOfflineAccess, "nhn:sfm/api"}, Resources: []string{"nhn:sfm"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	callback, err := server.LogIn(login.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := client.FinishLogin(ctx, login.State, callback.Query())
	if err != nil {
		fmt.Println(err)
		return
	}
	// The user logs out, here and at HelseID: send the browser there.
	there, err := session.Logout(ctx, helseid.LogoutRequest{})
	fmt.Println(there != "", err)

	_, err = session.HTTPClient(helseid.TokenRequest{Resource: "nhn:sfm"}).Get("https://api.example.no/")
	fmt.Println(errors.Is(err, helseid.ErrLoginRequired))
	// Output:
	// true <nil>
	// true
}

// An API calls another one on behalf of its caller. The token is that of the
// request being served: middleware.Token(r.Context()).
func ExampleWithSubjectToken() {
	const thisAPI, otherAPI = "nhn:kjernejournal", "nhn:sfm/api"
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	file := server.ConfigFile(helseidtest.Client{
		Scopes: []string{otherAPI}, APIs: []string{thisAPI}, Actors: []string{"the-api"}, ID: "the-api",
		GrantTypes: []string{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"},
	})
	config, err := helseid.ParseConfig(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	api := exampleAPI()
	defer api.Close()
	callersToken := identity.NewSecret(server.Token(
		mint.Clinician(), mint.Audience(thisAPI), mint.ClientID("the-api")))

	downstream := client.HTTPClient(helseid.TokenRequest{Scopes: []string{otherAPI}, RequireSubjectToken: true})
	ctx := helseid.WithSubjectToken(context.Background(), callersToken)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api.URL+"/prescriptions", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := downstream.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = response.Body.Close()
	fmt.Println(response.StatusCode)
	// Output: 200
}

// HelseID tells that a user has logged out there.
func ExampleSessions_BackChannelLogout() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	mux := http.NewServeMux()
	mux.Handle("POST /backchannel-logout", client.Sessions().BackChannelLogout())
	mux.Handle("GET /frontchannel-logout", client.Sessions().FrontChannelLogout())
	// Output:
}

// An application that keeps the session's id alone ends the session by it.
func ExampleSessions_End() {
	server, client, err := exampleLogin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	defer client.Close()
	ctx := context.Background()
	login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile}})
	if err != nil {
		fmt.Println(err)
		return
	}
	callback, err := server.LogIn(login.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := client.FinishLogin(ctx, login.State, callback.Query())
	if err != nil {
		fmt.Println(err)
		return
	}
	id := session.ID().Reveal()
	fmt.Println(client.Sessions().End(ctx, id))
	_, err = client.Sessions().Get(ctx, id)
	fmt.Println(errors.Is(err, helseid.ErrLoginRequired))
	// Output:
	// <nil>
	// true
}

// An API wants a stronger login than the user has.
func ExampleStepUpOf() {
	response := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{
		"Www-Authenticate": {`DPoP error="insufficient_user_authentication", acr_values="Level4"`},
	}}
	if wanted, ok := helseid.StepUpOf(response); ok {
		fmt.Println("log in at level", wanted.SecurityLevel)
	}
	// Output: log in at level 4
}
