package tokenvalidation_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// start is a HelseID for the examples, and a validator of its tokens.
func start() (*helseidtest.Server, *tokenvalidation.Validator) {
	server, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	validator, err := tokenvalidation.New(tokenvalidation.Config{Issuer: server.Issuer(), Audience: "nhn:some-api", HTTPClient: server.HTTPClient()})
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // an example of a program
	}
	return server, validator
}

// A service that gets tokens in another way than by HTTP requests.
func Example() {
	server, err := helseidtest.Start() // in place of HelseID
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	token := server.Token(mint.Audience("nhn:some-api"), mint.Clinician())

	validator, err := tokenvalidation.New(tokenvalidation.Config{
		Issuer:   server.Issuer(), // or helseid.Production.Issuer()
		Audience: "nhn:some-api",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer validator.Close()
	claims, err := validator.Validate(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("HPR number", claims.User.HPRNumber, "for", claims.Organization.Parent)
	fmt.Println("also needs a proof:", claims.Confirmation.Present)
	// Output:
	// HPR number 565505933 for 994598759
	// also needs a proof: true
}

// A refusal has a reason; an outage is another error.
func ExampleValidator_Validate() {
	server, validator := start()
	defer server.Close()
	defer validator.Close()
	for _, token := range []string{
		server.Token(mint.Audience("nhn:some-api")),
		server.Token(mint.Audience("nhn:some-api"), mint.Clinician()),
		server.Token(mint.Audience("nhn:other-api")),
		server.Token(mint.Audience("nhn:some-api"), mint.Expired()),
	} {
		claims, err := validator.Validate(context.Background(), token)
		var refused *tokenvalidation.Error
		switch {
		case errors.Is(err, tokenvalidation.ErrUnavailable):
			fmt.Println("HelseID cannot be reached")
		case errors.As(err, &refused):
			fmt.Println("refused:", refused.Reason)
		case claims.User == nil:
			fmt.Println("a system:", claims.ClientID)
		default:
			fmt.Println("a user:", claims.User.Name, claims.User.PersonalIdentityNumber)
		}
	}
	// Output:
	// a system: helseidtest-client
	// a user: KVART GREVLING ***********
	// refused: token_audience
	// refused: token_expired
}

func ExampleClaim() {
	server, validator := start()
	defer server.Close()
	defer validator.Close()
	token := server.Token(mint.Audience("nhn:some-api"), mint.Claim("nhn:some-api/client/claims/region", "south"))
	claims, err := validator.Validate(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	region, err := tokenvalidation.Claim[string](claims, "nhn:some-api/client/claims/region")
	fmt.Println(region, err)
	// Output: south <nil>
}

func ExampleValidator_Snapshot() {
	server, validator := start()
	defer server.Close()
	defer validator.Close()
	token := server.Token(mint.Audience("nhn:some-api"))
	if _, err := validator.Validate(context.Background(), token); err != nil {
		log.Fatal(err)
	}
	snapshot, err := validator.Snapshot() // write it to a file
	if err != nil {
		log.Fatal(err)
	}

	// HelseID is down when the API starts again.
	server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Times: -1, Status: 503})
	restarted, err := tokenvalidation.New(tokenvalidation.Config{
		Issuer: server.Issuer(), Audience: "nhn:some-api", HTTPClient: server.HTTPClient(), Snapshot: snapshot,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer restarted.Close()
	_, err = restarted.Validate(context.Background(), token)
	fmt.Println(err)
	// Output: <nil>
}

// An application that validates ID tokens with coreos/go-oidc gives its verifier
// this key set. What go-oidc leaves to its caller stays the caller's: the nonce, azp,
// and whether the client is the only audience.
func ExampleKeySet() {
	server, validator := start()
	defer server.Close()
	defer validator.Close()

	keys, err := tokenvalidation.NewKeySet(tokenvalidation.KeySetConfig{Issuer: server.Issuer(), HTTPClient: server.HTTPClient()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier := oidc.NewVerifier(server.Issuer(), keys, &oidc.Config{ClientID: "my-client"})

	raw := server.Token(mint.Clinician(), mint.Audience("my-client"), mint.Header("typ", "JWT"), mint.Claim("nonce", "n-1"))
	token, err := verifier.Verify(context.Background(), raw)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Audience, token.Nonce)
	// Output: [my-client] n-1
}
