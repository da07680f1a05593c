package weblogin_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// A HelseID in memory and an application's handlers, mounted beside it.
func exampleWeb() (server *helseidtest.Server, web *weblogin.Web, mux *http.ServeMux, cleanup func()) {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"))
	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	web, err = weblogin.New(weblogin.Config{
		Client: client,
		Login:  helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile, helseid.ScopeSecurityLevel}},
	})
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example
	}
	mux = http.NewServeMux()
	web.Mount(mux)
	server.Mount("ehr.example.no", mux)
	return server, web, mux, func() { client.Close(); server.Close() }
}

// examplePage fetches a page in a browser.
func examplePage(browser *http.Client, path string) (status int, body string) {
	response, err := browser.Get("https://ehr.example.no" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	page, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(page)
}

// One page needs a stronger login than the rest of the application.
func ExampleWeb_RequireLevel() {
	server, web, mux, cleanup := exampleWeb()
	defer cleanup()

	show := func(w http.ResponseWriter, r *http.Request) {
		user := weblogin.Session(r.Context()).User()
		fmt.Fprint(w, user.Name, " at level ", user.SecurityLevel)
	}
	mux.Handle("GET /me", web.Require(show))
	mux.Handle("GET /journal", web.RequireLevel(4, show))

	// A user who cannot step up from level 3.
	browser := server.Browser(helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	fmt.Println(examplePage(browser, "/me"))
	status, _ := examplePage(browser, "/journal") // the answer is Config.ErrorPage
	fmt.Println(status)
	fmt.Println(examplePage(server.Browser(), "/journal")) // the first of the users
	// Output:
	// 200 STILLE BLÅ ELG at level 3
	// 403
	// 200 KVART GREVLING at level 4
}

// A page calls an API that wants users at level 4.
func ExampleWeb_StepUp() {
	server, web, mux, cleanup := exampleWeb()
	defer cleanup()

	mux.Handle("GET /things", web.Require(func(w http.ResponseWriter, r *http.Request) {
		response := callAPI(r) // with the session's HTTPClient
		defer response.Body.Close()
		if web.StepUp(w, r, response) {
			return // the browser is on its way to log in
		}
		fmt.Fprint(w, "the API answered ", response.StatusCode)
	}))

	// A user who cannot step up from level 3, and one who is at level 4 already.
	browser := server.Browser(helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	status, _ := examplePage(browser, "/things") // the answer is Config.ErrorPage
	fmt.Println(status)
	fmt.Println(examplePage(server.Browser(), "/things"))
	// Output:
	// 403
	// 200 the API answered 200
}

// callAPI stands for the call: its API lets in users at level 4.
func callAPI(r *http.Request) *http.Response {
	response := httptest.NewRecorder()
	if weblogin.Session(r.Context()).User().SecurityLevel < 4 {
		response.Header().Set("WWW-Authenticate", `DPoP error="insufficient_user_authentication", acr_values="Level4"`)
		response.WriteHeader(http.StatusUnauthorized)
	}
	return response.Result()
}

// A home page that is open to everybody, and greets those who have logged in.
func ExampleWeb_Optional() {
	server, web, mux, cleanup := exampleWeb()
	defer cleanup()

	mux.Handle("GET /{$}", web.Optional(func(w http.ResponseWriter, r *http.Request) {
		session := weblogin.Session(r.Context())
		if session == nil {
			fmt.Fprint(w, "log in: ", web.LoginURL("/", 0))
			return
		}
		fmt.Fprint(w, "hello, ", session.User().Name)
	}))

	browser := server.Browser()
	fmt.Println(examplePage(browser, "/"))
	fmt.Println(examplePage(browser, web.LoginURL("/", 0))) // follows the link, and comes back
	// Output:
	// 200 log in: /login?return_to=%2F
	// 200 hello, KVART GREVLING
}

// Links to a login lead back to where the user was, and nowhere else.
func ExampleWeb_LoginURL() {
	_, web, _, cleanup := exampleWeb()
	defer cleanup()

	fmt.Println(web.LoginURL("/journal?id=7", 0))
	fmt.Println(web.LoginURL("/journal?id=7", 4)) // to step up
	fmt.Println(web.LoginURL("https://evil.example/", 0))
	// Output:
	// /login?return_to=%2Fjournal%3Fid%3D7
	// /login?level=4&return_to=%2Fjournal%3Fid%3D7
	// /login?return_to=%2F
}
