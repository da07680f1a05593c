package middleware_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// exampleCall sends a request of somebody's to an API with one requirement, and
// tells the answer.
func exampleCall(requirement middleware.Requirement, caller ...mint.TokenOption) string {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		return err.Error()
	}
	defer server.Close()
	config := middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	if err != nil {
		return err.Error()
	}
	defer auth.Close()
	handler := auth.Require(func(http.ResponseWriter, *http.Request) {}, requirement)

	request := httptest.NewRequest(http.MethodGet, "/journal/1", nil)
	server.Authorize(request, server.Token(caller...))
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	var problem struct{ Reason string }
	_ = json.Unmarshal(response.Body.Bytes(), &problem)
	return fmt.Sprint(response.Code, " ", cmp.Or(problem.Reason, http.StatusText(response.Code)))
}

// A set of requirements gets a name, and guards many routes:
// auth.Require(journal, clinician).
func ExampleAll() {
	clinician := middleware.All(middleware.SecurityLevel(4), middleware.HPRNumber(), middleware.AnyParentOrganization())

	fmt.Println(exampleCall(clinician, mint.Clinician()))
	fmt.Println(exampleCall(clinician, mint.Clinician(), mint.HPRNumber("")))
	// Output:
	// 200 OK
	// 403 hpr_number
}

// Clinicians may do this, and so may systems with a scope of their own.
func ExampleAny() {
	either := middleware.Any(
		middleware.All(middleware.User(), middleware.HPRNumber()), // refusals are about this one
		middleware.All(middleware.System(), middleware.Scope("nhn:test-api/batch")),
	)

	fmt.Println(exampleCall(either, mint.Clinician()))
	fmt.Println(exampleCall(either, mint.Scopes("nhn:test-api/batch")))
	fmt.Println(exampleCall(either)) // a system without that scope
	// Output:
	// 200 OK
	// 200 OK
	// 403 user
}

// The accepted organisations are in a register, which may be down.
func ExampleOrganizationLookup() {
	customers, down := map[identity.OrganizationNumber]bool{"994598759": true}, false
	customer := middleware.OrganizationLookup(func(_ context.Context, o identity.Organization) (bool, error) {
		if down {
			return false, errors.New("no answer from the register")
		}
		return customers[o.Parent], nil
	})

	fmt.Println(exampleCall(customer, mint.Organization("994598759", "", "")))
	fmt.Println(exampleCall(customer, mint.Organization("222333444", "", "")))
	down = true
	fmt.Println(exampleCall(customer, mint.Organization("994598759", "", "")))
	// Output:
	// 200 OK
	// 403 organization
	// 503 lookup_unavailable
}
