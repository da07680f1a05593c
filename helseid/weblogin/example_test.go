package weblogin_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

// An application with a page that needs a user.
func Example() {
	// In place of HelseID, and of the file from HelseID Selvbetjening.
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"))

	client, err := helseid.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	web, err := weblogin.New(weblogin.Config{
		Client: client,
		Login:  helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile, helseid.ScopeHPRNumber}, SecurityLevel: 4},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	web.Mount(mux)
	mux.Handle("GET /me", web.Require(func(w http.ResponseWriter, r *http.Request) {
		user := weblogin.Session(r.Context()).User()
		fmt.Fprintln(w, user.Name, "with HPR number", user.HPRNumber)
	}))

	// A user opens the page, and logs in on the way. HelseID in memory shows no
	// page: the first of its users logs in.
	server.Mount("ehr.example.no", mux)
	browser := server.HTTPClient()
	browser.Jar, _ = cookiejar.New(nil)
	request, err := http.NewRequest(http.MethodGet, "https://ehr.example.no/me", nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	response, err := browser.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	page, _ := io.ReadAll(response.Body)
	fmt.Print(response.Request.URL, ": ", string(page))
	// Output: https://ehr.example.no/me: KVART GREVLING with HPR number 565505933
}

// All mistakes in a configuration are reported at once.
func ExampleNew() {
	_, err := weblogin.New(weblogin.Config{LoginPath: "login", IdleTimeout: -1})
	fmt.Println(errors.Is(err, weblogin.ErrConfig))
	fmt.Println(err)
	// Output:
	// true
	// weblogin: configuration: field IdleTimeout is -1ns: it must be whole seconds
	// field Client is required: make it with helseid.New
	// field LoginPath: "login" is not a path such as /login, clean and without escapes and wildcards
}
