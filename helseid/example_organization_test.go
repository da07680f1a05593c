package helseid_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// A HelseID, a client of a vendor that two organisations have delegated to, and
// an API that tells which organisation a call was for.
func exampleVendor() (client *helseid.Client, cleanup func(), err error) {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		return nil, nil, err
	}
	protection := middleware.Config{Issuer: server.Issuer(), Audience: "nhn:some-api", PublicURL: "https://api.example.no"}
	protection.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(protection)
	if err != nil {
		return nil, nil, err
	}
	server.Mount("api.example.no", auth.Require(func(w http.ResponseWriter, r *http.Request) {
		organization := middleware.Claims(r.Context()).Organization
		fmt.Fprintf(w, "parent %s, child %q, supplier %s", organization.Parent, organization.Child, organization.Supplier)
	}))
	config := server.NewClient(helseidtest.Delegations("994598759", "222333444"), helseidtest.Scopes("nhn:some-api/read"))
	client, err = helseid.New(config)
	return client, func() { client.Close(); auth.Close(); server.Close() }, err
}

// A vendor's system calls an API for each of its customers, with one
// *http.Client.
func ExampleForOrganization() {
	client, cleanup, err := exampleVendor()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cleanup()

	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}})
	for _, customer := range []struct{ parent, child identity.OrganizationNumber }{{"994598759", "999977775"}, {"222333444", ""}} {
		ctx := helseid.ForOrganization(context.Background(), customer.parent, customer.child)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.no/v1/things", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := api.Do(req) // with a token for this customer
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, string(body))
	}
	// Output:
	// 200 parent 994598759, child "999977775", supplier 987654325
	// 200 parent 222333444, child "", supplier 987654325
}
