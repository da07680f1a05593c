package middleware_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// exampleAPI is an API and the HelseID that it trusts.
func exampleAPI() (*helseidtest.Server, *middleware.Middleware) {
	server, err := helseidtest.Start(helseidtest.InMemory()) // in a test: helseidtest.NewServer(t)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	config := middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	return server, auth
}

// An interceptor of gRPC passes in what it knows of the call, and gets the context for
// the handler or the refusal.
func ExampleMiddleware_Decide() {
	server, auth := exampleAPI()
	defer server.Close()
	defer auth.Close()
	intercept := func(ctx context.Context, authority, fullMethod string, md map[string][]string) {
		decision := auth.Decide(ctx, middleware.Request{
			Method: http.MethodPost,
			URL:    &url.URL{Scheme: "https", Host: authority, Path: fullMethod},
			Header: http.Header(md), // of metadata.FromIncomingContext
			Route:  fullMethod,
		}, middleware.AnyParentOrganization())
		if !decision.Allowed() {
			fmt.Println(decision.Problem.Reason, decision.Challenge != "")
			return
		}
		ctx = decision.Context(ctx)
		fmt.Println("for", middleware.Claims(ctx).Organization.Parent) // in the handler
	}

	const method = "/journal.v1.Journal/Get"
	token := server.Token()
	md := map[string][]string{
		"authorization": {"DPoP " + token},
		"dpop":          {server.Proof(http.MethodPost, "https://api.example.no"+method, token)},
	}
	intercept(context.Background(), "api.example.no", method, md)
	intercept(context.Background(), "api.example.no", method, md) // the same proof again
	// Output:
	// for 994598759
	// proof_replayed true
}

// The organisation in the path must be the token's. A custom requirement also sees the
// request.
func ExampleForRequest() {
	server, auth := exampleAPI()
	defer server.Close()
	defer auth.Close()
	drafts := middleware.ForRequest(func(_ context.Context, request *middleware.Request, claims *tokenvalidation.Claims) error {
		if request.URL.Query().Get("drafts") != "" && claims.User == nil {
			return &middleware.Denial{Reason: "drafts", Detail: "drafts are for users"}
		}
		return nil
	})
	mux := http.NewServeMux()
	mux.Handle("GET /organizations/{parent}", auth.Require(func(http.ResponseWriter, *http.Request) {},
		middleware.ParentOrganizationInPath("parent"), drafts))

	for _, path := range []string{"/organizations/994598759", "/organizations/999977775", "/organizations/994598759?drafts=yes"} {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		server.Authorize(request, server.Token(mint.Organization("994598759", "", "")))
		response := httptest.NewRecorder()
		mux.ServeHTTP(response, request)
		fmt.Println(response.Code, path)
	}
	// Output:
	// 200 /organizations/994598759
	// 403 /organizations/999977775
	// 403 /organizations/994598759?drafts=yes
}

// A handler that has read the request can refuse it as a guard does.
func ExampleMiddleware_Refuse() {
	server, auth := exampleAPI()
	defer server.Close()
	defer auth.Close()
	handler := auth.Require(func(w http.ResponseWriter, r *http.Request) {
		if sensitive := true; sensitive && middleware.Claims(r.Context()).User.SecurityLevel < 4 {
			auth.Refuse(w, r, &middleware.Denial{Reason: "sensitive_journal", Detail: "log in at level 4", ACRValues: "Level4"})
			return
		}
		fmt.Fprintln(w, "the journal")
	}, middleware.User())

	request := httptest.NewRequest(http.MethodGet, "/journal/1", nil)
	server.Authorize(request, server.Token(mint.Clinician(), mint.SecurityLevel(3)))
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	fmt.Println(response.Code, response.Body)
	// Output: 401 {"acr_values":"Level4","detail":"log in at level 4","error":"insufficient_user_authentication","reason":"sensitive_journal","status":401,"title":"Unauthorized"}
}

// A test of a handler alone, without a guard and without a HelseID.
func ExampleNewContext() {
	caller := &tokenvalidation.Claims{
		User:         &identity.User{HPRNumber: "565505933"},
		Organization: identity.Organization{Parent: "994598759"},
	}
	request := httptest.NewRequest(http.MethodGet, "/journal/1", nil)
	response := httptest.NewRecorder()
	journal(response, request.WithContext(middleware.NewContext(request.Context(), caller, "")))
	fmt.Print(response.Body)
	// Output: HPR number 565505933 for 994598759
}

// A readiness probe.
func ExampleMiddleware_Check() {
	server, auth := exampleAPI()
	defer server.Close()
	defer auth.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if err := auth.Check(r.Context()); err != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable) // log the error
		}
	})
	fmt.Println(auth.Check(context.Background()))
	// Output: <nil>
}
