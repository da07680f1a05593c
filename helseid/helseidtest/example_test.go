package helseidtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/weblogin"
	"github.com/helseid-go/sdk/middleware"
)

// A client under test gets its configuration from the server.
func Example() {
	server, err := helseidtest.Start() // in a test: helseidtest.NewServer(t)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	token, err := client.Token(context.Background(), helseid.TokenRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Type, token.Scopes)
	// Output: DPoP [nhn:some-api/read]
}

// An API under test gets tokens that are minted to order.
func ExampleServer_Token() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: "nhn:my-api"})
	if err != nil {
		fmt.Println(err)
		return
	}
	journal := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "HPR number ", middleware.Claims(r.Context()).User.HPRNumber)
	}
	handler := auth.Require(journal, middleware.Scope("nhn:my-api/read"), middleware.SecurityLevel(4), middleware.HPRNumber())

	for _, level := range []int{4, 3} {
		token := server.Token(
			mint.Clinician(), mint.SecurityLevel(level),
			mint.Audience("nhn:my-api"), mint.Scopes("nhn:my-api/read"),
		)
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/journal/1", nil)
		server.Authorize(request, token)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code == http.StatusOK {
			fmt.Println("level", level, response.Code, response.Body)
			continue
		}
		var problem struct{ Error string }
		_ = json.Unmarshal(response.Body.Bytes(), &problem)
		fmt.Println("level", level, response.Code, problem.Error)
	}
	// Output:
	// level 4 200 HPR number 565505933
	// level 3 401 insufficient_user_authentication
}

// A client survives what can go wrong on the way.
func ExampleServer_Inject() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	server.Inject(
		helseidtest.Fault{Status: http.StatusServiceUnavailable},
		helseidtest.Fault{Delay: 10 * time.Millisecond, Cut: true},
	)
	_, err = client.Token(context.Background(), helseid.TokenRequest{})
	fmt.Println(err)
	// Output: <nil>
}

// A login, made by hand to show what goes over the wire.
func ExampleServer_LogIn() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.RedirectURI("https://app.example.no/callback"), helseidtest.Scopes("nhn:some-api/read"))
	signer, err := clientassertion.New(clientassertion.Config{ClientID: config.ClientID, Audience: config.Issuer, Key: config.Key})
	if err != nil {
		fmt.Println(err)
		return
	}
	assertion, err := signer.Sign(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := server.HTTPClient().PostForm(server.Issuer()+string(helseidtest.EndpointPAR), url.Values{
		"client_id": {config.ClientID}, "client_assertion_type": {clientassertion.Type}, "client_assertion": {assertion},
		"response_type": {"code"}, "redirect_uri": {"https://app.example.no/callback"}, "state": {"the-state"},
		"scope":          {"openid nhn:some-api/read"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.NewDecoder(response.Body).Decode(&pushed); err != nil {
		fmt.Println(err)
		return
	}
	authorizeURL := server.Issuer() + string(helseidtest.EndpointAuthorize) + "?" + url.Values{
		"client_id": {config.ClientID}, "request_uri": {pushed.RequestURI},
	}.Encode()

	callback, err := server.LogIn(authorizeURL, helseidtest.AsUser(helseidtest.ClinicianAtLevel3))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(callback.Host, callback.Path, callback.Query().Get("state"), callback.Query().Has("code"))
	_, err = server.LogIn(authorizeURL)
	fmt.Println(err)
	// Output:
	// app.example.no /callback the-state true
	// helseidtest: the login ended on a page with status 400: request_uri has been used before
}

// A page on which the user chooses who to be. It is sent to where it came from.
func ExampleLoginPage() {
	page := func(w http.ResponseWriter, r *http.Request, login *helseidtest.PendingLogin) {
		if r.Method == http.MethodPost {
			if err := login.Complete(w, r, helseidtest.Choice{User: r.PostFormValue("user")}); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
			return
		}
		fmt.Fprintf(w, "<h1>%s</h1><form method=post>", html.EscapeString(login.ClientName))
		for _, user := range login.Users() {
			fmt.Fprintf(w, "<button name=user value=%s>%s</button>", user.PersonalIdentityNumber, html.EscapeString(user.GivenName))
		}
		fmt.Fprint(w, "</form>")
	}
	server, err := helseidtest.Start(helseidtest.LoginPage(page))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	for _, user := range server.Users() {
		fmt.Println(user.GivenName, user.FamilyName, "level", user.SecurityLevel)
	}
	// Output:
	// KVART GREVLING level 4
	// STILLE ELG level 3
	// RASK TRANE level 4
}

// A server that requires less than HelseID does. It requires the rest.
func ExampleRelaxed() {
	server, err := helseidtest.Start(helseidtest.Relaxed(rule.Parameters))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	_, err = server.LogIn(server.Issuer() + string(helseidtest.EndpointAuthorize) + "?client_id=somebody&scope=openid")
	fmt.Println(err)
	// Output: helseidtest: the login ended on a page with status 400: unknown client
}

// A client under test must notice what is wrong with an answer.
func ExampleServer_AlterTokenResponse() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	server.AlterTokenResponse(func(response map[string]any) { response["token_type"] = "Bearer" })
	_, err = client.Token(context.Background(), helseid.TokenRequest{})
	fmt.Println(err != nil)
	server.AlterTokenResponse(func(response map[string]any) { response["token_type"] = "dpop" })
	_, err = client.Token(context.Background(), helseid.TokenRequest{})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

// A web application is tested with a browser that logs its user in.
func ExampleServer_Browser() {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.RedirectURI("https://ehr.example.no/callback"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	web, err := weblogin.New(weblogin.Config{Client: client, Login: helseid.LoginRequest{Scopes: []string{helseid.ScopeProfile}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	web.Mount(mux)
	mux.Handle("GET /me", web.Require(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello,", weblogin.Session(r.Context()).User().Name)
	}))
	server.Mount("ehr.example.no", mux)

	for _, user := range []string{mint.DefaultPersonalIdentityNumber, helseidtest.ClinicianAtLevel3} {
		page, err := server.Browser(helseidtest.AsUser(user)).Get("https://ehr.example.no/me")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(page.Body)
		_ = page.Body.Close()
		fmt.Print(page.StatusCode, " ", string(body))
	}
	// Output:
	// 200 hello, KVART GREVLING
	// 200 hello, STILLE BLÅ ELG
}
