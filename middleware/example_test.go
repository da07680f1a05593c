package middleware_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func journal(w http.ResponseWriter, r *http.Request) {
	caller := middleware.Claims(r.Context())
	fmt.Fprintln(w, "HPR number", caller.User.HPRNumber, "for", caller.Organization.Parent)
}

// An API that accepts clinicians at level 4 with an HPR number.
func Example() {
	server, err := helseidtest.Start() // in place of HelseID
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	auth, err := middleware.New(middleware.Config{
		Issuer:    server.Issuer(), // or helseid.Production.Issuer()
		Audience:  "nhn:my-api",
		PublicURL: "https://api.example.no",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /journal/{id}", auth.Require(func(w http.ResponseWriter, r *http.Request) {
		caller := middleware.Claims(r.Context())
		fmt.Fprintln(w, "HPR number", caller.User.HPRNumber, "for", caller.Organization.Parent)
	}, middleware.Scope("nhn:my-api/read"), middleware.SecurityLevel(4), middleware.HPRNumber()))

	// A request without a token, and one with a token and a proof:
	request := httptest.NewRequest("GET", "https://api.example.no/journal/1", nil)
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, request)
	fmt.Println(response.Code)

	server.Authorize(request, server.Token(mint.Clinician(), mint.Audience("nhn:my-api"), mint.Scopes("nhn:my-api/read")))
	response = httptest.NewRecorder()
	mux.ServeHTTP(response, request)
	fmt.Print(response.Code, " ", response.Body)
	// Output:
	// 401
	// 200 HPR number 565505933 for 994598759
}

// A test of a handler, with a clinician at level 4 and one at level 3.
func ExampleMiddleware_Require_test() {
	server, err := helseidtest.Start(helseidtest.InMemory()) // in a test: helseidtest.NewServer(t)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config := middleware.Config{Issuer: server.Issuer(), Audience: "nhn:my-api"}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
	handler := auth.Require(journal, middleware.SecurityLevel(4), middleware.HPRNumber())
	for _, level := range []int{4, 3} {
		token := server.Token(mint.Clinician(), mint.Audience("nhn:my-api"), mint.SecurityLevel(level))
		request := httptest.NewRequest("GET", "/journal/1", nil)
		server.Authorize(request, token)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		fmt.Print(response.Code, " ", response.Body)
	}
	// Output:
	// 200 HPR number 565505933 for 994598759
	// 401 {"acr_values":"Level4","detail":"the user must log in at security level 4","error":"insufficient_user_authentication","reason":"security_level","status":401,"title":"Unauthorized"}
}

// A custom requirement is a function.
func ExampleRequirement() {
	hospitals := map[identity.OrganizationNumber]bool{"994598759": true}
	hospital := func(_ context.Context, claims *tokenvalidation.Claims) error {
		if hospitals[claims.Organization.Parent] {
			return nil
		}
		return &middleware.Denial{Reason: "no_hospital", Detail: "this is for hospitals only"}
	}
	fmt.Println(hospital(context.Background(), &tokenvalidation.Claims{Organization: identity.Organization{Parent: "994598759"}}))
	fmt.Println(hospital(context.Background(), &tokenvalidation.Claims{}))
	// Output:
	// <nil>
	// this is for hospitals only
}

// Guard has the form of middleware that chi and others accept: r.Use(guard).
func ExampleMiddleware_Guard() {
	auth, err := middleware.New(middleware.Config{Issuer: helseid.Test.Issuer(), Audience: "nhn:my-api"})
	if err != nil {
		log.Fatal(err)
	}
	guard := auth.Guard(middleware.Scope("nhn:my-api/read"))
	routes := http.NewServeMux()
	routes.HandleFunc("GET /journal/{id}", journal)
	handler := guard(routes)

	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest("GET", "/journal/1", nil))
	fmt.Println(response.Code)
	// Output: 401
}

// The access log that Normen requires.
func ExampleAuditLog() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	auth, err := middleware.New(middleware.Config{Issuer: helseid.Test.Issuer(), Audience: "nhn:my-api", Audit: middleware.AuditLog(logger)})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /journal/{id}", auth.Require(journal))
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/journal/1", nil))
	// Output: level=WARN msg="request refused" method=GET route="GET /journal/{id}" status=401 reason=no_credentials
}

// An example stays short enough to be read at once.
func TestExampleIsShort(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]int{"func ExampleMiddleware_Require_test": 25} {
		if lines := linesOf(string(source), name); lines == 0 || lines > most {
			t.Errorf("%s has %d lines, at most %d are promised", name, lines, most)
		}
	}
}
