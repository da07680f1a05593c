package helseidtest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
)

// A HelseID in memory and a client of it that logs users in.
func exampleLoginClient() (server *helseidtest.Server, client *helseid.Client, cleanup func()) {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	config := server.NewClient(helseidtest.Client{ID: "my-client", RedirectURIs: []string{"https://app.example.no/callback"}})
	client, err = helseid.New(config)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	return server, client, func() { client.Close(); server.Close() }
}

// exampleLogIn is a login from start to end.
func exampleLogIn(server *helseidtest.Server, client *helseid.Client, options ...helseidtest.LoginOption) (*helseid.Session, error) {
	login, err := client.StartLogin(context.Background(), helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile, helseid.ScopeSecurityLevel}})
	if err != nil {
		return nil, err
	}
	callback, err := server.LogIn(login.URL, options...)
	if err != nil {
		return nil, err
	}
	return client.FinishLogin(context.Background(), login.State, callback.Query())
}

// A login under test: one that ends well, and one that the user cancels.
func ExampleRedirectURI() {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.RedirectURI("https://app.example.no/callback"), helseidtest.Scopes("nhn:some-api/read"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := context.Background()

	for _, user := range []helseidtest.LoginOption{helseidtest.AsUser(helseidtest.ClinicianAtLevel3), helseidtest.Cancelled()} {
		login, err := client.StartLogin(ctx, helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile, "nhn:some-api/read"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		callback, err := server.LogIn(login.URL, user) // the browser and who is in front of it
		if err != nil {
			fmt.Println(err)
			return
		}
		session, err := client.FinishLogin(ctx, login.State, callback.Query())
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(session.User().Name, session.Scopes())
	}
	// Output:
	// STILLE BLÅ ELG [openid profile nhn:some-api/read]
	// HelseID logged nobody in: access_denied: the user cancelled the login: the user has cancelled, or HelseID refuses the details: offer to log in again
}

// Who is needed and not built in is added. The same number again replaces.
func ExampleServer_AddUser() {
	server, client, cleanup := exampleLoginClient()
	defer cleanup()

	nurse := helseidtest.User{
		PersonalIdentityNumber: "15857540015", // synthetic: the month is 85
		GivenName:              "MILD", FamilyName: "SVALE", HPRNumber: "565500001",
	}
	for _, level := range []int{3, 4} {
		nurse.SecurityLevel = level
		if err := server.AddUser(nurse); err != nil {
			fmt.Println(err)
			return
		}
		session, err := exampleLogIn(server, client, helseidtest.AsUser(nurse.PersonalIdentityNumber))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(session.User().Name, "at level", session.User().SecurityLevel)
	}
	// Output:
	// MILD SVALE at level 3
	// MILD SVALE at level 4
}

// HelseID tells an application that a user has logged out elsewhere.
func ExampleServer_LogoutToken() {
	server, client, cleanup := exampleLoginClient()
	defer cleanup()
	session, err := exampleLogIn(server, client)
	if err != nil {
		fmt.Println(err)
		return
	}

	token := server.LogoutToken(mint.Audience("my-client"), mint.SessionID(session.User().SessionID))
	request := httptest.NewRequest(http.MethodPost, "/backchannel-logout", strings.NewReader("logout_token="+token))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response := httptest.NewRecorder()
	client.Sessions().BackChannelLogout().ServeHTTP(response, request)
	fmt.Println(response.Code)

	_, err = client.Sessions().Get(context.Background(), session.ID().Reveal())
	fmt.Println(errors.Is(err, helseid.ErrLoginRequired))
	// Output:
	// 200
	// true
}
