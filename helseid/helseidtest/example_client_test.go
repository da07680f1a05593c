package helseidtest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// A client whose id and key exist before the server does, such as those in the
// configuration of a program under test.
func ExampleServer_AddClient() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // the program's own
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := clientassertion.NewKey(private, clientassertion.KeyOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}

	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	if err := server.AddClient(helseidtest.Client{
		ID:                 "my-client",
		PublicJWKs:         [][]byte{key.PublicJWK()},
		Scopes:             []string{"nhn:some-api/read"},
		ParentOrganization: mint.DefaultParentOrganization,
	}); err != nil {
		fmt.Println(err)
		return
	}

	client, err := helseid.New(helseid.Config{Issuer: server.Issuer(), ClientID: "my-client", Key: key, HTTPClient: server.HTTPClient()})
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
	fmt.Println(token.Scopes)
	// Output: [nhn:some-api/read]
}

// A client, an API and HelseID in one process, without a network.
func ExampleServer_Mount() {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	protection := middleware.Config{Issuer: server.Issuer(), Audience: "nhn:some-api", PublicURL: "https://api.example.no"}
	protection.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(protection)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auth.Close()
	server.Mount("api.example.no", auth.Require(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello, ", middleware.Claims(r.Context()).Organization.Parent)
	}))

	config := server.NewClient(helseidtest.Scopes("nhn:some-api/read"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	response, err := client.HTTPClient(helseid.TokenRequest{}).Get("https://api.example.no/v1/things")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(response.StatusCode, string(body))
	// Output: 200 hello, 994598759
}

// What a client has sent.
func ExampleServer_Requests() {
	server, err := helseidtest.Start(helseidtest.InMemory())
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
	for range 3 {
		if _, err := client.Token(context.Background(), helseid.TokenRequest{Scopes: []string{"nhn:some-api/read"}}); err != nil {
			fmt.Println(err)
			return
		}
	}

	// One token for all three. The first proof could have no nonce yet.
	for _, request := range server.Requests(helseidtest.EndpointToken) {
		fmt.Println(request.Method, request.Form.Get("grant_type"), request.Form.Get("scope"))
	}
	// Output:
	// POST client_credentials nhn:some-api/read
	// POST client_credentials nhn:some-api/read
}

// A program that starts on a machine whose clock is a minute slow.
func ExampleServer_SetClockSkew() {
	server, err := helseidtest.Start(helseidtest.InMemory())
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

	server.SetClockSkew(time.Minute)
	err = client.Check(context.Background(), helseid.TokenRequest{})
	var refusal *helseid.TokenError
	fmt.Println(errors.Is(err, helseid.ErrClock), errors.As(err, &refusal))
	fmt.Println(refusal.Code)
	// Output:
	// true true
	// invalid_client
}

// An API notices that HelseID has a new key when a token comes that is signed
// with it.
func ExampleServer_RotateKey() {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	validator, err := tokenvalidation.New(tokenvalidation.Config{
		Issuer: server.Issuer(), Audience: mint.DefaultAudience, HTTPClient: server.HTTPClient(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer validator.Close()

	for range 2 {
		_, err := validator.Validate(context.Background(), server.Token())
		fmt.Println(err)
		if err := server.RotateKey(); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("requests for keys:", len(server.Requests(helseidtest.EndpointJWKS)))
	// Output:
	// <nil>
	// <nil>
	// requests for keys: 2
}
